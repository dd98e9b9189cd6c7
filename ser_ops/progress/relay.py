"""What a Dask worker does with an item: hand it to a child process that stands in the asker's workspace.

One child for each of the worker's threads and each map, so `dask worker` as it starts by itself, a thread a core, is
one process a core. The worker itself never unpickles an item nor imports what it needs.
"""

import platform
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from ser_ops.errors import UserError
from ser_ops.progress import same

_LIVES = 3      # a child that is killed so often took nobody's memory but its own
_MAPS = 2       # whose children a thread keeps, so that two flows at once do not start anew with every item


@dataclass(frozen=True)
class Job:
    """One map: the workspace's folder, a file in it that only this map made, and what must be alike on both sides."""

    folder: Path
    beacon: str
    alike: tuple[tuple[str, str], ...]


class Child:
    """A process in the folder of a job and the wire to it. Raises UserError where it could not give the same bytes."""

    def __init__(self, job: Job) -> None:
        self.wire, far = Pipe()
        try:
            self.process = subprocess.Popen([sys.executable, "-m", "ser_ops.progress.child", str(far.fileno())],
                                            cwd=job.folder, pass_fds=[far.fileno()])
        except OSError as error:
            raise UserError(f"Dask worker on {platform.node()}: cannot work in {job.folder} ({error.strerror}): mount "
                            "the workspace there from a file system that all machines share") from error
        finally:
            far.close()
        try:
            unpack(self.ask(pack(partial(same.check, job.beacon), dict(job.alike))))
        except BaseException:
            self.end()
            raise

    def ask(self, request: bytes) -> bytes:
        self.wire.send_bytes(request)
        return self.wire.recv_bytes()

    def end(self) -> None:
        """Kill it; a thread that waits for its answer gets EOFError."""
        self.process.kill()
        self.process.wait()


_children: OrderedDict[tuple[int, str], Child] = OrderedDict()      # by thread and beacon, the longest unused first
_lock = threading.Lock()


def pack(function: Callable[[Any], Any], item: Any) -> bytes:
    """A request. What is importable travels by its name, never as code."""
    return bytes(ForkingPickler.dumps((function, item)))


def unpack(answer: bytes) -> Any:
    """The result in an answer, or its exception raised."""
    good, value = ForkingPickler.loads(answer)
    if not good:
        raise value
    return value


def relay(job: Job, request: bytes) -> bytes:
    """The answer of this thread's child to a request; a child that is killed is replaced and asked again.

    Raises UserError when that happened three times, or the child could not give the same bytes as the asker.
    """
    key = (threading.get_ident(), job.beacon)
    for _ in range(_LIVES):
        try:
            return _child(key, job).ask(request)
        except (EOFError, OSError):
            with _lock:
                lost = _children.pop(key, None)
            if lost is not None:
                lost.end()
    raise UserError(f"Dask worker on {platform.node()}: an item's process was killed {_LIVES} times, most likely for "
                    "want of memory: start the worker there with fewer --nthreads and run the same command again")


def _child(key: tuple[int, str], job: Job) -> Child:
    with _lock:
        found = _children.get(key)
        if found is not None:
            _children.move_to_end(key)
            return found
        mine = [one for one in _children if one[0] == key[0]]
        old = [_children.pop(one) for one in mine[:len(mine) + 1 - _MAPS]]
    for one in old:
        one.end()
    made = Child(job)
    with _lock:
        _children[key] = made
    return made


def end(beacon: str) -> None:
    """End the children of a map, at work or not; one that replaces them finds the beacon gone."""
    with _lock:
        done = [_children.pop(key) for key in list(_children) if key[1] == beacon]
    for one in done:
        one.end()
