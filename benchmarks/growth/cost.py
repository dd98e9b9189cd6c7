"""What a command costs, its children included."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ser_ops.errors import UserError


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time, of all processors, and the peak of resident memory in MB (10^6 bytes).

    Memory is the sum over the command and all its children at one moment; what they share counts for each of them.
    """

    wall: float
    cpu: float
    peak_mb: float


def cost(command: Sequence[str], folder: Path, environment: Mapping[str, str], every: float) -> Cost:
    """Run a command in a folder and look at its memory `every` so many seconds.

    Raises UserError with the last of its output when it fails.
    """
    log = folder / "command.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=output, stderr=output)
        watch = _Watch(process.pid, every)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        peak = watch.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise UserError(f"{' '.join(command)}: ended with {process.returncode}: {' '.join(last)}")
    return Cost(round(wall, 3), round(used.ru_utime + used.ru_stime, 3), round(peak / 1e6, 1))


class _Watch:
    """The peak of a process and its children, looked at by a thread.

    Linux's own peak of a single process (ru_maxrss) would begin with that of the process which started it.
    """

    def __init__(self, pid: int, every: float) -> None:
        self._peak, self._every, self._over = 0, every, threading.Event()
        self._thread = threading.Thread(target=self._look, args=(psutil.Process(pid),), daemon=True)
        self._thread.start()

    def _look(self, process: psutil.Process) -> None:
        while not self._over.wait(self._every):
            with suppress(psutil.Error):
                together = 0
                for member in (process, *process.children(recursive=True)):
                    with suppress(psutil.Error):
                        together += member.memory_info().rss
                self._peak = max(self._peak, together)

    def end(self) -> int:
        """Bytes."""
        self._over.set()
        self._thread.join()
        return self._peak
