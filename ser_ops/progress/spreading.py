"""The map of every long step, under a progress bar: in this process, over this machine's cores or a Dask cluster."""

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

from ser_ops.errors import UserError
from ser_ops.terminal import printable

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3     # malloc.h: freed bytes, at the top or in a piece, that go back


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int = 0,
                 unit: str = "utt") -> Iterator[Result]:
    """Map over one process per core, one thread each; results come in the order of `items`.

    Where DASK_SCHEDULER_ADDRESS is set, the processes are those of that cluster, however many it has. A single item,
    or `workers` of 1, runs in this process. `function` and its items must be importable by a fresh process. Memory
    stays bounded: results are handed on as they come.
    """
    use_one_thread()
    number = min(worker_count(workers), len(items))
    results: Iterator[Result]
    if workers != 1 and len(items) > 1 and os.environ.get("DASK_SCHEDULER_ADDRESS"):
        from ser_ops.progress.cluster import map_over_cluster
        results = map_over_cluster(function, items, what)
    elif number > 1:
        results = map_over_processes(function, items, number, what)
    else:
        results = map(function, items)
    yield from progress_bar(results, what, len(items), unit)


def progress_bar(items: Iterable[Item], what: str, total: int | None = None, unit: str = "utt") -> Iterator[Item]:
    """Yield `items` under a bar on standard error with rate and time left."""
    from tqdm import tqdm

    interactive = sys.stderr.isatty()
    yield from tqdm(items, desc=printable(what), total=total, unit=unit, file=sys.stderr, dynamic_ncols=interactive,
                    mininterval=0.5 if interactive else 10)


def worker_count(workers: int) -> int:
    """Processes or threads to use: `workers`, or one per core that this process may use when it is 0."""
    return workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, where the C library is glibc.

    Otherwise the arrays of each batch go back to the system and are asked for again page by page: up to a quarter of
    the time of what works through many batches of a few megabytes.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_MMAP_THRESHOLD, 2**26)
        adjust(_TRIM_THRESHOLD, 2**28)


def use_one_thread() -> None:
    """Let torch, and numerical libraries that are not loaded yet, use a single thread in this process.

    It also keeps the memory that it frees (`keep_freed_memory`).
    """
    keep_freed_memory()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _start_worker() -> None:
    """Use a single thread, and end when the process that started this one is gone, however it went."""
    use_one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def map_over_processes(function: Callable[[Item], Result], items: Sequence[Item], number: int, what: str,
                   ) -> Iterator[Result]:
    """Results in the order of `items` from `number` fresh processes. Raises UserError when a process is killed."""
    with ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _start_worker) as pool:
        try:
            yield from pool.map(function, items)
        except BrokenProcessPool as error:
            raise UserError(f"{what}: a worker process was killed, most likely for lack of memory: set compute.workers "
                            "lower and run the same command again") from error
