"""What stands in the place of sound that is taken away: silence, or noise that sounds like the clip itself.

A fill is a choice, and every choice brings a cue of its own in. Silence is what padding sounds like; noise keeps level
and timbre but has no voice. What holds under both holds of the moments and not of the fill.
"""

from collections.abc import Callable

import numpy as np
import scipy.fft

from ser_ops.seeds import generator

_SEGMENT = 1024  # samples: an average spectrum finer than this would repeat the clip's own harmonics

Fill = Callable[[np.ndarray, int, str], np.ndarray]


def silence(window: np.ndarray, _seed: int, _key: str) -> np.ndarray:
    """Zeros like `window`, float32 (n,)."""
    return np.zeros_like(window, np.float32)


def noise(window: np.ndarray, seed: int, key: str) -> np.ndarray:
    """Stationary Gaussian noise with the average spectrum and the RMS of `window` (n,): float32 (n,).

    The spectrum is Welch's estimate over halves overlapping. The same seed and key give the same noise.
    """
    samples = np.asarray(window, np.float64)
    if not samples.any():
        return silence(window, seed, key)
    segment = min(_SEGMENT, len(samples))
    from scipy.signal import welch  # here, because it takes half a second to import
    frequencies, power = welch(samples, nperseg=segment, detrend=False)
    size = scipy.fft.next_fast_len(len(samples), real=True)
    shape = np.sqrt(np.interp(scipy.fft.rfftfreq(size), frequencies, power))
    white = generator(seed, "fill", key).standard_normal(size)
    made = scipy.fft.irfft(scipy.fft.rfft(white) * shape, size)[:len(samples)]
    return (made * np.sqrt(np.mean(np.square(samples)) / np.mean(np.square(made)))).astype(np.float32)


FILLS: dict[str, Fill] = {"silence": silence, "noise": noise}


def filled(window: np.ndarray, valid: int, fill: str, seed: int, key: str) -> np.ndarray:
    """The window (N,) with all of its first `valid` samples replaced by a fill of FILLS; padding stays zero."""
    made = np.zeros(len(window), np.float32)
    made[:valid] = FILLS[fill](window[:valid], seed, key)
    return made
