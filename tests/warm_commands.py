"""Commands of ser-ops in children of a process that has the heavy libraries already: no start costs three seconds.

What a start costs, and that a fresh interpreter lacks nothing, is seen by test_help_is_quick and tests/end_to_end.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_LIBRARIES = ["torch", "numpy", "scipy.signal", "soundfile", "safetensors.torch", "pydantic", "typer", "sqlalchemy"]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_LIBRARIES)


def run_command(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 120,
                ) -> "subprocess.CompletedProcess[str]":
    """`ser-ops ARGUMENTS` in a process of its own.

    Args:
        folder: where it runs.
        arguments: what follows `ser-ops`.
        environment: all its variables; those of this process by default.
        timeout: seconds.

    Returns:
        Exit code and what it printed.

    Raises:
        subprocess.TimeoutExpired: It took longer, and was killed.
    """
    with tempfile.TemporaryDirectory() as said:
        files = [Path(said, name) for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(target=_run, args=(folder, arguments, dict(environment or os.environ), files))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["ser-ops", *arguments], timeout)
        printed, complaints = (file.read_text(encoding="utf-8", errors="surrogateescape") for file in files)
        return subprocess.CompletedProcess(["ser-ops", *arguments], process.exitcode, printed, complaints)


def _run(folder: Path, arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[Path]) -> None:
    for descriptor, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["ser-ops", *arguments]
    runpy.run_module("ser_ops.cli", run_name="__main__")
