"""Where a flow run works: the worker's clone at the deployed commit, or a worktree with settings of its own."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from dvc.config import Config as DvcConfig
from dvc.utils.serialize import load_yaml
from filelock import FileLock
from project_copy import write_settings

from pipelines import checkout
from ser_ops.config.params import load_params
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=folder,
                          capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def author(tmp_path):
    """The repository that is pushed to `origin`, with two commits; the second is not pushed yet."""
    folder = tmp_path / "author"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "init", "-q", "--bare", "-b", "main", str(tmp_path / "origin"))
    git(folder, "remote", "add", "origin", str(tmp_path / "origin"))
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values["compute"]["queue_seconds"] = 0.2
    write_settings(folder, values)
    (folder / "code.py").write_text("1")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / ".gitignore").write_text("/state/\n/data\n/pretrained/\n/.dvc/config.local\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    git(folder, "push", "-q", "origin", "main")
    (folder / "code.py").write_text("2")
    git(folder, "commit", "-qam", "second")
    return folder


@pytest.fixture
def clone(author, monkeypatch):
    """A worker's clone of what was pushed, with data, a checkpoint and DVC's lock file that git does not know."""
    folder = author.parent / "clone"
    git(author.parent, "clone", "-q", "--depth", "1", f"file://{author.parent / 'origin'}", str(folder))
    for name in ("data/a.wav", "state/train/epoch-0003", "dvc.lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("kept")
    monkeypatch.setattr(checkout, "CLONE", folder)
    return folder


def test_a_pushed_commit_comes_and_what_git_does_not_know_stays(author, clone):
    git(author, "push", "-q", "origin", "main")
    for revision, code in (("main", "2"), ("main~1", "1"), ("main", "2")):
        assert checkout.at_commit(git(author, "rev-parse", revision)) == {"directory": str(clone)}
        assert (clone / "code.py").read_text() == code
    for name in ("data/a.wav", "state/train/epoch-0003", "dvc.lock"):
        assert (clone / name).read_text() == "kept"


def test_a_commit_that_is_here_needs_no_origin(author, clone):
    shutil.rmtree(author.parent / "origin")
    checkout.at_commit(git(author, "rev-parse", "main~1"))
    with pytest.raises(UserError, match=r"git fetch: .*the worker's clone needs an origin"):
        checkout.at_commit(git(author, "rev-parse", "main"))
    assert (clone / "code.py").read_text() == "1"


def test_a_commit_that_was_not_pushed_is_named(author, clone):
    commit = git(author, "rev-parse", "main")
    with pytest.raises(UserError, match=f"commit {commit[:12]} is not in origin: git push it"):
        checkout.at_commit(commit)


def test_changes_are_never_overwritten_nor_run_under_a_false_name(author, clone):
    git(author, "push", "-q", "origin", "main")
    (clone / "code.py").write_text("mine")
    for revision in ("main", "main~1"):
        with pytest.raises(UserError, match=r"code\.py has changes that are not committed"):
            checkout.at_commit(git(author, "rev-parse", revision))
    assert (clone / "code.py").read_text() == "mine"
    assert checkout.as_it_lies() == {"directory": str(clone)}


def test_files_do_not_change_under_a_command_of_dvc(author, clone):
    git(author, "push", "-q", "origin", "main")
    commit = git(author, "rev-parse", "main")
    lock = FileLock(clone / "state/workspace.lock", thread_local=False)
    with lock, pytest.raises(UserError, match="another run has worked here"):
        checkout.at_commit(commit)
    assert (clone / "code.py").read_text() == "1"
    lock.acquire()
    threading.Timer(0.1, lock.release).start()
    checkout.at_commit(commit)
    assert (clone / "code.py").read_text() == "2"


def test_a_branch_with_commits_of_its_own_is_left_alone(author, clone):
    git(author, "push", "-q", "origin", "main")
    commit = git(author, "rev-parse", "main")
    (clone / "mine.py").write_text("1")
    git(clone, "add", "mine.py")
    git(clone, "commit", "-qm", "mine")
    with pytest.raises(UserError, match=r"has commits of its own.*use a clone of its own for a worker") as raised:
        checkout.at_commit(commit)
    assert "\n" not in str(raised.value) and git(clone, "symbolic-ref", "--short", "HEAD") == "main"
    assert (clone / "mine.py").exists()
    git(clone, "checkout", "-q", "--detach")
    checkout.at_commit(commit)
    assert git(clone, "rev-parse", "HEAD") == commit


@pytest.mark.parametrize("known", ["by both", "by the deployed one", "by the one here", "by neither, but staged"])
def test_lock_files_that_dvc_rewrites_stop_no_worker(author, clone, known):
    (clone / "dvc.lock").unlink()
    (clone / "reproduction").mkdir()
    for name in ("dvc.lock", "reproduction/dvc.lock"):
        (author / name).parent.mkdir(exist_ok=True)
        (author / name).write_text("committed")
    if known in ("by both", "by the one here"):
        git(author, "add", "-A")
        git(author, "commit", "-qm", "locks")
        git(author, "push", "-q", "origin", "main")
        checkout.at_commit(git(author, "rev-parse", "main"))
    if known == "by the one here":
        git(author, "rm", "-q", "--cached", "dvc.lock", "reproduction/dvc.lock")
    if known == "by the deployed one":
        git(author, "add", "-A")
    (author / "code.py").write_text("3")
    git(author, "add", "code.py")
    git(author, "commit", "-qm", "third")
    git(author, "push", "-q", "origin", "main")
    for name in ("dvc.lock", "reproduction/dvc.lock"):
        (clone / name).write_text("by a run")
    if known == "by neither, but staged":
        git(clone, "add", "-A")
    checkout.at_commit(git(author, "rev-parse", "main"))
    assert (clone / "code.py").read_text() == "3"
    if known in ("by both", "by the deployed one"):
        assert (clone / "dvc.lock").read_text() == (clone / "reproduction/dvc.lock").read_text() == "committed"
    (clone / "dvc.lock").write_text("by a run")
    checkout.at_commit(git(author, "rev-parse", "main"))
    assert (clone / "dvc.lock").read_text() == "by a run"


def test_what_git_refuses_is_said_in_its_own_words(author, clone):
    (author / "new.py").write_text("theirs")
    git(author, "add", "new.py")
    git(author, "commit", "-qm", "third")
    git(author, "push", "-q", "origin", "main")
    (clone / "new.py").write_text("mine")
    with pytest.raises(UserError, match=r"git checkout: error: .*would be overwritten.* new\.py: mend") as raised:
        checkout.at_commit(git(author, "rev-parse", "main"))
    assert "origin" not in str(raised.value) and "\n" not in str(raised.value)
    assert (clone / "new.py").read_text() == "mine"


@pytest.fixture
def at_clone(clone, monkeypatch):
    """A run that begins in the clone, whose tracking store is the file of its settings."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(clone)
    return clone


def status(folder: Path) -> str:
    return git(folder, "status", "--porcelain", "--untracked-files=no")


def test_settings_are_in_force_in_a_folder_of_the_run_and_nowhere_else(at_clone):
    lines = []
    settings = ["preset=paper", 'data.corpora=["ravdess", "mine"]', "train.seed=41"]
    with checkout.with_settings(settings, say=lines.append):
        folder, params = Path.cwd(), load_params()
        assert (params.preset, params.data.corpora, params.train.seed) == ("paper", ("ravdess", "mine"), 41)
        assert folder.is_relative_to(at_clone / "state/runs") and (folder / "code.py").read_text() == "1"
        assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{at_clone}/mlflow.db"
        assert DvcConfig(str(folder / ".dvc"))["cache"]["dir"] == str(at_clone / ".dvc/cache")
        assert not (folder / "data").exists(), "DVC brings the commit's own"
        assert status(at_clone) == "" and load_params(at_clone / "params.yaml").train.seed == 40
    assert Path.cwd() == at_clone and "MLFLOW_TRACKING_URI" not in os.environ and status(at_clone) == ""
    assert str(folder) in lines[0] and "preset=paper" in lines[0]


def test_the_next_attempt_finds_the_checkpoints_of_the_same_settings_and_of_no_others(at_clone):
    with pytest.raises(KeyboardInterrupt), checkout.with_settings(["train.seed=41"]):
        first = Path.cwd()
        (first / "state/epoch-0003").write_text("kept")
        (first / "params.yaml").write_text("cut short by a ki")
        raise KeyboardInterrupt
    assert Path.cwd() == at_clone
    with checkout.with_settings(["train.seed=41"]):
        assert Path.cwd() == first and Path("state/epoch-0003").read_text() == "kept" and load_params().train.seed == 41
    with checkout.with_settings(["train.seed=42"]):
        assert Path.cwd() != first and not Path("state/epoch-0003").exists()


def test_the_folder_follows_the_clone_to_another_commit(author, at_clone):
    with checkout.with_settings(["train.seed=41"]):
        assert Path("code.py").read_text() == "1"
    git(author, "push", "-q", "origin", "main")
    checkout.at_commit(git(author, "rev-parse", "main"))
    with checkout.with_settings(["train.seed=41"]):
        assert Path("code.py").read_text() == "2" and load_params().train.seed == 41


def test_a_worktree_that_a_kill_left_half_made_is_made_anew(at_clone):
    with checkout.with_settings(["train.seed=41"]):
        folder = Path.cwd()
    (folder / ".git").unlink()
    with checkout.with_settings(["train.seed=41"]):
        assert Path.cwd() == folder and load_params().train.seed == 41


def test_without_settings_a_run_works_where_it_is(at_clone):
    (at_clone / "code.py").write_text("mine")
    with checkout.with_settings([]):
        assert Path.cwd() == at_clone
    assert not (at_clone / "state/runs").exists()


def test_changes_that_are_not_committed_are_not_left_out_in_silence(at_clone):
    (at_clone / "code.py").write_text("mine")
    with pytest.raises(UserError, match=r"code\.py has changes that are not committed.*ask without parameters"), \
            checkout.with_settings(["train.seed=41"]):
        pass
    assert not (at_clone / "state/runs").exists()


@pytest.mark.parametrize(("setting", "words"), [
    ("train.sed=41", "params.yaml: Could not override 'train.sed'"), ("train.seed=many", "train.seed"),
    ("preset=papers", "papers"), ("presets/no.yaml:train.epochs=3", "presets/no.yaml"),
    ("train.seed", "write [FILE:]KEY=VALUE"), ("paths.state=/elsewhere", "write [FILE:]KEY=VALUE"),
    ("dvc.yaml:stages.train.cmd=rm", "write [FILE:]KEY=VALUE"), ("../params.yaml:a=1", "write [FILE:]KEY=VALUE"),
    ("++paths.state=/elsewhere", "write [FILE:]KEY=VALUE"), ("tracking.uri=http://x", "write [FILE:]KEY=VALUE"),
    ("data.calm=${oc.env:HOME}", "write [FILE:]KEY=VALUE"),
])
def test_a_setting_that_is_none_is_one_line(at_clone, setting, words):
    with pytest.raises(UserError) as refused, checkout.with_settings([setting]):
        pass
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1 and Path.cwd() == at_clone


def test_a_setting_under_that_of_the_preset_is_refused_with_the_one_to_write(at_clone):
    with pytest.raises(UserError, match=r"is not in force.* write presets/small\.yaml:train\.epochs=3"), \
            checkout.with_settings(["preset=small", "train.epochs=3"]):
        pass
    with checkout.with_settings(["preset=small", "presets/small.yaml:train.epochs=3"]):
        assert load_params().train.epochs == 3


def test_dvc_reads_a_file_whose_values_within_braces_need_quotes(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text('tracking: {uri: "sqlite:///mlflow.db", lease: 30}\ntrain: {seed: 40}\n')
    checkout._override_file(file, ["train.seed=41"])
    assert load_yaml(file) == {"tracking": {"uri": "sqlite:///mlflow.db", "lease": 30}, "train": {"seed": 41}}


def test_checkpoints_that_dvc_does_not_track_come_along(at_clone):
    for name in ("mine", "tracked"):
        (at_clone / "pretrained" / name).mkdir(parents=True)
        (at_clone / "pretrained" / name / "model.safetensors").write_text(name)
    (at_clone / "pretrained/tracked.dvc").write_text("outs: []")
    for _ in range(2):
        with checkout.with_settings(["train.seed=41"]):
            assert Path("pretrained/mine/model.safetensors").read_text() == "mine"
            assert not Path("pretrained/tracked").exists()


def test_remotes_of_the_machine_are_those_of_the_run(at_clone):
    (at_clone / ".dvc/config.local").write_text("[core]\n    remote = here\n['remote \"here\"']\n    url = ../remote\n"
                                               "[cache]\n    dir = ../store\n")
    with checkout.with_settings(["train.seed=41"]):
        settings = DvcConfig(".dvc")
        assert Path(settings["remote"]["here"]["url"]).resolve() == at_clone / "remote"
        assert Path(settings["cache"]["dir"]).resolve() == at_clone / "store"
