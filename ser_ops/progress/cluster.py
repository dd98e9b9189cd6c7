"""A map over a Dask cluster: its scheduler is the one that DASK_SCHEDULER_ADDRESS names, Dask's own variable.

Dask's messages are pickles: whoever reaches the scheduler's or a worker's port runs code there as its user. So they
listen on loopback or inside a trusted network, with TLS beyond it (docs/many-machines.md).
"""

import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
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
from ser_ops.progress.relay import Job, end, pack, relay, unpack
from ser_ops.progress.same import fingerprint

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2      # items handed out for each thread of the cluster, so that none waits for the next and memory is bounded


def over_cluster(function: Callable[[Item], Result], items: Sequence[Item], what: str) -> Iterator[Result]:
    """Results in the order of `items`, each made by a process that stands in this folder on a machine of the cluster.

    An item whose worker dies is done again elsewhere; an exception of the item's own comes out as it is. Raises
    UserError where the scheduler or every worker is away, a worker sees another folder or has other code, or an item
    kills its workers again and again.
    """
    left, asked = deque(enumerate(items)), deque[Future]()
    with _connected(what) as client, tempfile.NamedTemporaryFile(prefix=".dask-", dir=Path.cwd()) as beacon:
        job = Job(Path.cwd(), Path(beacon.name).name, tuple(fingerprint().items()))
        try:
            while left or asked:
                room = _AHEAD * _threads(client, what)
                while left and len(asked) < room:
                    number, item = left.popleft()
                    asked.append(client.submit(relay, job, pack(function, item), key=f"{what}-{job.beacon}-{number}"))
                yield _result(client, asked.popleft(), what)
        finally:
            asked.clear()
            if client.status == "running":
                client.run(end, job.beacon, on_error="ignore")


def _connected(what: str) -> Client:
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # its tracebacks: here they end in one line
    try:
        if _address().startswith("tls://") and Security().get_connection_args("client")["ssl_context"] is None:
            raise UserError(f"{what}: DASK_SCHEDULER_ADDRESS={_address()} asks for a certificate: name one with "
                            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, __CLIENT__CERT and __CLIENT__KEY "
                            "(docs/many-machines.md)")
        return Client(_address(), set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{what}: no Dask scheduler answers at DASK_SCHEDULER_ADDRESS={_address()} "
                        f"({str(error) or type(error).__name__}): start it with `dask scheduler`, or unset the "
                        "variable to work on this machine alone") from error


def _threads(client: Client, what: str) -> int:
    """Items that the cluster does at a time now. Raises UserError when no worker is there, nor comes."""
    try:
        if number := sum(client.nthreads().values()):
            return number
        client.wait_for_workers(1, timeout=_patience())
        return sum(client.nthreads().values())
    except TimeoutError as error:
        raise UserError(f"{what}: no worker has been at the Dask scheduler {_address()} for {_patience():.0f} s: start "
                        f"one with `dask worker {_address()}` and run the same command again") from error
    except (CommClosedError, OSError) as error:
        raise _gone(what) from error


def _result(client: Client, future: Future, what: str) -> Any:
    try:
        while True:
            try:
                answer = future.result(timeout=_patience())
                break
            except TimeoutError:
                _threads(client, what)
    except KilledWorker as error:
        raise UserError(f"{what}: an item killed {error.allowed_failures + 1} Dask workers one after another, most "
                        "likely for want of memory: start workers with fewer --nthreads and run the same command "
                        "again") from error
    except (ImportError, RuntimeError) as error:
        raise UserError(f"{what}: the Dask scheduler or a worker cannot read what it is asked "
                        f"({type(error).__name__}): install requirements.lock and this project there too") from error
    except (FutureCancelledError, CommClosedError) as error:
        raise _gone(what) from error
    return unpack(answer)


def _address() -> str:
    return os.environ["DASK_SCHEDULER_ADDRESS"]


def _patience() -> float:
    """Seconds, as Dask itself waits for a connection."""
    return float(parse_timedelta(dask.config.get("distributed.comm.timeouts.connect")))


def _gone(what: str) -> UserError:
    return UserError(f"{what}: the Dask scheduler at {_address()} has gone: start it again, then run the same command "
                     "again")
