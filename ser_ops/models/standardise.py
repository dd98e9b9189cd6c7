"""Features at mean 0 and deviation 1 of the training rows, channel by channel."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config import Features, Window
from ser_ops.features.index_map import channels_of, frames_of, shape_of

Standardisation = Mapping[str, Sequence[float]]


class Standardise(nn.Module):
    """Each channel of the features (ZCR, each MFCC, each row of paper 2's stack) to mean 0 and deviation 1.

    Takes features float32 (B, *shape_of(settings)), either layout, and gives the same shape back. The means and
    deviations, channels_of(settings) of each, are buffers: they travel with the weights. Without any, features pass
    unchanged. Raises ValueError for another number of values.
    """

    mean: Tensor
    std: Tensor
    applied = False     # to what comes in, already: see `ahead`

    def __init__(self, settings: Window, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.frames, self.shape = frames_of(settings), shape_of(settings)
        self.serial = isinstance(settings, Features) and settings.layout == "serial"
        channels = channels_of(settings)
        values = standardisation or {"mean": [0.0] * channels, "std": [1.0] * channels}
        for name in ("mean", "std"):
            buffer = torch.tensor(values[name], dtype=torch.float32)
            if buffer.shape != (channels,):
                raise ValueError(f"standardisation: {name} has {len(values[name])} values, not {channels}")
            self.register_buffer(name, buffer)

    def spread(self, values: Tensor) -> Tensor:
        """One value per channel, (..., C), laid over the features: (..., C, 1), or (..., L) in the serial layout."""
        if not self.serial:
            return values[..., None]
        ones = [1] * (values.ndim - 1)
        return torch.cat([values[..., :2].repeat_interleave(self.frames, dim=-1),
                          values[..., 2:].repeat(*ones, self.frames)], dim=-1)

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each value of one example's features, float32 of their shape."""
        mean, std = (self.spread(one).expand(self.shape).cpu().contiguous().numpy() for one in (self.mean, self.std))
        return mean, std

    def forward(self, features: Tensor) -> Tensor:
        if self.applied:
            return features
        return (features - self.spread(self.mean)) / self.spread(self.std)


@contextmanager
def ahead(model: nn.Module) -> Iterator[Standardise | None]:
    """Meanwhile the model takes features that its `Standardise`, which this gives, was applied to already.

    For who reads features again and again: while one example lies in the processor's cache it costs next to nothing,
    for a whole batch it costs a small network a tenth of its time. None for a model without.
    """
    found = next((one for one in model.modules() if isinstance(one, Standardise)), None)
    if found is None:
        yield None
        return
    found.applied = True
    try:
        yield found
    finally:
        found.applied = False
