"""Pitch up or down with the duration kept (paper 1, section III-C, equation 11)."""

import numpy as np
import soxr

from ser_ops.augment.stretch import stretch


def shift(samples: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """`samples` (n,) with every frequency times 2^(semitones/12), as float32 of the same shape.

    Positive is up: equation 11 as printed, X(f 2^(n/12)), would go down for n = 0.7. The recording is resampled
    to play faster or slower and then brought back to its duration by `stretch`. Formants move with the pitch, as in
    the paper. No random numbers: the same samples give the same answer.

    >>> tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    >>> higher = shift(tone, 16000, 12)
    >>> higher.shape, int(np.abs(np.fft.rfft(higher)).argmax())
    ((16000,), 400)
    """
    samples = np.ascontiguousarray(samples, np.float32)
    if semitones == 0 or len(samples) == 0:
        return samples.copy()
    ratio = 2.0 ** (semitones / 12)
    return stretch(soxr.resample(samples, sample_rate * ratio, sample_rate, quality="HQ"), len(samples), sample_rate)
