"""Long steps: a bar with rate and time left, and work spread over one process per core."""

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

Item = TypeVar("Item")
Result = TypeVar("Result")


def progress(items: Iterable[Item], what: str, total: int | None = None, unit: str = "utt") -> Iterator[Item]:
    """Yield `items` under a bar on standard error with rate and time left."""
    interactive = sys.stderr.isatty()
    yield from tqdm(items, desc=what, total=total, unit=unit, file=sys.stderr, dynamic_ncols=interactive,
                    mininterval=0.5 if interactive else 10)


def cores(workers: int) -> int:
    """Processes to use: `workers`, or one per core that this process may use when it is 0."""
    return workers or len(os.sched_getaffinity(0))


def _prepare() -> None:
    """One thread, and no orphan: a worker ends when the process that started it is gone, however it went."""
    _one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def _one_thread() -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def spread(function: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int = 0,
           unit: str = "utt") -> Iterator[Result]:
    """Map over one process per core, one thread each; results come in the order of `items`.

    `function` and its items must be importable by a fresh process. Memory stays bounded: results are
    handed on as they come. One worker runs in this process.
    """
    number = min(cores(workers), max(1, len(items)))
    _one_thread()
    if number == 1:
        yield from progress(map(function, items), what, len(items), unit)
        return
    with ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _prepare) as pool:
        try:
            yield from progress(pool.map(function, items), what, len(items), unit)
        except BrokenProcessPool as error:
            raise UserError(f"{what}: a worker process was killed, most likely for want of memory: set compute.workers "
                            "lower and run the same command again") from error
