"""Runs on a real server: what they carry, how they end, how they go on."""

import errno
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.tracking.runs import data_md5, git_commit, git_dirty, open_run, reopen
from ser_ops.tracking.server import connect

KILLED = """
import os, signal, sys
from pathlib import Path
from ser_ops.config.params import load_params
from ser_ops.tracking.runs import open_run
params = load_params(Path(sys.argv[1]))
params = params.model_copy(update={"tracking": params.tracking.model_copy(update={"experiment": sys.argv[2]})})
with open_run(params, "train", {"stage": "train"}) as run:
    run.params({"seed": 40})
    run.metrics({"validation/uar": 0.1}, step=1)
    run.write(Path("kept.json"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def of(params, run_id):
    return mlflow.MlflowClient(params.tracking.uri).get_run(run_id)


def with_uri(params, uri, timeout=1.0):
    return params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": uri, "timeout": timeout})})


def test_a_run_carries_what_it_was_given(params, tmp_path, capfd):
    Path("manifest.csv").write_text("utterance,emotion\na,sad\nb,happy\n")
    Path("figures").mkdir()
    Path("figures/curves.png").write_bytes(b"png")
    Path("data.dvc").write_text("outs:\n- md5: 0123abcd.dir\n  path: data\n")
    with open_run(params, "train fusion", {"stage": "train"}) as run:
        run.params({"train": {"seed": 40, "rates": [0.1, 0.2]}, "layers": {}})
        run.params({"train": {"seed": 40}})
        for epoch in (1, 2):
            run.metrics({"validation/uar": epoch / 10}, step=epoch)
        run.metrics({"noisy/fish_market@0.50/uar": 0.4, "worst": float("nan"), "huge": float("inf")})
        run.tags({"best": 2})
        run.dataset(Path("manifest.csv"), "manifest")
        run.artifact(Path("manifest.csv"), "tables")
        run.artifact(Path("figures"), "figures")
        run.write(Path("run.json"))
    logged = of(params, run.id)
    assert logged.info.status == "FINISHED" and logged.info.run_name == "train fusion"
    assert logged.data.params == {"train.seed": "40", "train.rates": "[0.1, 0.2]", "layers": "{}"}
    assert logged.data.metrics["noisy/fish_market:0.50/uar"] == 0.4 and "huge" not in logged.data.metrics
    client = mlflow.MlflowClient(params.tracking.uri)
    history = client.get_metric_history(run.id, "validation/uar")
    assert [(metric.step, metric.value) for metric in history] == [(1, .1), (2, .2)]
    tags = logged.data.tags
    assert tags["stage"] == "train" and tags["best"] == "2" and tags["data_md5"] == "0123abcd.dir"
    assert tags["preset"] == "demo" and tags["partition"] == "speaker" and tags["git_commit"] == git_commit()
    assert json.loads(tags["corpora"]) == list(params.data.corpora)
    dataset = logged.inputs.dataset_inputs[0].dataset
    assert dataset.name == "manifest" and json.loads(dataset.source)["uri"] == "manifest.csv"
    assert json.loads(dataset.profile)["num_rows"] == 2 and len(dataset.digest) == 16
    assert {file.path for file in client.list_artifacts(run.id)} == {"tables", "figures"}
    assert json.loads(Path("run.json").read_text())["run_id"] == run.id
    assert not any(str(tmp_path) in value for value in tags.values())
    assert capfd.readouterr() == ("", ""), "MLflow's own lines must not reach the user"


def test_another_value_of_a_parameter_is_another_run(params):
    with pytest.raises(UserError, match="seed was logged as 1, now 2"), open_run(params, "a", {}) as run:
        run.params({"seed": 1})
        run.params({"seed": 2})
    assert of(params, run.id).info.status == "FAILED"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_block_that_raises_says_so(params, error, status):
    with pytest.raises(error), open_run(params, "a", {}) as run:
        raise error
    assert of(params, run.id).info.status == status


def test_children_stand_below_their_parent_whatever_the_environment_says(params, monkeypatch):
    with open_run(params, "tune", {}) as parent:
        monkeypatch.setenv("MLFLOW_RUN_ID", parent.id)
        with open_run(params, "trial 0", {}, parent=parent.id) as child:
            child.metrics({"uar": 0.2}, step=0)
    assert child.id != parent.id
    assert of(params, child.id).data.tags["mlflow.parentRunId"] == parent.id
    assert "uar" not in of(params, parent.id).data.metrics


def test_a_killed_run_goes_on(params):
    environment = os.environ | {"MLFLOW_TRACKING_URI": params.tracking.uri}
    source = Path(__file__).resolve().parents[2] / "params.yaml"
    done = subprocess.run([sys.executable, "-c", KILLED, str(source), params.tracking.experiment], env=environment,
                          check=False)
    assert done.returncode == -signal.SIGKILL
    kept = json.loads(Path("kept.json").read_text())["run_id"]
    assert of(params, kept).info.status == "RUNNING"
    with open_run(params, "train", {"stage": "train"}, resume=kept) as run:
        run.params({"seed": 40})
        run.metrics({"validation/uar": 0.2}, step=2)
    assert run.id == kept
    history = mlflow.MlflowClient(params.tracking.uri).get_metric_history(kept, "validation/uar")
    assert [metric.step for metric in history] == [1, 2]
    assert of(params, kept).info.status == "FINISHED"


def test_reopen_goes_on_with_the_run_of_run_json(params):
    with open_run(params, "train", {}) as run:
        run.write(Path("run.json"))
    with reopen(params, Path("run.json")) as again:
        again.metrics({"clean/uar": 0.6})
    assert again.id == run.id and of(params, run.id).data.metrics == {"clean/uar": 0.6}
    assert of(params, run.id).info.status == "FINISHED"


def test_reopen_of_a_run_that_this_server_does_not_have_logs_anew(params, capsys):
    stranger = "0" * 32
    Path("fusion").mkdir()
    Path("fusion/run.json").write_text(json.dumps({"run_id": stranger}))
    with reopen(params, Path("fusion/run.json")) as run:
        run.metrics({"clean/uar": 0.6})
    assert run.id != stranger and of(params, run.id).data.tags["continues"] == stranger
    assert stranger in capsys.readouterr().err
    with reopen(params, Path("fusion/run.json")) as explain:
        explain.artifact(Path("fusion/run.json"), "explanations")
    assert explain.id == run.id, "one run for all stages"


def test_a_full_disk_is_one_line(params, monkeypatch):
    def full(*arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/a")

    with open_run(params, "a", {}) as run:
        monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", full)
        Path("a").write_text("a")
        with pytest.raises(UserError, match="/tmp/a: cannot be written \\(No space left"):
            run.artifact(Path("a"))


def test_run_json_that_is_none(params):
    Path("run.json").write_text("[]")
    with pytest.raises(UserError, match="names no run"), reopen(params, Path("run.json")):
        pass


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "http://:::"])
def test_what_is_no_store_is_one_line(params, uri):
    with pytest.raises(UserError) as raised, open_run(with_uri(params, uri), "a", {}):
        pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["refused", "silent", "postgresql", "sqlite", "not sqlite"])
def test_a_server_that_is_down_is_one_line_in_time(params, kind, tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        if kind == "silent":
            listening.listen()
        (tmp_path / "file").write_text("no folder, no database")
        uri = {"sqlite": f"sqlite:///{tmp_path}/file/mlflow.db", "not sqlite": f"sqlite:///{tmp_path}/file",
               "postgresql": f"postgresql://ann:secret@127.0.0.1:{port}/mlflow"}.get(
                   kind, f"http://ann:secret@127.0.0.1:{port}")
        began = time.monotonic()
        with pytest.raises(UserError) as raised, open_run(with_uri(params, uri), "a", {}):
            pass
    assert time.monotonic() - began < 15
    assert "\n" not in str(raised.value) and "secret" not in str(raised.value)


def test_credentials_stay_out_of_the_record(params):
    uri = params.tracking.uri.replace("http://", "http://ann:secret@")
    with open_run(with_uri(params, uri, 10), "a", {}) as run:
        run.write(Path("run.json"))
    assert "secret" not in Path("run.json").read_text() and "127.0.0.1" in Path("run.json").read_text()
    assert "secret" not in str(of(params, run.id).to_dictionary())


def _first(source, uri):
    os.environ["MLFLOW_TRACKING_URI"] = uri
    with open_run(load_params(source), "first", {}) as run:
        for step in range(5):
            run.metrics({"uar": 0.5}, step)
    return run.id


@pytest.mark.slow
def test_several_processes_may_be_the_first_to_use_a_database(tmp_path):
    source = Path(__file__).resolve().parents[2] / "params.yaml"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        ids = pool.starmap(_first, [(source, f"sqlite:///{tmp_path}/mlflow.db")] * 3)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert len({client.get_run(run_id).info.experiment_id for run_id in ids}) == 1 and len(set(ids)) == 3


def test_git_and_dvc_in_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (git_commit(), git_dirty(), data_md5()) == ("unknown", "unknown", "untracked")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    Path("a").write_text("1")
    Path("dvc.lock").write_text("1")
    for command in (["init", "-q"], ["add", "a", "dvc.lock"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True)
    Path("dvc.lock").write_text("dvc repro writes it while stages run")
    Path("reproduction").mkdir()
    Path("reproduction/dvc.lock").write_text("and this one")
    assert len(git_commit()) == 40 and git_dirty() == "false"
    Path("a").write_text("2")
    assert git_dirty() == "true"


def test_importing_the_room_is_fast():
    code = "import sys, ser_ops.tracking; print([one for one in ('mlflow', 'torch', 'pandas') if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_database_whose_making_was_killed_is_made_anew(params, tmp_path, monkeypatch):
    """Its tables are made beside it: whatever stops that leaves no half of them in its place, nor an empty file."""
    file = tmp_path / "store" / "mlflow.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    params = params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": f"sqlite:///{file}"})})
    with monkeypatch.context() as patched:
        made = mlflow.MlflowClient.search_experiments

        def stopped(client, **settings):
            made(client, **settings)
            raise KeyboardInterrupt

        patched.setattr(mlflow.MlflowClient, "search_experiments", stopped)
        with pytest.raises(KeyboardInterrupt):
            connect(params)
    assert not file.exists()
    file.touch()    # what an older version left
    assert connect(params).search_experiments(max_results=1)
