"""The device, and the processes that train one model together under torchrun."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from ser_ops.seeds import derive

deterministic: Any = torch.utils.deterministic      # a module whose settings are its attributes


def rank() -> int:
    """Number of this process among those that train together, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def together(device: torch.device, meeting: Path | None = None) -> Iterator[None]:
    """Join the processes that torchrun, or `workers.as_one` (by a file), started; alone, do nothing.

    They talk by nccl on GPUs, by gloo on CPUs.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    number, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    found = next(distributed.rendezvous(f"file://{meeting}" if meeting else "env://", number, size))
    # torchrun starts all again after one was killed, and the addresses of those before still stand in its store.
    store = distributed.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", found[0])
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=number,
                                   world_size=size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if size() > 1:
        distributed.all_reduce(tensor)
    return tensor


def reseed(seed: int, *key: object) -> None:
    """Set every global generator (Python, NumPy, torch on all devices) from a seed and a stable key."""
    value = derive(seed, *key)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Same bits for the same inputs: deterministic algorithms, and on a CPU one thread; settings come back after.

    One thread is also the fastest on a core that is shared: two are two to seven times slower on small operations.
    On a GPU an operation that has no deterministic form only warns. Memory is not filled before it is written to, which
    torch does in this mode for who reads it before, and which costs an LSTM a tenth of its time.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn, benchmark = torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn.benchmark
    filled = deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.set_num_threads(1)
    else:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    torch.backends.cudnn.benchmark = deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warn)
        torch.backends.cudnn.benchmark, deterministic.fill_uninitialized_memory = benchmark, filled
