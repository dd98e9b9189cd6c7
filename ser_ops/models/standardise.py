"""Features at mean 0 and deviation 1 of the training rows, channel by channel."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ser_ops.config import Features, Window
from ser_ops.features import channels_of, frames_of

Standardisation = Mapping[str, Sequence[float]]


class Standardise(nn.Module):
    """Each channel of the features (ZCR, each MFCC, each row of paper 2's stack) to mean 0 and deviation 1.

    Takes features float32 (B, *shape_of(settings)), either layout, and gives the same shape back. The means and
    deviations, channels_of(settings) of each, are buffers: they travel with the weights. Without any, features pass
    unchanged. Raises ValueError for another number of values.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: Window, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.frames = frames_of(settings)
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

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.spread(self.mean)) / self.spread(self.std)
