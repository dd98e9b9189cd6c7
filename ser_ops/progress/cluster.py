"""A map over the Dask cluster whose scheduler DASK_SCHEDULER_ADDRESS names.

Dask's messages are pickles: anyone who reaches the port of the scheduler or of a worker can run code there as its user.
So they listen on loopback or inside a trusted network, with TLS beyond it (docs/explanation/many-machines.md).

A worker hands each item to a child process in the asker's workspace: one child for each of the worker's threads and
each map. So `dask worker` as it starts by itself, a thread a core, is one process a core. The worker never unpickles an
item nor imports what it needs. Both sides must have the same code and libraries, or their bytes might differ.
"""

import hashlib
import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from multiprocessing import Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, TypeVar

import dask
from dask.utils import parse_timedelta
from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker
from distributed.security import Security

from ser_ops.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2      # items handed out for each thread of the cluster, so that none waits for the next and memory is bounded
_LIVES = 3      # a child that is killed so often does not die of its neighbours' memory but of its own
_MAPS = 2       # whose children a thread keeps, so that two flows at once do not start new ones for every item
_MAKE_BYTES = ("numpy", "scipy", "soundfile", "soxr", "librosa", "torch")


@dataclass(frozen=True)
class ClusterMap:
    """One map: the workspace's folder, a file that only this map made in it, and the versions both sides must have."""

    folder: Path
    beacon: str
    versions: tuple[tuple[str, str], ...]


def map_over_cluster(function: Callable[[Item], Result], items: Sequence[Item], what: str) -> Iterator[Result]:
    """Results in the order of `items`, each made by a process in this folder on a machine of the cluster.

    An item whose worker dies is done again elsewhere; an exception that `function` raises is raised here. Raises
    UserError where the scheduler or every worker is away, where a worker sees another folder or has other code, and
    where an item kills its workers again and again.
    """
    left, asked = deque(enumerate(items)), deque[Future]()
    with _connected(what) as client, tempfile.NamedTemporaryFile(prefix=".dask-", dir=Path.cwd()) as beacon:
        job = ClusterMap(Path.cwd(), Path(beacon.name).name, tuple(code_versions().items()))
        try:
            while left or asked:
                room = _AHEAD * _cluster_threads(client, what)
                while left and len(asked) < room:
                    number, item = left.popleft()
                    asked.append(client.submit(ask_child, job, pack(function, item),
                                               key=f"{what}-{job.beacon}-{number}"))
                yield _result(client, asked.popleft(), what)
        finally:
            asked.clear()
            if client.status == "running":
                client.run(end_children, job.beacon, on_error="ignore")


def _connected(what: str) -> Client:
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # its tracebacks: here they end in one line
    try:
        if _address().startswith("tls://") and Security().get_connection_args("client")["ssl_context"] is None:
            raise UserError(f"{what}: DASK_SCHEDULER_ADDRESS={_address()} asks for a certificate: name one with "
                            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, __CLIENT__CERT and __CLIENT__KEY "
                            "(docs/explanation/many-machines.md)")
        return Client(_address(), set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{what}: no Dask scheduler answers at DASK_SCHEDULER_ADDRESS={_address()} "
                        f"({str(error) or type(error).__name__}): start it with `dask scheduler`, or unset the "
                        "variable to work on this machine alone") from error


def _cluster_threads(client: Client, what: str) -> int:
    """Items that the cluster does at a time now. Raises UserError when no worker is there, nor comes."""
    try:
        if number := sum(client.nthreads().values()):
            return number
        client.wait_for_workers(1, timeout=_connect_seconds())
        return sum(client.nthreads().values())
    except TimeoutError as error:
        raise UserError(f"{what}: no worker has been at the Dask scheduler {_address()} for "
                        f"{_connect_seconds():.0f} s: start one with `dask worker {_address()}` and run the same "
                        "command again") from error
    except (CommClosedError, OSError) as error:
        raise _scheduler_gone(what) from error


def _result(client: Client, future: Future, what: str) -> Any:
    try:
        while True:
            try:
                answer = future.result(timeout=_connect_seconds())
                break
            except TimeoutError:
                _cluster_threads(client, what)
    except KilledWorker as error:
        raise UserError(f"{what}: an item killed {error.allowed_failures + 1} Dask workers one after another, most "
                        "likely for lack of memory: start workers with fewer --nthreads and run the same command "
                        "again") from error
    except (ImportError, RuntimeError) as error:
        raise UserError(f"{what}: the Dask scheduler or a worker cannot read its task "
                        f"({type(error).__name__}): install requirements.lock and this project there too") from error
    except (FutureCancelledError, CommClosedError) as error:
        raise _scheduler_gone(what) from error
    return unpack(answer)


def _address() -> str:
    return os.environ["DASK_SCHEDULER_ADDRESS"]


def _connect_seconds() -> float:
    """Seconds, as Dask itself waits for a connection."""
    return float(parse_timedelta(dask.config.get("distributed.comm.timeouts.connect")))


def _scheduler_gone(what: str) -> UserError:
    return UserError(f"{what}: the Dask scheduler at {_address()} has gone: start it again, then run the same command "
                     "again")


def code_versions() -> dict[str, str]:
    """By name: a digest of this package's source, and versions of Python and of the libraries that make bytes."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return {"ser_ops": digest.hexdigest()[:12], "python": platform.python_version(),
            **{name: _version(name) for name in _MAKE_BYTES}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def check_versions(beacon: str, expected: dict[str, str]) -> None:
    """Raise UserError unless `beacon` lies in this process's folder and its versions are those expected."""
    machine, folder = platform.node(), Path.cwd()
    if not (folder / beacon).is_file():
        raise UserError(f"Dask worker on {machine}: its {folder} is another folder of the same name: mount the "
                        "workspace there from a file system that all machines share")
    versions = code_versions()
    for name, wanted in expected.items():
        if versions[name] != wanted:
            raise UserError(f"Dask worker on {machine}: has {name} {versions[name]} where {wanted} was expected, so "
                            "its bytes may differ: install the same requirements.lock and code there")


class Child:
    """A process in the folder of a map, and the pipe to it.

    Raises UserError where it cannot start there or could not give the same bytes as the asker.
    """

    def __init__(self, job: ClusterMap) -> None:
        self.pipe, far = Pipe()
        try:
            self.process = subprocess.Popen([sys.executable, "-m", "ser_ops.progress.child", str(far.fileno())],
                                            cwd=job.folder, pass_fds=[far.fileno()])
        except OSError as error:
            raise UserError(f"Dask worker on {platform.node()}: cannot work in {job.folder} ({error.strerror}): mount "
                            "the workspace there from a file system that all machines share") from error
        finally:
            far.close()
        try:
            unpack(self.ask(pack(partial(check_versions, job.beacon), dict(job.versions))))
        except BaseException:
            self.kill()
            raise

    def ask(self, request: bytes) -> bytes:
        self.pipe.send_bytes(request)
        return self.pipe.recv_bytes()

    def kill(self) -> None:
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


def ask_child(job: ClusterMap, request: bytes) -> bytes:
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
                lost.kill()
    raise UserError(f"Dask worker on {platform.node()}: an item's process was killed {_LIVES} times, most likely for "
                    "lack of memory: start the worker there with fewer --nthreads and run the same command again")


def _child(key: tuple[int, str], job: ClusterMap) -> Child:
    with _lock:
        if key in _children:
            _children.move_to_end(key)
            return _children[key]
        same_thread = [other for other in _children if other[0] == key[0]]
        surplus = [_children.pop(other) for other in same_thread[:len(same_thread) + 1 - _MAPS]]
    for child in surplus:
        child.kill()
    child = Child(job)
    with _lock:
        _children[key] = child
    return child


def end_children(beacon: str) -> None:
    """End the children of a map, at work or not; a child that replaces them finds the beacon gone."""
    with _lock:
        children = [_children.pop(key) for key in list(_children) if key[1] == beacon]
    for child in children:
        child.kill()
