"""Several trainings side by side: a process and a core each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import TypeVar

import torch

from ser_ops.errors import UserError
from ser_ops.progress import cores

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Spread = Callable[[Callable[[Job], Outcome], Sequence[Job]], list[Outcome]]

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def number(workers: int, device: torch.device) -> int:
    """How many trainings run at once: one per core (or `workers`), one per GPU where training is on GPUs."""
    return max(1, torch.cuda.device_count()) if device.type == "cuda" else cores(workers)


def _start(counter: Synchronized, stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # Ctrl-C reaches the parent, which then sets `stop`
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        with counter.get_lock():
            os.environ["LOCAL_RANK"] = str(counter.value % torch.cuda.device_count())
            counter.value += 1
    parent = multiprocessing.parent_process()
    # A killed stage's trainings must not go on and write beside those of the next one.
    for wait in (stop.wait, parent.join if parent else stop.wait):
        threading.Thread(target=lambda waiting: (waiting(), os._exit(1)), args=(wait,), daemon=True).start()


@contextmanager
def side_by_side(processes: int) -> Iterator[Spread]:
    """Give a map(function, jobs) that runs in at most `processes` fresh processes, results in the order of the jobs.

    With one process it runs in this one. The processes stay for the whole block; they end with it, with its first
    exception, and when this process is killed. Raises UserError when one of them is killed.
    """
    if processes == 1:
        yield lambda function, jobs: [function(job) for job in jobs]
        return
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(context.Value("i", 0), stop))
    try:
        yield lambda function, jobs: list(pool.map(function, jobs))
    except BrokenProcessPool as error:
        raise UserError("training: a process was killed, most likely for want of memory: lower compute.workers or "
                        "batch_size in params.yaml and run the same command again") from error
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
