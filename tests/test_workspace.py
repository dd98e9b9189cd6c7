"""DVC in a small repository: what is said, how long each stage took, what a kill or another flow left behind."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from ser_ops import workspace
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[1]
STAGES = {
    "one": {"cmd": "python -c \"import time; time.sleep(0.3); open('one.txt', 'w').write('1')\"",
            "deps": ["params.yaml"], "outs": ["one.txt"]},
    "bad": {"cmd": "echo ERROR: the store is empty && false", "outs": ["bad.txt"]}}
PAPERS = {"two": {"wdir": "..", "cmd": "cp one.txt two.txt", "deps": ["one.txt"], "outs": ["two.txt"]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository with the stages one, bad and papers/dvc.yaml:two."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copy(PROJECT / "params.yaml", folder)
    (folder / "papers").mkdir()
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (folder / "papers/dvc.yaml").write_text(yaml.safe_dump({"stages": PAPERS}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True,
                   env=workspace.environment())
    return folder


@pytest.fixture
def repository(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "repository")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def said():
    return []


@pytest.fixture
def command(monkeypatch):
    """In place of dvc: Python code that runs for each command."""
    def instead(code):
        run = workspace._run
        monkeypatch.setattr(workspace, "_run", lambda _, say: run([sys.executable, "-c", code], say))
    return instead


def test_stages_of_both_files_run_once_and_are_timed(repository, said):
    seconds = workspace.dvc("repro", "papers/dvc.yaml:two", say=said.append)
    assert list(seconds) == ["one", "papers/dvc.yaml:two"] and seconds["one"] >= 0.3
    assert (repository / "two.txt").read_text() == "1" and "Running stage 'one':" in said
    before = {file: (repository / file).read_bytes() for file in ("dvc.lock", "papers/dvc.lock")}
    assert workspace.dvc("repro", "papers/dvc.yaml:two", say=said.append) == {}, "all is up to date"
    assert before == {file: (repository / file).read_bytes() for file in before}, "a whole lock file stays"
    assert not any("cut short" in line for line in said)


def test_an_error_is_one_line_of_the_stage_itself(repository, said):
    with pytest.raises(UserError) as raised:
        workspace.dvc("repro", "bad", say=said.append)
    assert str(raised.value) == "dvc repro bad: the store is empty"
    assert any("failed to reproduce 'bad'" in line for line in said), "what DVC says goes to the reader too"
    with pytest.raises(UserError, match="Stage 'nobody' not found"):
        workspace.dvc("repro", "nobody", say=said.append)


def test_a_failure_without_an_error_line_names_the_code(repository, said, command):
    command("print('half way'); raise SystemExit(3)")
    with pytest.raises(UserError, match="ended with code 3: see its lines above"):
        workspace.dvc("repro", say=said.append)
    assert said == ["half way"]


@pytest.mark.parametrize("file", ["dvc.lock", "papers/dvc.lock"])
@pytest.mark.parametrize("cut", [0, 3, 12, 25, 40])
def test_a_lock_file_that_was_cut_is_removed_and_said(repository, said, command, file, cut):
    (repository / file).write_text("schema: '2.0'\nstages:\n  one:\n    cmd: 'true'\n"[:cut])
    command("")
    workspace.dvc("repro", say=said.append)
    assert not (repository / file).exists()
    assert len(said) == 1 and said[0].startswith(f"{file} was cut short by a kill and is removed")


def test_what_a_cut_lock_file_forgot_comes_back_from_the_run_cache(repository, said):
    workspace.dvc("repro", "one", say=said.append)
    whole = (repository / "dvc.lock").read_bytes()
    (repository / "dvc.lock").write_bytes(whole[:25])  # YAML still, and refused by DVC
    assert workspace.dvc("repro", "one", say=said.append) == {}, "nothing runs a second time"
    assert (repository / "one.txt").read_text() == "1"


def test_two_commands_queue(repository, said, command):
    command("import time; print('in'); time.sleep(0.2); print('out')")
    threads = [threading.Thread(target=workspace.dvc, args=("repro",), kwargs={"say": said.append}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["in", "out"] * 3


def test_who_waits_too_long_is_told(repository, said):
    values = yaml.safe_load((repository / "params.yaml").read_text())
    values["compute"]["queue_seconds"] = 0.2
    (repository / "params.yaml").write_text(yaml.safe_dump(values))
    with FileLock(repository / "state/workspace.lock"):
        began = time.monotonic()
        with pytest.raises(UserError, match="another flow has worked here"):
            workspace.dvc("repro", "one", say=said.append)
    assert time.monotonic() - began < 5 and said == []


def test_data_is_pulled_only_when_it_is_not_there(repository, monkeypatch):
    called = []
    monkeypatch.setattr(workspace, "dvc", lambda *arguments, say: called.append(arguments))
    workspace.pull()
    (repository / "data").mkdir()
    workspace.pull()
    assert called == [("pull", "--quiet", "data.dvc")]
