"""The worker's clone at the commit that was deployed: what moves, what stays, and what is said when it cannot be."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

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
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
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
