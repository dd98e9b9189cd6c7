"""DVC in a small repository: what is said, how long each stage took, what a kill or another flow left behind."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from project_copy import write_settings
from warm_programs import warm_programs

from pipelines import steps
from ser_ops import workspace
from ser_ops.errors import UserError

pytestmark = pytest.mark.slow   # DVC's own commands

PROJECT = Path(__file__).resolve().parents[1]
STAGES = {
    "one": {"cmd": "python -c \"import time; time.sleep(0.3); open('one.txt', 'w').write('1')\"",
            "deps": ["params.yaml"], "outs": ["one.txt"]},
    "bad": {"cmd": "echo ERROR: the store is empty && false", "outs": ["bad.txt"]}}
PAPERS = {"two": {"wdir": "..", "cmd": "cp one.txt two.txt", "deps": ["one.txt"], "outs": ["two.txt"]}}


@pytest.fixture(autouse=True)
def warm(monkeypatch):
    """DVC starts warm, here and in the workspace."""
    monkeypatch.setattr(sys, "executable", str(warm_programs() / "python"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository with the stages one, bad and reproduction/dvc.yaml:two."""
    folder = tmp_path_factory.mktemp("repository")
    write_settings(folder)
    (folder / "reproduction").mkdir()
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (folder / "reproduction/dvc.yaml").write_text(yaml.safe_dump({"stages": PAPERS}))
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
    seconds = workspace.dvc("repro", "reproduction/dvc.yaml:two", say=said.append)
    assert list(seconds) == ["one", "reproduction/dvc.yaml:two"] and seconds["one"] >= 0.3
    assert (repository / "two.txt").read_text() == "1" and "Running stage 'one':" in said
    before = {file: (repository / file).read_bytes() for file in ("dvc.lock", "reproduction/dvc.lock")}
    assert workspace.dvc("repro", "reproduction/dvc.yaml:two", say=said.append) == {}, "all is up to date"
    assert before == {file: (repository / file).read_bytes() for file in before}, "a whole lock file stays"
    assert not any("cut short" in line for line in said)


def test_dvc_sees_reproductions_once_one_is_asked_for(tmp_path, monkeypatch, said):
    """The project's own graphs, without code and data: whatever is missing is listed, of what DVC sees."""
    for file in ("params.yaml", "dvc.yaml", "reproduction/dvc.yaml", "reproduction/params.yaml", ".dvcignore"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / file, tmp_path / file)
    shutil.copytree(PROJECT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm", "-f"], check=True,
                   env=workspace.environment())
    shutil.copy(PROJECT / ".dvcignore", tmp_path)
    workspace.dvc("status", say=said.append)
    listed = [line.removesuffix(":") for line in said if line.endswith(":") and not line.startswith("\t")]
    assert sorted(listed) == sorted(yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"])
    with pytest.raises(UserError, match=r"reproduction/dvc\.yaml:paper2: "):
        workspace.dvc("repro", "reproduction/dvc.yaml:paper2", say=said.append)
    said.clear()
    workspace.dvc("status", say=said.append)
    assert "reproduction/dvc.yaml:paper2:" in said


def test_checkpoints_come_with_the_data(repository, said):
    weights = repository / "pretrained/made/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights")
    (repository / "data").mkdir()
    workspace.dvc("remote", "add", "-q", "-d", "near", str(repository / "remote"), say=said.append)
    workspace.dvc("add", "-q", "pretrained/made", say=said.append)
    workspace.dvc("push", "-q", say=said.append)
    workspace.pull(said.append)
    assert said == [], "nothing is missing"
    for folder in ("pretrained/made", ".dvc/cache"):
        shutil.rmtree(repository / folder)
    workspace.pull(said.append)
    assert weights.read_text() == "weights"


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


def test_an_error_that_goes_on_in_the_next_line_is_whole(repository, said, command):
    command("print('ERROR: Checkout failed for following targets:\\ndata\\nIs your cache up to date?'); exit(1)")
    with pytest.raises(UserError) as raised:
        workspace.dvc("pull", say=said.append)
    assert str(raised.value).endswith(": Checkout failed for following targets: data") and len(said) == 3


@pytest.mark.parametrize("file", ["dvc.lock", "reproduction/dvc.lock"])
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


@pytest.mark.parametrize("work", [lambda say: workspace.dvc("repro", "one", say=say), workspace.mend])
def test_who_waits_too_long_is_told(repository, said, work):
    values = yaml.safe_load((repository / "params.yaml").read_text())
    values["compute"]["queue_seconds"] = 0.2
    write_settings(repository, values)
    with FileLock(repository / "state/workspace.lock"):
        began = time.monotonic()
        with pytest.raises(UserError, match="another flow has worked here"):
            work(say=said.append)
    assert time.monotonic() - began < 5 and said == []


def test_halves_of_a_failed_command_are_dropped_but_not_those_of_one_that_works(repository, said, command):
    half = repository / "elsewhere/files/md5/ab/.half.tmp"
    half.parent.mkdir(parents=True)
    (repository / ".dvc/config.local").write_text("[cache]\n    dir = ../elsewhere\n")
    half.touch()
    command("raise SystemExit(3)")
    with (repository / ".dvc/tmp/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)                        # as a `dvc pull` in another terminal does
        with pytest.raises(UserError, match="ended with code 3"):
            workspace.dvc("pull", say=said.append)
        workspace.mend(say=said.append)
        assert half.exists()
    with pytest.raises(UserError, match="ended with code 3"):
        workspace.dvc("pull", say=said.append)
    assert not half.exists()
    half.touch()
    workspace.mend(say=said.append)
    assert not half.exists(), "a kill leaves them too"


def test_halves_in_a_cache_of_several_repositories_stay_for_a_day(repository, said, tmp_path):
    new, old = (tmp_path / f"cache/files/md5/ab/.{name}.tmp" for name in ("new", "old"))
    new.parent.mkdir(parents=True)
    (repository / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path / 'cache'}\n")
    for half in (new, old):
        half.touch()
    os.utime(old, (0, 0))
    workspace.mend(say=said.append)
    assert new.exists() and not old.exists()


def test_halves_in_a_cache_of_several_worktrees_stay_for_a_day(repository, said):
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m",
                    "first"], check=True)
    subprocess.run(["git", "worktree", "add", "-q", "--detach", "state/runs/one"], check=True)
    half = repository / ".dvc/cache/files/md5/ab/.half.tmp"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.touch()
    workspace.mend(say=said.append)
    assert half.exists()


def test_a_default_remote_that_is_not_defined_is_not_shared(repository):
    (repository / ".dvc/config.local").write_text("[core]\n    remote = nobody\n")
    assert not steps.has_shared_remote()


def test_data_is_pulled_only_when_it_is_not_there(repository, monkeypatch):
    called = []
    monkeypatch.setattr(workspace, "dvc", lambda *arguments, say: called.append(arguments))
    workspace.pull()
    (repository / "data").mkdir()
    workspace.pull()
    assert called == [("pull", "data.dvc")]


@pytest.fixture(scope="module")
def pushed(made, tmp_path_factory):
    """The repository with data/, three recordings, pushed to a folder as DVC remote."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("pushed") / "repository")
    (folder / "data").mkdir()
    for number in range(3):
        (folder / f"data/{number}.wav").write_bytes(bytes([number]) * 1000)
    for command in (("remote", "add", "-d", "team", "remote"), ("remote", "modify", "team", "verify", "true"),
                    ("add", "-q", "data"), ("push", "-q")):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=folder, check=True, env=workspace.environment())
    return folder


@pytest.fixture
def recordings(pushed, repository):
    """The repository above; the cache file of its second recording."""
    shutil.rmtree(repository)
    shutil.copytree(pushed, repository)
    os.chdir(repository)
    name = hashlib.md5(b"\1" * 1000).hexdigest()
    return repository / ".dvc/cache/files/md5" / name[:2] / name[2:]


def damage(file, content=b"\1" * 500 + b"x" + b"\1" * 499):
    """As a failing disk does it: DVC's own mark, the file being read-only, stays."""
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(0o444)


def test_dvc_itself_takes_a_damaged_cache_file_for_whole(recordings, repository, said):
    damage(recordings)
    shutil.rmtree(repository / "data")
    workspace.dvc("pull", "data.dvc", say=said.append)
    assert b"x" in (repository / "data/1.wav").read_bytes(), "why `mend` has to look"


@pytest.mark.parametrize("checked_out", [True, False])
def test_a_damaged_cache_file_is_named_and_fetched_again(recordings, repository, said, checked_out):
    damage(recordings)
    shutil.rmtree(repository / "data")
    if checked_out:
        workspace.dvc("pull", "data.dvc", say=said.append)      # the damage is in the workspace now
        assert [damaged.paths for damaged in workspace.mend(say=said.append)] == [(repository / "data/1.wav",)]
    else:
        workspace.pull(say=said.append)
    assert any(line.endswith(f"{recordings.name} (data/1.wav) is damaged: fetched again") for line in said)
    assert [(repository / f"data/{number}.wav").read_bytes() for number in range(3)] == [
        bytes([number]) * 1000 for number in range(3)]
    assert recordings.read_bytes() == b"\1" * 1000 and workspace.mend(say=said.append) == []


def test_a_damaged_cache_file_comes_from_the_workspace_where_that_is_whole(recordings, repository, said):
    shutil.rmtree(repository / "remote")
    damage(recordings)
    workspace.mend(say=said.append)
    assert recordings.read_bytes() == b"\1" * 1000 and recordings.stat().st_mode & 0o777 == 0o444
    assert said[-1].endswith("(data/1.wav) is damaged: taken from the workspace again")


def test_a_changed_recording_stays_when_its_cache_file_is_damaged(recordings, repository, said):
    (repository / "data/1.wav").write_bytes(b"changed by hand")
    damage(recordings)
    workspace.mend(say=said.append)
    assert (repository / "data/1.wav").read_bytes() == b"changed by hand"
    assert recordings.read_bytes() == b"\1" * 1000


def test_a_damaged_listing_is_fetched_again(recordings, repository, said):
    (listing,) = repository.glob(".dvc/cache/files/md5/*/*.dir")
    damage(listing, listing.read_bytes()[:-20])
    shutil.rmtree(repository / "data")
    workspace.pull(say=said.append)
    assert sorted(path.name for path in (repository / "data").iterdir()) == ["0.wav", "1.wav", "2.wav"]
    assert any("(data) is damaged: fetched again" in line for line in said)


@pytest.mark.parametrize("checked_out", [True, False])
def test_a_recording_that_was_never_pushed_stays_as_damaged_as_it_is(recordings, repository, said, checked_out):
    shutil.rmtree(repository / "remote")
    damage(recordings)
    bad = recordings.read_bytes()
    shutil.rmtree(repository / "data")
    if checked_out:
        workspace.dvc("checkout", "data.dvc", say=said.append)
    for _ in range(2):
        with pytest.raises(UserError, match=f"data/1.wav: 1 files .* damaged copies are kept: .*{recordings.name}$"):
            workspace.mend(say=said.append)
        assert recordings.read_bytes() == bad and not list(recordings.parent.glob("*.damaged"))
        if checked_out:
            assert [(repository / f"data/{number}.wav").read_bytes() for number in range(3)] == [
                b"\0" * 1000, bad, b"\2" * 1000]


def test_a_damaged_listing_that_was_never_pushed_stays(recordings, repository, said):
    shutil.rmtree(repository / "remote")
    (listing,) = repository.glob(".dvc/cache/files/md5/*/*.dir")
    damage(listing, bad := listing.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged copies are kept"):
        workspace.mend(say=said.append)
    assert listing.read_bytes() == bad and recordings.exists()
    assert sorted(path.name for path in (repository / "data").iterdir()) == ["0.wav", "1.wav", "2.wav"]


def test_a_fetch_that_is_stopped_loses_nothing(recordings, repository, said, monkeypatch):
    damage(recordings)
    bad = recordings.read_bytes()
    shutil.copyfile(recordings, repository / "data/1.wav")

    def stopped(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(workspace, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        workspace.mend(say=said.append)
    assert recordings.read_bytes() == bad == (repository / "data/1.wav").read_bytes()


def test_what_no_output_of_now_is_made_of_is_put_aside(recordings, repository, said):
    old = recordings.with_name("0" * 30)
    old.write_bytes(b"old")
    workspace.mend(say=said.append)
    assert not old.exists() and said[-1].endswith(f"(of no output of now) is damaged: kept as {old.name}.damaged")
    assert workspace.mend(say=said.append) == []


def test_a_stage_output_that_is_damaged_everywhere_is_named_and_made_again(repository, said):
    workspace.dvc("repro", "one", say=said.append)
    file = repository / ".dvc/cache/files/md5" / "c4/ca4238a0b923820dcc509a6f75849b"    # of "1"
    damage(file, b"2")
    (repository / "one.txt").unlink()
    workspace.dvc("checkout", "one.txt", say=said.append)
    assert (repository / "one.txt").read_text() == "2", "the damage is in the workspace"
    with pytest.raises(UserError, match=r"one\.txt: .* a stage's outputs are made again by dvc repro.*\.damaged$"):
        workspace.mend(say=said.append)
    assert file.with_name(file.name + ".damaged").read_bytes() == b"2"
    assert "one" in workspace.dvc("repro", "one", say=said.append)
    assert (repository / "one.txt").read_text() == "1" and file.read_bytes() == b"1"
    assert workspace.mend(say=said.append) == []


def test_what_is_whole_nowhere_is_named(recordings, repository, said):
    half = repository / "remote" / recordings.relative_to(repository / ".dvc/cache")
    damage(half, b"\1" * 500)
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(UserError, match=r"data/1\.wav: 1 files are not, or not whole, in the DVC remote") as caught:
        workspace.pull(say=said.append)
    (listing,) = repository.glob("remote/files/md5/*/*.dir")
    for file in (half, listing):                                # what the line says
        assert str(file.relative_to(repository / "remote")) in str(caught.value)
        file.unlink()
    recordings.parent.mkdir(parents=True, exist_ok=True)
    recordings.write_bytes(b"\1" * 1000)                        # a machine that has it
    workspace.dvc("push", "-q", say=said.append)
    recordings.unlink()
    workspace.pull(say=said.append)
    assert (repository / "data/1.wav").read_bytes() == b"\1" * 1000


def test_a_remote_that_is_away_is_not_blamed_for_its_files(recordings, repository, said, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc/cache")
    for command in (("remote", "modify", "team", "url", "s3://nobody/here"),
                    ("remote", "modify", "team", "endpointurl", "http://127.0.0.1:9")):
        subprocess.run([sys.executable, "-m", "dvc", *command], check=True, env=workspace.environment())
    with pytest.raises(UserError) as caught:
        workspace.pull(say=said.append)
    assert "Could not connect to the endpoint" in str(caught.value) and "planted" not in str(caught.value)
