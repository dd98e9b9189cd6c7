"""Pitch up or down with the duration kept (paper 1, section III-C, equation 11)."""

from fractions import Fraction

import numpy as np
import soxr

from ser_ops.augment.stretch import stretch

_DENOMINATOR = 1000  # a ratio of whole numbers is resampled without interpolating the filter, a quarter faster


def ratio(semitones: float) -> Fraction:
    """2^(semitones/12) for -12 to 12, to within 0.05 per cent (a hundredth of a semitone) as a ratio of whole numbers.

    >>> ratio(0.7), f"{float(ratio(0.7)) / 2 ** (0.7 / 12) - 1:.0e}"
    (Fraction(429, 412), '-2e-08')
    """
    return Fraction(2.0 ** (semitones / 12)).limit_denominator(_DENOMINATOR)


def shift(samples: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """`samples` (n,) with every frequency times 2^(semitones/12), as float32 of the same shape.

    Positive is up: equation 11 as printed, X(f 2^(n/12)), would go down for n = 0.7. The recording is resampled
    to play faster or slower and then brought back to its duration by `stretch`. Formants move with the pitch, as in
    the paper. The factor is that of `ratio`. No random numbers: the same samples give the same answer.

    >>> tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    >>> higher = shift(tone, 16000, 12)
    >>> higher.shape, int(np.abs(np.fft.rfft(higher)).argmax())
    ((16000,), 400)
    """
    samples = np.ascontiguousarray(samples, np.float32)
    if semitones == 0 or len(samples) == 0:
        return samples.copy()
    factor = ratio(semitones)
    faster = soxr.resample(samples, factor.numerator, factor.denominator, quality="HQ")
    return stretch(faster, len(samples), sample_rate)
