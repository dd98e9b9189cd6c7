"""How many floating point operations a model's passes take: what their floor is computed from."""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.machine import multiplications
from benchmarks.speed.measure import repeated

_OPS = torch.ops.aten


def _lstm(values: Any, inputs: Any, state: Any, *_: Any, **__: Any) -> int:
    """Of one LSTM layer over (T, B, inputs): two products a frame, which torch's counter does not know."""
    return 2 * prod(values[:2]) * (prod(inputs) + prod(state))


def _lstm_backward(*shapes: Any, **more: Any) -> int:
    return 2 * _lstm(*shapes, **more)


@cache
def peak(dtype: torch.dtype = torch.float32) -> float:
    """Floating point operations a second of one core: the faster of a matrix product and a convolution by oneDNN."""
    convolution = torch.nn.Conv1d(512, 512, 3, padding="same", dtype=dtype)
    values = torch.randn(32, 512, 128).to(dtype)
    with torch.no_grad():
        seconds = repeated(lambda: convolution(values))
    return max(multiplications(1024, 1024, 1024, dtype), 2 * 512 * 512 * 3 * 32 * 128 / seconds)


def operations(passes: Callable[[], Any]) -> int:
    """Floating point operations of the matrix products, convolutions and LSTM layers in a call."""
    with FlopCounterMode(display=False, custom_mapping={
            _OPS.mkldnn_rnn_layer: _lstm, _OPS.mkldnn_rnn_layer_backward: _lstm_backward}) as counter:
        passes()
    return counter.get_total_flops()
