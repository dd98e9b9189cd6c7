"""Where a flow run works: the worker's own clone, as it lies or at the commit that was deployed.

These are the pull steps of prefect.yaml. The clone is the one that the worker's `pipelines` package comes from.
Prefect's own git_clone does not do: on any trouble it removes the folder and clones anew, and with it go the data,
DVC's cache and the checkpoints that a killed run would go on from.
"""

import subprocess
from pathlib import Path

from filelock import FileLock, Timeout

from ser_ops import config
from ser_ops.errors import UserError

CLONE = Path(__file__).resolve().parents[1]


def as_it_lies() -> dict[str, str]:
    """The worker's clone, changes that are not committed among it."""
    return {"directory": str(CLONE)}


def at_commit(commit: str) -> dict[str, str]:
    """The worker's clone at a commit, fetched from its `origin` where it is not here yet.

    Files that git does not track stay: data, DVC's cache, outputs, checkpoints. Raises UserError, and changes nothing,
    when tracked files have changes, when `origin` cannot be reached or does not have the commit, and when another run
    works here for longer than compute.queue_seconds.
    """
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise UserError(f"{CLONE}: {changed.split()[1]} has changes that are not committed: commit them, push and "
                        "deploy again, or ask for the deployment `local`, which takes the folder as it lies")
    if _git("rev-parse", "HEAD") != commit:
        if not _has(commit):
            _git("fetch", "--quiet", "origin")
        if not _has(commit):
            raise UserError(f"{CLONE}: commit {commit[:12]} is not in origin: git push it where it was deployed")
        _switch(commit)
    return as_it_lies()


def _switch(commit: str) -> None:
    """No command of DVC that is under way sees its files change."""
    params = config.load(CLONE / "params.yaml")
    state, wait = CLONE / params.paths.state, params.compute.queue_seconds
    state.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(state / "workspace.lock", timeout=wait):
            _git("checkout", "--quiet", "--detach", commit)
    except Timeout as error:
        raise UserError(f"{CLONE}: another run has worked here for {wait:.0f} s: a worker has a clone of its own and "
                        "one run at a time (--limit 1)") from error


def _has(commit: str) -> bool:
    return subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=CLONE, capture_output=True,
                          check=False).returncode == 0


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=CLONE, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError("git is not on the PATH: install it (apt-get install git)") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise UserError(f"{CLONE}: git {arguments[0]}: {last}: the worker's clone needs an origin that it may read")
    return done.stdout.strip()
