"""Mean and deviation of each channel of the features over the training rows, as they stream by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ser_ops.config.models import Window
from ser_ops.features.index_map import channels_of, to_grid

Standardisation = Mapping[str, Sequence[float]]     # "mean" and "std", a value per channel


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each channel of the grid (ZCR, RMS, MFCC 0, ...), in float64."""

    count: int
    mean: np.ndarray
    deviations: np.ndarray

    @classmethod
    def none(cls, settings: Window) -> "Moments":
        """Of no row."""
        return cls(0, np.zeros(channels_of(settings)), np.zeros(channels_of(settings)))

    @classmethod
    def of(cls, features: Tensor | np.ndarray, settings: Window) -> "Moments":
        """Of a batch of rows of shape (B, *shape_of(settings))."""
        values = np.asarray(to_grid(features, settings), np.float64)
        if len(values) == 0:
            return cls.none(settings)
        mean = values.mean((0, 2))
        centred = values - mean[:, None]
        return cls(values.shape[0] * values.shape[2], mean, np.einsum("bct,bct->c", centred, centred))

    def __add__(self, other: "Moments") -> "Moments":
        count = self.count + other.count
        if count == 0:
            return self
        step = other.mean - self.mean
        return Moments(count, self.mean + step * (other.count / count),
                       self.deviations + other.deviations + step**2 * (self.count * other.count / count))

    def standardisation(self) -> Standardisation:
        """{"mean": [...], "std": [...]}, one value a channel; one that never varies has a deviation of 1."""
        std = np.sqrt(self.deviations / max(self.count, 1))
        return {"mean": self.mean.tolist(), "std": np.where(std > 1e-8, std, 1.0).tolist()}


def sum_moments(parts: Sequence[Moments], settings: Window) -> Moments:
    """The moments of all parts together, added in their order."""
    return sum(parts, start=Moments.none(settings))
