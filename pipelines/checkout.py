"""Where a flow run works: the worker's clone, or for settings of its own a folder beside it.

The functions `as_it_lies` and `at_commit` are the pull steps of prefect.yaml. The clone is the one that the worker's
`pipelines` package comes from. Prefect's own git_clone does not do: on any trouble it removes the folder and clones
again, and with it go the data, DVC's cache and the checkpoints from which a killed run would go on.

A run that is asked for with other settings (`with_settings`) never changes a file that a person works with: it gets a
git worktree below paths.state, with a params.yaml of its own and the clone's DVC cache.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ser_ops.config.params import PRESETS, Params, load_params
from ser_ops.documents import read_yaml
from ser_ops.errors import UserError
from ser_ops.tracking.server import URI_VARIABLE, sqlite_file, tracking_uri

CLONE = Path(__file__).resolve().parents[1]
LOCKS = ("dvc.lock", "reproduction/dvc.lock")     # DVC rewrites them in each run: no change by hand
# Settings of the paths and the tracking store stay those of the clone. A dollar would let Hydra read the environment.
_SETTING = re.compile(r"((reproduction/)?params\.yaml:|presets/[\w-]+\.yaml:)?\+{0,2}(?!paths\b|tracking\b)[\w.-]+="
                      r"[^$]*")


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
    if changed := _changed_file():
        raise UserError(f"{CLONE}: {changed} has changes that are not committed: commit them, push and "
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
        params = load_params(CLONE / "params.yaml")
        # No command of DVC that is under way sees its files change.
        with _alone(CLONE / params.paths.state / "workspace.lock", params.compute.queue_seconds):
            _clear_locks(commit)
            _git("checkout", "--quiet", "--detach", commit)
    return as_it_lies()


@contextmanager
def with_settings(overrides: Sequence[str], say: Callable[[str], None] = print) -> Iterator[None]:
    """Let the block work in a folder of its own, where `overrides` are in force; without any, where it is.

    The folder is a git worktree of the clone's commit, below paths.state/runs and named by its overrides: the same ones
    find the checkpoints of an earlier attempt there, and what was made before comes from DVC's run cache. MLflow's
    SQLite store stays the clone's.

    Args:
        overrides: Settings as `dvc exp run -S` takes them, [FILE:]KEY=VALUE. FILE is params.yaml (where none is given),
            reproduction/params.yaml or one of presets/.
        say: Called with a sentence that says where the run works.

    Raises:
        UserError: An override is malformed or out of range, the preset's file sets that key itself, or the
            clone has changes that are not committed, which the worktree would lack.
    """
    if not overrides:
        yield
        return
    if malformed := next((override for override in overrides if not _SETTING.fullmatch(override)), None):
        raise UserError(f"overrides: {malformed!r}: write [FILE:]KEY=VALUE, FILE params.yaml, reproduction/params.yaml "
                        "or one of presets/; keys of paths and tracking, and $, are not taken")
    if changed := _changed_file():
        raise UserError(f"{CLONE}: {changed} has changes that are not committed, and a run with parameters works from "
                        "the commit: commit them, or set params.yaml by hand and ask without parameters")
    params = load_params(CLONE / "params.yaml")
    folder = _worktree(overrides, params)
    uri, before = tracking_uri(params), (Path.cwd(), os.environ.get(URI_VARIABLE))
    store = sqlite_file(uri)
    os.environ[URI_VARIABLE] = uri if store is None else f"sqlite:///{CLONE / store}"
    os.chdir(folder)
    try:
        with _alone(folder / params.paths.state / "workspace.lock", params.compute.queue_seconds):
            _git("checkout", "--quiet", "--force", "--detach", _git("rev-parse", "HEAD"), folder=folder)
            _share(folder, params)
            _override(overrides)
        say(f"{', '.join(overrides)}: works in {folder}, its reports are in {folder / params.paths.reports}")
        yield
    finally:
        os.chdir(before[0])
        os.environ.pop(URI_VARIABLE)
        if before[1] is not None:
            os.environ[URI_VARIABLE] = before[1]


def _worktree(overrides: Sequence[str], params: Params) -> Path:
    """The worktree for these overrides, made where it is missing."""
    name = hashlib.sha256(json.dumps(list(overrides)).encode()).hexdigest()[:12]
    folder = CLONE / params.paths.state / "runs" / name
    with _alone(folder.with_suffix(".lock"), params.compute.queue_seconds):
        if not (folder / ".git").exists():
            shutil.rmtree(folder, ignore_errors=True)       # what a kill left of one
            _git("worktree", "add", "--quiet", "--force", "--detach", str(folder), "HEAD")
    return folder


def _share(folder: Path, params: Params) -> None:
    """Let a worktree have the clone's DVC cache, remotes and checkpoints."""
    from dvc.config import Config

    clone = Config(str(CLONE / ".dvc"), validate=False)
    with Config(str(folder / ".dvc"), validate=False).edit("local") as local:
        local.update(clone.load_one("local"))
        local["cache"] = {**local.get("cache", {}), "dir": clone["cache"].get("dir") or str(CLONE / ".dvc" / "cache")}
    for checkpoint in (CLONE / params.paths.pretrained).glob("*/"):
        if not checkpoint.with_name(f"{checkpoint.name}.dvc").exists():     # else it comes from DVC's cache
            own = folder / params.paths.pretrained / checkpoint.name
            shutil.rmtree(own, ignore_errors=True)
            shutil.copytree(checkpoint, own, copy_function=os.link)


def _override(overrides: Sequence[str]) -> None:
    """Change the settings of the current folder, and see that they are in force."""
    from dvc.utils.cli_parse import to_path_overrides

    by_file = to_path_overrides(overrides)
    for file, settings in by_file.items():
        _override_file(Path(file), settings)
    values, written = load_params().model_dump(mode="json"), read_yaml(Path("params.yaml"), "")
    for setting in by_file.get("params.yaml", []):
        key = setting.lstrip("+").partition("=")[0]
        if not _in_force(_value(written, key), _value(values, key)):
            file = f"{PRESETS}/{values['preset']}.yaml"
            raise UserError(f"overrides: {setting}: is not in force, since {file} lays its own value over it: write "
                            f"{file}:{setting}")


def _override_file(file: Path, settings: list[str]) -> None:
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    # In lines: where a value within braces needs quotes, DVC would write it without, and not read it again.
    values = read_yaml(file, "name a file that is there")
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    try:
        apply_overrides(file, settings)
    except DvcException as error:
        lines = str(error.__cause__ or error).splitlines()
        raise UserError(f"overrides: {file}: {lines[0]}: `ser-ops params` lists the keys") from error


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _in_force(written: Any, value: Any) -> bool:
    """Whether a value is what a file says; a section may have got more settings than the file has."""
    if isinstance(written, dict) and isinstance(value, dict):
        return all(name in value and _in_force(inner, value[name]) for name, inner in written.items())
    return bool(written == value)


def _changed_file() -> str | None:
    """A tracked file of the clone that differs from its commit, DVC's lock files aside."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".",
                   *(f":(exclude,top){name}" for name in LOCKS))
    return changed.split()[1] if changed else None


@contextmanager
def _alone(lock: Path, seconds: float) -> Iterator[None]:
    """Hold a lock file; raises UserError after `seconds` of waiting for it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=seconds):
            yield
    except Timeout as error:
        raise UserError(f"{lock}: another run has worked here for {seconds:.0f} s: a worker has a clone of its own and "
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


def _git(*arguments: str, folder: Path | None = None) -> str:
    folder = folder or CLONE
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False,
                              env=os.environ | {"LC_ALL": "C"})     # its words are looked through below
    except FileNotFoundError as error:
        raise UserError("git is not on the PATH: install it (apt-get install git)") from error
    if done.returncode:
        remedy = "the worker's clone needs an origin that it may read" if arguments[0] == "fetch" else "mend it by hand"
        raise UserError(f"{folder}: git {arguments[0]}: {_why(done.stderr)}: {remedy}")
    return done.stdout.strip()


def _why(said: str) -> str:
    """Git's own line of what went wrong, and the first file that it names below it."""
    lines = said.strip().splitlines() or ["git gave no reason"]
    first = next((row for row, line in enumerate(lines) if line.startswith(("error:", "fatal:"))), len(lines) - 1)
    return " ".join(line.strip() for line in lines[first:first + 2]) if lines[first].endswith(":") else lines[first]
