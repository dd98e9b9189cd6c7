"""The metric table of paper 2's figures 7 to 13: where a map on the mel spectrogram lies, and what that area is worth.

Definitions are this project's where the paper gives none; docs/explanations.md holds them against the paper's figures.
"""

from dataclasses import dataclass

import numpy as np

_HALF = 0.5     # of the maximum: what reaches it is the activated area


@dataclass(frozen=True)
class Focus:
    """Figures of one map, under the paper's names.

    mean_activation     over all cells of the map, in [0, 1]
    max_activation      after upsampling; below 1 where the peak lies between two cells
    activated_area_pct  per cent of all cells that reach half of the maximum
    entropy             in nats, of the map scaled to sum 1; at most the logarithm of the number of cells
    time_focus_range    seconds from the start of the window: where the first activated frame's hop begins, where the
                        last one's ends. Frame t is centred on t hops and answers for half a hop on each side
    freq_focus_range    hertz: lower border of the lowest activated mel band, upper border of the highest

    Ranges and entropy are None where the map is zero everywhere. A range is an extent: what lies within it need not be
    activated.
    """

    mean_activation: float
    max_activation: float
    activated_area_pct: float
    entropy: float | None
    time_focus_range: tuple[float, float] | None
    freq_focus_range: tuple[float, float] | None


def activated(values: np.ndarray) -> np.ndarray:
    """The cells that reach half of the map's maximum: bool like `values`, all False for a map of zeros.

    >>> activated(np.array([[0.0, 0.4], [0.5, 1.0]])).tolist()
    [[False, False], [True, True]]
    """
    peak = values.max(initial=0.0)
    return (values >= _HALF * peak) & (peak > 0)


def entropy(values: np.ndarray) -> float | None:
    """Entropy in nats of a map (at least 0) scaled to sum 1; None for zeros.

    >>> round(entropy(np.ones((2, 4))), 4)      # ln 8
    2.0794
    """
    total = values.sum()
    if not total > 0:
        return None
    shares = values[values > 0] / total
    return max(0.0, float(-(shares * np.log(shares)).sum()))


def frame_borders(frames: int, hop_seconds: float, seconds: float) -> np.ndarray:
    """Where each frame's hop begins and the last one's ends, in seconds: (frames + 1,), within the window.

    >>> frame_borders(3, 0.5, 1.0)
    array([0.  , 0.25, 0.75, 1.  ])
    """
    return np.clip((np.arange(frames + 1) - 0.5) * hop_seconds, 0, seconds)


def focus(values: np.ndarray, seconds: np.ndarray, hertz: np.ndarray) -> Focus:
    """The table's figures of a map (mels, T), at least 0.

    seconds: borders of the frames (T + 1,); hertz: borders of the mel bands (mels + 1,); both rising.
    """
    area = activated(values)
    bands, frames = np.flatnonzero(area.any(1)), np.flatnonzero(area.any(0))
    lit = bool(len(bands))
    return Focus(float(values.mean()), float(values.max(initial=0.0)), 100 * float(area.mean()), entropy(values),
                 (float(seconds[frames[0]]), float(seconds[frames[-1] + 1])) if lit else None,
                 (float(hertz[bands[0]]), float(hertz[bands[-1] + 1])) if lit else None)


def masked(mel: np.ndarray, area: np.ndarray, valid: np.ndarray, each_band: bool) -> np.ndarray:
    """A mel spectrogram (mels, T) with the utterance's mean level in the cells of `area` (bool, alike).

    valid: bool (T,), the frames that are no padding; the mean is taken over those. each_band: the mean of each band, so
    that a masked cell is as loud as its band is on average; else one mean for all, the grey of an image.
    """
    heard = mel[:, valid] if valid.any() else mel
    level = heard.mean(1, keepdims=True) if each_band else heard.mean(keepdims=True)
    return np.where(area, level, mel).astype(mel.dtype)
