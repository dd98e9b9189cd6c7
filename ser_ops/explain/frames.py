"""The frames of the features as seconds of the window."""

import numpy as np

from ser_ops import config
from ser_ops.features.index_map import frames_of


def frame_seconds(window: config.Window) -> np.ndarray:
    """Centres of the frames in seconds from the start of the window: float64 (T,)."""
    return np.arange(frames_of(window)) * window.hop / window.sample_rate


def blur_seconds(frames: float, window: config.Window) -> float:
    """Seconds of sound that so many neighbouring frames have looked at."""
    return ((frames - 1) * window.hop + window.frame) / window.sample_rate
