"""What a method gives to each moment of a clip: every method on the same time axis, so that they can be compared."""

from dataclasses import dataclass

import numpy as np

from ser_ops.config.models import Window
from ser_ops.features.index_map import frames_of


@dataclass(frozen=True)
class Trace:
    """One method over time, float64: `values` (t,) at `seconds` (t,), centres counted from the start of the window.

    Positive speaks for the explained class; a method that has no negative values (Score-CAM, Grad-CAM) has none here.
    unit: of the values, in words. held: what the method left as it was ("" for nothing): a trace over features does not
    see what the waveform stream heard.
    """

    method: str
    seconds: np.ndarray
    values: np.ndarray
    unit: str
    held: str = ""

    def over(self, seconds: np.ndarray) -> np.ndarray:
        """The values at other moments, linearly between its own and constant beyond them.

        >>> Trace("shap", np.array([0.0, 1.0]), np.array([0.0, 2.0]), "log odds").over(np.array([0.5, 3.0]))
        array([1., 2.])
        """
        return np.interp(seconds, self.seconds, self.values)


def frame_seconds(window: Window) -> np.ndarray:
    """Centres of the frames in seconds from the start of the window: float64 (T,)."""
    return np.arange(frames_of(window)) * window.hop / window.sample_rate


def blur_seconds(frames: float, window: Window) -> float:
    """Seconds of sound that so many neighbouring frames have looked at."""
    return ((frames - 1) * window.hop + window.frame) / window.sample_rate
