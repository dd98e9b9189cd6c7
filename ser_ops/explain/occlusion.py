"""Occlusion over the waveform, for models that have no spectral stream: mute a moment, see what it costs.

Paper 1, figure 3c.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Occlusion:
    """Middle of each muted stretch in seconds, and the probability that the class lost by it (may be below 0)."""

    seconds: np.ndarray
    drop: np.ndarray


def occlude(probability: Callable[[Tensor], Tensor], waveform: Tensor, sample_rate: int, width: float = 0.1,
            hop: float = 0.025, batch_size: int = 64) -> Occlusion:
    """Mute `width` seconds at a time, every `hop` seconds, and measure what the class loses.

    `probability` takes waveforms (b, n) to the explained class's probability (b,); `waveform` has shape (n,).
    """
    stretch, step = max(1, round(width * sample_rate)), max(1, round(hop * sample_rate))
    starts = list(range(0, max(1, len(waveform) - stretch + 1), step))
    drops = []
    with torch.no_grad():
        whole = probability(waveform[None])[0]
        for first in range(0, len(starts), batch_size):
            some = starts[first:first + batch_size]
            muted = waveform.repeat(len(some), 1)
            for row, start in zip(muted, some, strict=True):
                row[start:start + stretch] = 0
            drops.append(whole - probability(muted))
    middle = np.minimum(np.array(starts) + stretch / 2, len(waveform)) / sample_rate
    return Occlusion(middle, torch.cat(drops).float().cpu().numpy())
