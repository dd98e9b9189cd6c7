"""Processes that train: several that train one model together, or several trainings at once, a core each."""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from ser_ops.config.section import SETTINGS_FILES
from ser_ops.errors import UserError
from ser_ops.progress.spreading import worker_count
from ser_ops.seeds import derive_seed

deterministic: Any = torch.utils.deterministic      # a module whose settings are its attributes


def process_rank() -> int:
    """Number of this process among those that train together, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def process_group(device: torch.device, meeting: Path | None = None) -> Iterator[None]:
    """Join the processes that torchrun, or `run_process_group` (by a file), started; alone, do nothing.

    They talk by nccl on GPUs, by gloo on CPUs.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    number, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store, *_ = next(distributed.rendezvous(f"file://{meeting}" if meeting else "env://", number, size))
    # torchrun starts all again after one was killed, and the addresses of those before still stand in its store.
    store = distributed.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=number,
                                   world_size=size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if world_size() > 1:
        distributed.all_reduce(tensor)
    return tensor


def reseed(seed: int, *key: object) -> None:
    """Set every global generator (Python, NumPy, torch on all devices) from a seed and a stable key."""
    value = derive_seed(seed, *key)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Same bits for the same inputs: deterministic algorithms, and on a CPU one thread; settings come back after.

    One thread is also the fastest on a shared core: two are two to seven times slower on small operations. On a GPU an
    operation without a deterministic form only warns. Torch fills new memory in this mode for code that reads it before
    it writes; that is turned off, since it costs an LSTM a tenth of its time.
    """
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    benchmark, filled = torch.backends.cudnn.benchmark, deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.set_num_threads(1)
    else:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The same as use_deterministic_algorithms, which loads torch's compiler too: two seconds of a processor.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")
    torch.backends.cudnn.benchmark = deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.backends.cudnn.benchmark, deterministic.fill_uninitialized_memory = benchmark, filled


Input = TypeVar("Input")
Output = TypeVar("Output")
ProcessMap = Callable[[Callable[[Input], Output], Sequence[Input]], list[Output]]

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def trainings_at_once(workers: int, device: torch.device) -> int:
    """How many trainings run at once: one per core (or `workers`), one per GPU where training is on GPUs."""
    return max(1, torch.cuda.device_count()) if device.type == "cuda" else worker_count(workers)


def _start_process(counter: Synchronized, parent: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # Ctrl-C reaches the parent, which then hangs up
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        with counter.get_lock():
            os.environ["LOCAL_RANK"] = str(counter.value % torch.cuda.device_count())
            counter.value += 1
    # A killed stage's trainings must not go on and write beside those of the next one: its end of the pipe closes too.
    threading.Thread(target=lambda: (wait([parent]), os._exit(1)), daemon=True).start()


@contextmanager
def process_map(processes: int) -> Iterator[ProcessMap]:
    """Give a map(function, inputs) over at most `processes` fresh processes, results in the order of the inputs.

    With one process it runs in this one. The processes stay for the whole block; they end with it, with its first
    exception, and when this process is killed. Raises UserError when a process is killed.
    """
    if processes == 1:
        yield lambda function, inputs: [function(value) for value in inputs]
        return
    with _process_pool(processes) as pool:
        yield lambda function, inputs: list(pool.map(function, inputs))


def run_process_group(function: Callable[[Path], None], processes: int) -> None:
    """Run `function` in fresh processes that train one model together, on this machine alone.

    Each has its RANK, LOCAL_RANK and WORLD_SIZE, as under torchrun; they meet by the file that `function` gets (for
    `process_group`) and talk on loopback, while torchrun's own meeting place listens on every interface. All end
    with the first that fails. Raises what that one raised, UserError when it was killed.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with TemporaryDirectory() as meeting, _process_pool(processes) as pool:
        members = [pool.submit(_member, function, Path(meeting) / "store", rank, processes)
                   for rank in range(processes)]
        futures.wait(members, return_when=futures.FIRST_EXCEPTION)
        if not any(isinstance(error, UserError) for error in _errors(members)):
            futures.wait(members, timeout=_KILL_SEEN_SECONDS)
        for error in sorted(_errors(members), key=lambda error: not isinstance(error, (UserError, BrokenProcessPool))):
            raise error


_KILL_SEEN_SECONDS = 5.0    # a kill is known a little after the other processes lost their connection to that one


def _errors(members: Sequence[futures.Future]) -> list[BaseException]:
    return [error for member in members if member.done() and (error := member.exception()) is not None]


def _member(function: Callable[[Path], None], meeting: Path, rank: int, size: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "GLOO_SOCKET_IFNAME": "lo",
                   "NCCL_SOCKET_IFNAME": "lo"}
    function(meeting)


@contextmanager
def _process_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, context, initializer=_start_process, initargs=(context.Value("i", 0), theirs))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise UserError("training: a process was killed, most likely for lack of memory: lower compute.workers or "
                        f"train.batch_size in {SETTINGS_FILES} and run the same command again") from error
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()
