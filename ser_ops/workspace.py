"""DVC commands in the project's folder: one at a time, said line by line, with each stage's seconds."""

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
_LONGEST_LOCK_FILE = 2**24  # bytes: one that is only long is not taken for cut


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
    with _alone():
        if any(argument.startswith(f"{_REPRODUCTION.as_posix()}/dvc.yaml") for argument in arguments):
            _show_reproductions()
        return _dvc(*arguments, say=say)


def _show_reproductions() -> None:
    """The project's .dvcignore keeps reproduction/dvc.yaml from DVC, whose status would list what nobody asked for."""
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
        if why := _no_room(data, str(error)):
            raise why from error
        lost = [one for one in cache.tracked_files([data]) if not one.file.exists()]
        if lost and "Checkout failed" in str(error):        # the remote answered, and what it gave was not kept
            raise UserError(_not_whole(lost)) from error
        raise


def mend(say: Say = print) -> list[cache.Damaged]:
    """Remove a cut lock file; take each file that is damaged in DVC's cache from the workspace or a remote again.

    A copy of the damage in the workspace is replaced too; a file that was changed there is not. Returns what was
    damaged. Raises UserError that names what is whole nowhere: of that the damaged bytes are kept.
    """
    with _alone():
        _drop_cut_lock_file(say)
        cache.drop_cut_downloads()
        return _mend(say)


def _mend(say: Say) -> list[cache.Damaged]:
    bad, lost = cache.damaged_files(), []
    for one in bad:
        name = ", ".join(map(_short, one.paths)) or "of no output of now"
        here = [(path, cache.md5(path)) for path in one.paths if path.is_file()]
        whole = next((path for path, found in here if found == one.wanted), None)
        if whole:
            one.file.unlink()
            with replacing(one.file) as temporary:
                shutil.copyfile(whole, temporary)
                temporary.chmod(0o444)                      # as DVC keeps what it has seen to be whole
        else:
            one.file.rename(_aside(one.file))               # maybe the only copy: a remote may not have it
        same = [path for path, found in here if found == one.found]
        for path in same:
            path.unlink()
        if one.paths and not whole:
            lost.append((one, same))
        say(f"{_short(one.file)} ({name}) is damaged: " + ("taken from the workspace again" if whole else
                                                          "fetched again" if one.paths else
                                                          f"kept as {_aside(one.file).name}"))
    if lost:
        _fetch(lost, say)
    return bad


def _fetch(lost: list[tuple[cache.Damaged, list[Path]]], say: Say) -> None:
    files = {one.file for one, _ in lost}
    try:
        outputs = sorted({_short(one.output) for one in cache.tracked_files() if one.file in files})
        with suppress(UserError):                           # what is missing then is named below
            _dvc("fetch", *outputs, say=say)                # not pull: where it fails, it empties the whole output
        missing = [one for one in cache.tracked_files() if one.file in files and not one.file.exists()]
    finally:
        kept = [_settle(one, same) for one, same in lost]
    if missing:
        raise UserError(_not_whole(missing) + "; a stage's outputs are made again by dvc repro; damaged copies are "
                        "kept: " + ", ".join(_short(file) for file in kept if file))


def _settle(one: cache.Damaged, same: list[Path]) -> Path | None:
    """Drop what lies aside of a file that came whole, else keep it; returns where.

    A recording goes back to where it was, in the workspace too; the output of a stage does not: DVC would take it for
    whole and not make it again.
    """
    aside, kept = _aside(one.file), None
    if one.file.exists():
        aside.unlink()
    elif one.source:
        kept = aside.rename(one.file)
    else:
        return aside
    for path in same:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one.file, path)
    return kept


def _aside(file: Path) -> Path:
    """A name that DVC takes for none of its own."""
    return file.with_name(file.name + ".damaged")


def _no_room(data: Path, error: str) -> UserError | None:
    """Of a full disk DVC says so while it downloads, and while it checks out that the checkout failed."""
    needed, free = cache.output_size(data), shutil.disk_usage(Path.cwd()).free
    if not ("No space left" in error or "File too large" in error or ("Checkout failed" in error and free < needed)):
        return None
    return UserError(f"{data}: {needed / 1e6:.1f} MB come here, and as much to DVC's cache; {free / 1e6:.1f} MB are "
                     "free now: free space, then run the same command again")


def _not_whole(missing: list[cache.Tracked]) -> str:
    """The remedy names listings too: DVC pushes nothing below one that the remote has."""
    names = ", ".join(_short(one.path) for one in missing[:3]) + (" ..." if len(missing) > 3 else "")
    bad = [one.file for one in missing[:3]]
    bad += sorted({one.file for one in cache.tracked_files([one.output for one in missing]) if one.file.suffix == ".dir"})
    objects = ", ".join("/".join(file.parts[-4:]) for file in dict.fromkeys(bad))
    return (f"{names}: {len(missing)} files are not, or not whole, in the DVC remote: remove {objects} there, then run "
            "dvc push on a machine that has the files")


@contextmanager
def _alone() -> Iterator[None]:
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
    """`dvc` for who holds the workspace already."""
    _drop_cut_lock_file(say)
    try:
        return _run([sys.executable, "-m", "dvc", *arguments], say)
    except BaseException:
        with suppress(UserError):                           # DVC cannot work here at all: it has said so
            cache.drop_cut_downloads()
        raise


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _drop_cut_lock_file(say: Say) -> None:
    """DVC writes dvc.lock in place: a kill in that moment leaves one that DVC itself refuses from then on."""
    for file in cut_lock_files(Path()):
        file.unlink()
        say(f"{file} was cut short by a kill and is removed: stages that were done come back from DVC's run cache")


def cut_lock_files(folder: Path) -> list[Path]:
    """Those of the lock files of the project in `folder` that DVC would refuse: cut short, or damaged otherwise."""
    files = (folder / "dvc.lock", folder / _REPRODUCTION / "dvc.lock")
    return [file for file in files if file.is_file() and not _whole(file)]


def _whole(lock_file: Path) -> bool:
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
