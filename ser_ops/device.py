"""Which device computes: the CPU, or this process's GPU."""

import os

import torch

from ser_ops.errors import UserError


def device_of(name: str) -> torch.device:
    """The device that compute.device names: auto takes this process's GPU where there is one, else the CPU.

    Under torchrun each process has the GPU of its LOCAL_RANK. Raises UserError for a GPU that is not there.

    >>> device_of("cpu")
    device(type='cpu')
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    index = int(name.partition(":")[2] or os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise UserError(f"compute.device: {name!r} is not on this machine ({torch.cuda.device_count()} GPUs): set "
                        "it to auto or cpu")
    return torch.device("cuda", index)
