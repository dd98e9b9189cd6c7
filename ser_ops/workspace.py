"""DVC commands in the project's folder: one at a time, their lines passed on, with each stage's seconds."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ser_ops.config.params import load_params
from ser_ops.documents import parse_yaml
from ser_ops.errors import UserError
from ser_ops.files import replacing, write_text
from ser_ops.storage import cache

Say = Callable[[str], None]

_REPRODUCTION = Path("reproduction")    # where the reproductions' own graph lies
_LONGEST_LOCK_FILE = 2**24  # bytes: a long lock file is not taken for a cut one


def environment() -> dict[str, str]:
    """This process's environment with its own Python first on the path, for DVC's stage commands."""
    here = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": here + os.pathsep + os.environ.get("PATH", ""), "DVC_NO_ANALYTICS": "1",
            "PYTHONUNBUFFERED": "1"}


def dvc(*arguments: str, say: Say = print) -> dict[str, float]:
    """Run one dvc command in the project's folder; each of its lines goes to `say`.

    Two flows that need the same workspace queue here, at most compute.queue_seconds, instead of fighting over DVC's
    own lock. The first command that names a stage of reproduction/dvc.yaml lets DVC see them all from then on.
    Returns the seconds that each stage took. Raises UserError with the command's own error lines.
    """
    with _workspace_lock():
        if any(argument.startswith(f"{_REPRODUCTION.as_posix()}/dvc.yaml") for argument in arguments):
            _show_reproductions()
        return _dvc(*arguments, say=say)


def _show_reproductions() -> None:
    """Let DVC see reproduction/dvc.yaml, which the project's .dvcignore hides until a reproduction is asked for."""
    if not (seen := _REPRODUCTION / ".dvcignore").exists():
        write_text(seen, "# A reproduction was asked for here. Without this file DVC sees none of them.\n!/dvc.yaml\n")


def pull(say: Say = print) -> None:
    """Bring checkpoints that DVC tracks, and data/, from the DVC remote unless they are here already.

    Nothing of data/ comes from a damaged cache. Raises UserError that names what the remote does not hold whole.
    """
    paths = load_params().paths
    if missing := [file for file in sorted(paths.pretrained.glob("*.dvc")) if not file.with_suffix("").exists()]:
        dvc("pull", *map(os.fspath, missing), say=say)
    data = paths.data
    if data.is_dir():
        return
    mend(say)
    try:
        dvc("pull", "data.dvc", say=say)                    # not --quiet, which leaves out what went wrong
    except UserError as error:
        if why := _disk_full(data, str(error)):
            raise why from error
        lost = [tracked for tracked in cache.tracked_files([data]) if not tracked.file.exists()]
        if lost and "Checkout failed" in str(error):        # the remote answered, and what it gave was not kept
            raise UserError(_missing_in_remote(lost)) from error
        raise


def mend(say: Say = print) -> list[cache.Damaged]:
    """Remove a cut lock file; take each file that is damaged in DVC's cache from the workspace or a remote again.

    A copy of the damage in the workspace is replaced too; a file that was changed there is not. Returns what was
    damaged. Raises UserError that names what is whole nowhere: of that the damaged bytes are kept.
    """
    with _workspace_lock():
        _remove_cut_lock_files(say)
        cache.drop_cut_downloads()
        return _mend(say)


def _mend(say: Say) -> list[cache.Damaged]:
    damaged_files, lost = cache.damaged_files(), []
    for damaged in damaged_files:
        name = ", ".join(map(_short, damaged.paths)) or "of no output of now"
        digests = {path: cache.md5(path) for path in damaged.paths if path.is_file()}
        whole = next((path for path, digest in digests.items() if digest == damaged.wanted), None)
        if whole:
            damaged.file.unlink()
            with replacing(damaged.file) as temporary:
                shutil.copyfile(whole, temporary)
                temporary.chmod(0o444)                      # as DVC keeps what it has seen to be whole
        else:
            damaged.file.rename(_aside(damaged.file))       # maybe the only copy: a remote may not have it
        copies = [path for path, digest in digests.items() if digest == damaged.actual]
        for path in copies:
            path.unlink()
        if damaged.paths and not whole:
            lost.append((damaged, copies))
        action = ("taken from the workspace again" if whole else "fetched again" if damaged.paths else
                  f"kept as {_aside(damaged.file).name}")
        say(f"{_short(damaged.file)} ({name}) is damaged: {action}")
    if lost:
        _fetch(lost, say)
    return damaged_files


def _fetch(lost: list[tuple[cache.Damaged, list[Path]]], say: Say) -> None:
    files = {damaged.file for damaged, _ in lost}
    try:
        outputs = sorted({_short(tracked.output) for tracked in cache.tracked_files() if tracked.file in files})
        with suppress(UserError):                           # what is missing then is named below
            _dvc("fetch", *outputs, say=say)                # not pull: where it fails, it empties the whole output
        missing = [tracked for tracked in cache.tracked_files()
                   if tracked.file in files and not tracked.file.exists()]
    finally:
        kept = [_restore_copies(damaged, copies) for damaged, copies in lost]
    if missing:
        raise UserError(_missing_in_remote(missing) + "; a stage's outputs are made again by dvc repro; damaged "
                        "copies are kept: " + ", ".join(_short(file) for file in kept if file))


def _restore_copies(damaged: cache.Damaged, copies: list[Path]) -> Path | None:
    """Copy a file that was fetched whole into the workspace; else keep its damaged bytes, and return where.

    A damaged recording goes back to its path, in the workspace too. The output of a stage does not: DVC would take it
    for whole and not make it again.
    """
    aside, kept = _aside(damaged.file), None
    if damaged.file.exists():
        aside.unlink()
    elif damaged.source:
        kept = aside.rename(damaged.file)
    else:
        return aside
    for path in copies:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(damaged.file, path)
    return kept


def _aside(file: Path) -> Path:
    """A name that DVC takes for none of its own."""
    return file.with_name(file.name + ".damaged")


def _disk_full(data: Path, error: str) -> UserError | None:
    """The error of a full disk, which DVC names while it downloads, but not while it checks out; None for others."""
    needed, free = cache.output_size(data), shutil.disk_usage(Path.cwd()).free
    if not ("No space left" in error or "File too large" in error or ("Checkout failed" in error and free < needed)):
        return None
    return UserError(f"{data}: {needed / 1e6:.1f} MB are needed here, and as much in DVC's cache; {free / 1e6:.1f} MB "
                     "are free now: free space, then run the same command again")


def _missing_in_remote(missing: list[cache.Tracked]) -> str:
    """What is missing, and what to do; listings too, since DVC pushes nothing below a listing that the remote has."""
    names = ", ".join(_short(tracked.path) for tracked in missing[:3]) + (" ..." if len(missing) > 3 else "")
    files = [tracked.file for tracked in missing[:3]]
    outputs = [tracked.output for tracked in missing]
    files += sorted({tracked.file for tracked in cache.tracked_files(outputs) if tracked.file.suffix == ".dir"})
    objects = ", ".join("/".join(file.parts[-4:]) for file in dict.fromkeys(files))
    return (f"{names}: {len(missing)} files are not, or not whole, in the DVC remote: remove {objects} there, then run "
            "dvc push on a machine that has the files")


@contextmanager
def _workspace_lock() -> Iterator[None]:
    """Hold this workspace; raises UserError after compute.queue_seconds of waiting. Not reentrant."""
    params = load_params()
    state, wait = params.paths.state, params.compute.queue_seconds
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "workspace.lock", timeout=wait)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(f"{state / 'workspace.lock'}: another flow has worked here for {wait:.0f} s: wait for it, or "
                        "stop it, then start this one again") from error
    try:
        yield
    finally:
        lock.release()


def _dvc(*arguments: str, say: Say) -> dict[str, float]:
    """As `dvc`, for a caller that holds the workspace's lock."""
    _remove_cut_lock_files(say)
    try:
        return _run([sys.executable, "-m", "dvc", *arguments], say)
    except BaseException:
        with suppress(UserError):                           # DVC cannot work here at all: it has said so
            cache.drop_cut_downloads()
        raise


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _remove_cut_lock_files(say: Say) -> None:
    """DVC writes dvc.lock in place: a kill in that moment leaves one that DVC itself refuses from then on."""
    for file in cut_lock_files(Path()):
        file.unlink()
        say(f"{file} was cut short by a kill and is removed: stages that were done come back from DVC's run cache")


def cut_lock_files(folder: Path) -> list[Path]:
    """Those of the lock files of the project in `folder` that DVC would refuse: cut short, or damaged otherwise."""
    files = (folder / "dvc.lock", folder / _REPRODUCTION / "dvc.lock")
    return [file for file in files if file.is_file() and not _is_lock_file(file)]


def _is_lock_file(lock_file: Path) -> bool:
    """Whether DVC would take it, by DVC's own schema: a file cut at the right byte is YAML still."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(lock_file.read_bytes(), str(lock_file), longest=_LONGEST_LOCK_FILE))
    except (UserError, Invalid):
        return False
    return True


def _run(command: list[str], say: Say) -> dict[str, float]:
    seconds: dict[str, float] = {}
    stage, began, errors = None, time.monotonic(), []

    def close() -> None:
        if stage:
            seconds[stage] = time.monotonic() - began

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env=environment()) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                line = line.rstrip()
                if line.startswith("Running stage '"):
                    close()
                    stage, began = line.split("'")[1], time.monotonic()
                if line.lower().startswith(("error:", "error ")):
                    errors.append(line)
                elif errors and errors[-1].endswith(":"):       # what it is about stands in the next line
                    errors[-1] += f" {line}"
                if line:
                    say(line)
        except BaseException:
            process.terminate()
            raise
    close()
    if process.returncode:
        what = " ".join(command[2:])
        raise UserError(f"{what}: {errors[0].removeprefix('ERROR: ').removeprefix('error: ')}" if errors else
                        f"{what}: ended with code {process.returncode}: see its lines above")
    return seconds
