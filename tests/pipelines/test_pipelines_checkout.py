"""The worker's clone at the commit that was deployed: what moves, what stays, and what is said when it cannot be."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from project_copy import write_settings

from pipelines import checkout
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
    (folder / ".gitignore").write_text("/state/\n/data\n")
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
