"""Occlusion over the waveform: mute a moment, see what it costs.

Paper 1, figure 3c.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
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

    captum.attr.FeatureAblation over switches, one a stretch. captum.attr.Occlusion would average stretches that overlap
    and so give to a sample what no single stretch has lost.
    """
    from captum.attr import FeatureAblation

    stretch, step = max(1, round(width * sample_rate)), max(1, round(hop * sample_rate))
    starts = np.arange(0, max(1, len(waveform) - stretch + 1), step)

    def heard(switches: Tensor) -> Tensor:
        """The class's probability with the stretches muted whose switch, of (b, stretches), is 0."""
        windows = waveform.repeat(len(switches), 1)
        for window, off in zip(windows, (switches == 0).cpu().numpy(), strict=True):
            for start in starts[off]:
                window[start:start + stretch] = 0
        return probability(windows)

    drops = FeatureAblation(heard).attribute(waveform.new_ones(1, len(starts)), perturbations_per_eval=batch_size)
    middle = np.minimum(starts + stretch / 2, len(waveform)) / sample_rate
    return Occlusion(middle, drops[0].float().cpu().numpy())
