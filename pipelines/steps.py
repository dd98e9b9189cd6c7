"""What the flows and the demo do, as plain functions: DVC for what is cached, the registry for what never is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ser_ops import config
from ser_ops.errors import UserError
from ser_ops.files import read_json

Say = Callable[[str], None]


def environment() -> dict[str, str]:
    """This process's environment with its own Python first on the path, for DVC's stage commands."""
    here = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": here + os.pathsep + os.environ.get("PATH", ""), "DVC_NO_ANALYTICS": "1",
            "PYTHONUNBUFFERED": "1"}


def dvc(*arguments: str, say: Say = print, wait: float = 3600) -> dict[str, float]:
    """Run one dvc command in the project's folder; each of its lines goes to `say`.

    Two flows that need the same workspace queue here, at most `wait` seconds, instead of fighting over DVC's
    own lock. Returns the seconds that each stage took. Raises UserError with the command's own error lines.
    """
    state = config.load().paths.state
    state.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(state / "workspace.lock", timeout=wait):
            return _run([sys.executable, "-m", "dvc", *arguments], say)
    except Timeout as error:
        raise UserError(f"{state / 'workspace.lock'}: another flow has worked here for {wait:.0f} s: wait for it, or "
                        "stop it, then start this one again") from error


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


def pull(say: Say = print) -> None:
    """Bring data/ from the DVC remote unless it is here already."""
    if not config.load().paths.data.is_dir():
        dvc("pull", "--quiet", "data.dvc", say=say)


def repro(*stages: str, say: Say = print) -> dict[str, float]:
    """`dvc repro` of some stages, or of the whole graph: what is up to date is skipped. Seconds per stage."""
    return dvc("repro", *stages, say=say)


def register() -> str:
    """Register the trained model with its reports as the candidate; returns its version."""
    from ser_ops.tracking import registry

    params = config.load()
    return registry.register(params, params.paths.work / "models" / params.train.model, params.paths.reports)


def promote(version: str | None = None, to: Literal["staging", "production"] = "staging",
            reason: str | None = None) -> dict[str, Any]:
    """Judge the rules that need the registry, then move the alias. Raises UserError 'blocked: ...'."""
    from ser_ops.evaluation.staging import comparison
    from ser_ops.stages.evaluate import standing
    from ser_ops.tracking import promotion

    params = config.load()
    compare = comparison(params.gate.staging_confidence, params.evaluate, standing(params, to))
    return asdict(promotion.promote(params, compare, version, to, reason))


def verdict() -> dict[str, Any]:
    """reports/gate.json."""
    return read_json(config.load().paths.reports / "gate.json")
