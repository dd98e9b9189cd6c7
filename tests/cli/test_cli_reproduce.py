"""ser-ops reproduce with a stand-in for DVC: what is run, what is said, what a program gets."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from dvc.repo import Repo
from project_copy import write_settings
from typer.testing import CliRunner

from ser_ops import papers, workspace
from ser_ops.cli import app
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.stages import training_run

PROJECT = Path(__file__).resolve().parents[2]
TABLES = {"tables": [{"key": "table_i", "missing": ""}, {"key": "table_iv", "missing": "TESS is not here: ..."},
                     {"key": "table_v", "missing": "synthetic speech", "filled": True}],
          "sections": [{"title": "a", "table": None}, {"title": "b", "table": {"key": "splits", "missing": "no run"}}]}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A project in which DVC writes paper1's tables.json and says one line; what it was asked."""
    write_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    asked = []

    def dvc(*arguments, say):
        asked.append(arguments)
        say(f"Running stage '{arguments[-1]}':")
        if arguments[0] == "pull":
            (tmp_path / "data").mkdir()
            return {}
        write_json(tmp_path / "reports/paper1/tables.json", TABLES)
        return {"train": 61.26, "reproduction/dvc.yaml:paper1": 2.0}

    (tmp_path / "reports/paper1").mkdir(parents=True)
    monkeypatch.setattr(workspace, "dvc", dvc)
    return asked


def test_it_pulls_runs_and_says_where_the_page_is(asked):
    done = CliRunner().invoke(app, ["reproduce", "paper1"])
    assert done.exit_code == 0, done.output
    assert asked == [("pull", "data.dvc"), ("repro", "reproduction/dvc.yaml:paper1")]
    assert done.stdout.splitlines() == [
        "Running stage 'data.dvc':", "Running stage 'reproduction/dvc.yaml:paper1':",
        "seconds by stage: train 61, reproduction/paper1 2",
        "2 of 4 tables could not be filled: table_iv, splits; the page says what each lacks",
        "1 of 4 tables rest on other data than the paper's: table_v; the page says on which",
        "the page: reports/paper1/index.html"]


def test_a_program_gets_one_object_and_dvcs_lines_elsewhere(asked, tmp_path):
    (tmp_path / "data").mkdir()
    done = CliRunner().invoke(app, ["reproduce", "paper1", "--json"])
    assert json.loads(done.stdout) == {
        "paper": "paper1", "page": "reports/paper1/index.html", "seconds": {"train": 61.3, "reproduction/paper1": 2.0},
        "tables": 4, "missing": ["table_iv", "splits"], "otherwise": ["table_v"]}
    assert "Running stage" in done.stderr and asked == [("repro", "reproduction/dvc.yaml:paper1")]


def test_without_a_checkpoint_all_else_is_run_and_the_page_written(asked, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    written = []
    monkeypatch.setattr(training_run, "lacking_checkpoints", lambda params, models: {"fusion": "no hub is in reach"})
    monkeypatch.setattr(papers.subprocess, "run", lambda command, **_: written.append(command[-1])
                        or CompletedProcess(command, 0, "paper1: reports/paper1/index.html", ""))
    done = CliRunner().invoke(app, ["reproduce", "paper1"])
    assert done.exit_code == 0, done.output
    assert asked == [("repro", "reproduction/dvc.yaml:across", "reproduction/dvc.yaml:row_a")]
    assert written == ["reproduction.paper1"]
    assert "fusion is left out: no hub is in reach" in done.stdout and "the page: " in done.stdout


def test_an_ablation_without_its_checkpoint_stops_nothing(asked, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(training_run, "lacking_checkpoints", lambda params, models: {
        model: "no hub is in reach" for model in models if model == "concat"})
    assert CliRunner().invoke(app, ["reproduce", "paper1"]).exit_code == 0
    assert asked == [("repro", "reproduction/dvc.yaml:paper1")], "the stage ablate leaves it out"


def test_a_wrong_setting_of_the_reproductions_is_named_in_the_place_of_what_dvc_says(asked, tmp_path, monkeypatch):
    def refuses(*arguments, say):
        raise UserError("dvc repro: failed to parse 'stages.folds.deps': Cannot interpolate data of type 'list'")

    (tmp_path / "data").mkdir()
    monkeypatch.setattr(workspace, "dvc", refuses)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    settings = yaml.safe_load((PROJECT / "reproduction/params.yaml").read_text())
    settings["folds"]["variants"] = ["original"]
    (tmp_path / "reproduction").mkdir(exist_ok=True)
    for content, words in ((settings, "reproduction/params.yaml: folds.variants is"), (
            yaml.safe_load((PROJECT / "reproduction/params.yaml").read_text()), "Cannot interpolate")):
        (tmp_path / "reproduction/params.yaml").write_text(yaml.safe_dump(content))
        done = CliRunner().invoke(app, ["reproduce", "paper2"])
        assert isinstance(done.exception, UserError) and words in str(done.exception) and \
            "\n" not in str(done.exception)


def test_another_paper_is_refused_before_anything_runs(asked):
    assert CliRunner().invoke(app, ["reproduce", "paper3"]).exit_code == 2 and asked == []


def test_a_page_that_was_not_written_is_one_line(asked):
    done = CliRunner().invoke(app, ["reproduce", "paper2"])
    assert isinstance(done.exception, UserError) and "reports/paper2/tables.json" in str(done.exception)
    write_json(Path("reports/paper2/tables.json"), [])
    done = CliRunner().invoke(app, ["reproduce", "paper2"])
    assert "holds no tables" in str(done.exception)
