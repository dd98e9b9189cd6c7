"""Spectral contrast of a batch: peaks over valleys in octave bands, by librosa's spectral_contrast."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ser_ops.config import Window
from ser_ops.errors import UserError
from ser_ops.features.descriptors import decibels
from ser_ops.features.rows import CONTRAST_HERTZ
from ser_ops.features.sorting import ascending

_QUANTILE = 0.02            # share of a band's bins that make its peak and its valley


@lru_cache(maxsize=32)
def bands(sample_rate: int, frame: int) -> tuple[tuple[int, int, int], ...]:
    """Of each band: its first bin, the bin after its last, and how many bins make its peak (and its valley).

    librosa's bins: from the second band on a band begins a bin below its edge; all but the last leave out their
    uppermost bin; the last goes on to half the sample rate. Raises UserError where a band has no bin.
    """
    hertz = np.arange(1 + frame // 2) * (sample_rate / frame)
    found = []
    for row, low in enumerate(CONTRAST_HERTZ):
        last = row == len(CONTRAST_HERTZ) - 1
        high = np.inf if last else CONTRAST_HERTZ[row + 1]
        inside = np.flatnonzero((hertz >= low) & (hertz <= high))
        first, end = (inside[0] - (row > 0), inside[-1] + 1) if len(inside) else (0, 0)
        count = max(1, round(_QUANTILE * (end - first)))
        end -= not last
        if low >= sample_rate / 2 or end - first < count:
            raise UserError(f"stacked: sample_rate {sample_rate} and frame {frame} leave the spectral contrast's band "
                            f"from {low} Hz empty: choose a rate above {2 * CONTRAST_HERTZ[-1]} and a longer frame")
        found.append((int(first), int(end), count))
    return tuple(found)


def spectral_contrast(power: Tensor, settings: Window) -> Tensor:
    """Spectral contrast in dB, float32 of shape (B, 7, T), from the power spectrum (B, T, bins).

    Per band the mean magnitude of its loudest fiftieth of bins over that of its faintest; both no lower than 80 dB
    below the loudest of their kind in the utterance, as librosa does it. 0 where all is silent.
    """
    peaks, valleys = [], []
    for first, end, count in bands(settings.sample_rate, settings.frame):
        band = ascending(power[..., first:end])
        peaks.append(band[..., -count:].sqrt().mean(-1))
        valleys.append(band[..., :count].sqrt().mean(-1))
    return decibels(torch.stack(peaks, dim=1)) - decibels(torch.stack(valleys, dim=1))
