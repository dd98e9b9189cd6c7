"""DVC commands in the project's folder: one at a time, said line by line, with each stage's seconds."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from ser_ops import config
from ser_ops.errors import UserError

Say = Callable[[str], None]


def environment() -> dict[str, str]:
    """This process's environment with its own Python first on the path, for DVC's stage commands."""
    here = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": here + os.pathsep + os.environ.get("PATH", ""), "DVC_NO_ANALYTICS": "1",
            "PYTHONUNBUFFERED": "1"}


def dvc(*arguments: str, say: Say = print) -> dict[str, float]:
    """Run one dvc command in the project's folder; each of its lines goes to `say`.

    Two flows that need the same workspace queue here, at most compute.queue_seconds, instead of fighting over DVC's
    own lock. Returns the seconds that each stage took. Raises UserError with the command's own error lines.
    """
    params = config.load()
    state, wait = params.paths.state, params.compute.queue_seconds
    state.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(state / "workspace.lock", timeout=wait):
            _drop_cut_lock_file(say)
            return _run([sys.executable, "-m", "dvc", *arguments], say)
    except Timeout as error:
        raise UserError(f"{state / 'workspace.lock'}: another flow has worked here for {wait:.0f} s: wait for it, or "
                        "stop it, then start this one again") from error


def pull(say: Say = print) -> None:
    """Bring data/ from the DVC remote unless it is here already."""
    if not config.load().paths.data.is_dir():
        dvc("pull", "--quiet", "data.dvc", say=say)


def _drop_cut_lock_file(say: Say) -> None:
    """DVC writes dvc.lock in place: a kill in that moment leaves one that DVC itself refuses from then on."""
    for file in (Path("dvc.lock"), Path("papers") / "dvc.lock"):
        if file.exists() and not _whole(file):
            file.unlink()
            say(f"{file} was cut short by a kill and is removed: stages that were done come back from DVC's run cache")


def _whole(lock_file: Path) -> bool:
    """Whether DVC would take it, by DVC's own schema: a file cut at the right byte is YAML still."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(lock_file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
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
