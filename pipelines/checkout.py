"""Where a flow run works: the worker's own clone, as it lies or at the commit that was deployed.

These are the pull steps of prefect.yaml. The clone is the one that the worker's `pipelines` package comes from.
Prefect's own git_clone does not do: on any trouble it removes the folder and clones anew, and with it go the data,
DVC's cache and the checkpoints that a killed run would go on from.
"""

import os
import subprocess
from pathlib import Path

from filelock import FileLock, Timeout

from ser_ops import config
from ser_ops.errors import UserError

CLONE = Path(__file__).resolve().parents[1]
LOCKS = ("dvc.lock", "reproduction/dvc.lock")     # DVC rewrites them in each run: no change by hand


def as_it_lies() -> dict[str, str]:
    """The worker's clone, changes that are not committed among it."""
    return {"directory": str(CLONE)}


def at_commit(commit: str) -> dict[str, str]:
    """The worker's clone at a commit, fetched from its `origin` where it is not here yet.

    Files that git does not track stay: data, DVC's cache, outputs, checkpoints. Raises UserError, and changes nothing,
    when tracked files but DVC's lock files have changes, when a branch is checked out that has commits which this one
    does not contain, when `origin` cannot be reached or does not have the commit, and when another run works here for
    longer than compute.queue_seconds.
    """
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".",
                   *(f":(exclude,top){name}" for name in LOCKS))
    if changed:
        raise UserError(f"{CLONE}: {changed.split()[1]} has changes that are not committed: commit them, push and "
                        "deploy again, or ask for the deployment `local`, which takes the folder as it lies")
    if _git("rev-parse", "HEAD") != commit:
        if not _has(commit):
            _git("fetch", "--quiet", "origin")
        if not _has(commit):
            raise UserError(f"{CLONE}: commit {commit[:12]} is not in origin: git push it where it was deployed")
        # Somebody works on that branch: what they commit after a silent switch would land on none.
        if _succeeds("symbolic-ref", "HEAD") and not _succeeds("merge-base", "--is-ancestor", "HEAD", commit):
            raise UserError(f"{CLONE}: this folder has commits of its own, which {commit[:12]} does not contain: use a "
                            "clone of its own for a worker (and there git checkout --detach), or push and deploy again")
        _switch(commit)
    return as_it_lies()


def _switch(commit: str) -> None:
    """No command of DVC that is under way sees its files change."""
    params = config.load(CLONE / "params.yaml")
    state, wait = CLONE / params.paths.state, params.compute.queue_seconds
    state.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(state / "workspace.lock", timeout=wait):
            _clear_locks(commit)
            _git("checkout", "--quiet", "--detach", commit)
    except Timeout as error:
        raise UserError(f"{CLONE}: another run has worked here for {wait:.0f} s: a worker has a clone of its own and "
                        "one run at a time (--limit 1)") from error


def _clear_locks(commit: str) -> None:
    """No lock file of DVC is in the way of `commit`; what one said of stages is in DVC's run cache too."""
    for name in LOCKS:
        _git("reset", "--quiet", "--", name)
        if _git("ls-tree", "--name-only", "HEAD", "--", name):
            _git("checkout", "--quiet", "HEAD", "--", name)
        elif _git("ls-tree", "--name-only", commit, "--", name):
            (CLONE / name).unlink(missing_ok=True)


def _has(commit: str) -> bool:
    return _succeeds("cat-file", "-e", f"{commit}^{{commit}}")


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(["git", *arguments], cwd=CLONE, capture_output=True, check=False).returncode == 0


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=CLONE, capture_output=True, text=True, check=False,
                              env=os.environ | {"LC_ALL": "C"})     # its words are looked through below
    except FileNotFoundError as error:
        raise UserError("git is not on the PATH: install it (apt-get install git)") from error
    if done.returncode:
        remedy = "the worker's clone needs an origin that it may read" if arguments[0] == "fetch" else "mend it by hand"
        raise UserError(f"{CLONE}: git {arguments[0]}: {_why(done.stderr)}: {remedy}")
    return done.stdout.strip()


def _why(said: str) -> str:
    """Git's own line of what went wrong, and the first file that it names below it."""
    lines = said.strip().splitlines() or ["no word of why"]
    at = next((at for at, line in enumerate(lines) if line.startswith(("error:", "fatal:"))), len(lines) - 1)
    return " ".join(line.strip() for line in lines[at:at + 2]) if lines[at].endswith(":") else lines[at]
