"""The one map of every long step: in this process, over this machine's cores, or over a Dask cluster.

A bar on standard error.

A map over processes of this machine, one a core, one thread each.
"""

import ctypes
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from tqdm import tqdm

from ser_ops.errors import UserError
from ser_ops.terminal import shown

Item = TypeVar("Item")


def progress(items: Iterable[Item], what: str, total: int | None = None, unit: str = "utt") -> Iterator[Item]:
    """Yield `items` under a bar on standard error with rate and time left."""
    interactive = sys.stderr.isatty()
    yield from tqdm(items, desc=shown(what), total=total, unit=unit, file=sys.stderr, dynamic_ncols=interactive,
                    mininterval=0.5 if interactive else 10)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3     # malloc.h: bytes, free at the top or in one piece, that go back

Result = TypeVar("Result")


def cores(workers: int) -> int:
    """Processes to use: `workers`, or one per core that this process may use when it is 0."""
    return workers or len(os.sched_getaffinity(0))


def keep_memory() -> None:
    """Let this process keep the memory that it frees, where the C library is glibc.

    Otherwise the arrays of each batch go back to the system and are asked for again page by page: up to a quarter of
    the time of what works through many batches of a few megabytes.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_MMAP_THRESHOLD, 2**26)
        adjust(_TRIM_THRESHOLD, 2**28)


def one_thread() -> None:
    """Let numerical libraries use one thread in this process, and its memory again and again."""
    keep_memory()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _prepare() -> None:
    """One thread, and no orphan: a worker ends when the process that started it is gone, however it went."""
    one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def over_processes(function: Callable[[Item], Result], items: Sequence[Item], number: int, what: str,
                   ) -> Iterator[Result]:
    """Results in the order of `items` from `number` fresh processes. Raises UserError when one of them is killed."""
    with ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _prepare) as pool:
        try:
            yield from pool.map(function, items)
        except BrokenProcessPool as error:
            raise UserError(f"{what}: a worker process was killed, most likely for want of memory: set compute.workers "
                            "lower and run the same command again") from error




def spread(function: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int = 0,
           unit: str = "utt") -> Iterator[Result]:
    """Map over one process per core, one thread each; results come in the order of `items`.

    Where DASK_SCHEDULER_ADDRESS is set, the processes are those of that cluster, however many it has. One worker
    asked for runs in this process, cluster or not, as does a single item. `function` and its items must be importable
    by a fresh process. Memory stays bounded: results are handed on as they come.
    """
    one_thread()
    number = min(cores(workers), len(items))
    results: Iterator[Result]
    if workers != 1 and len(items) > 1 and os.environ.get("DASK_SCHEDULER_ADDRESS"):
        from ser_ops.progress.cluster import over_cluster
        results = over_cluster(function, items, what)
    elif number > 1:
        results = over_processes(function, items, number, what)
    else:
        results = map(function, items)
    yield from progress(results, what, len(items), unit)
