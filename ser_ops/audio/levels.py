"""Level, clipping and silence of a recording."""

from dataclasses import dataclass

import numpy as np

_FULL = 0.999


@dataclass(frozen=True)
class Levels:
    """Peak and RMS in dB relative to full scale; silent_share in [0, 1]."""

    peak_dbfs: float
    rms_dbfs: float
    silent_share: float


def dbfs(amplitude: float) -> float:
    """Amplitude (1.0 is full scale) in dB, floored at -120.

    >>> round(dbfs(0.5), 2)
    -6.02
    """
    return float(20 * np.log10(max(amplitude, 1e-6)))


def levels(samples: np.ndarray, sample_rate: int, silence_dbfs: float) -> Levels:
    """Levels of float samples of shape (n,); silence counts 25 ms frames whose RMS is below `silence_dbfs`."""
    if len(samples) == 0:
        return Levels(-120.0, -120.0, 1.0)
    frame = max(1, int(0.025 * sample_rate))
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame).astype(np.float64, copy=False)
    squares = np.vecdot(padded, padded)
    return Levels(
        peak_dbfs=dbfs(float(max(samples.max(), -samples.min()))),
        rms_dbfs=dbfs(float(np.sqrt(squares.sum() / len(samples)))),
        silent_share=float(np.mean(np.sqrt(squares / frame) < 10 ** (silence_dbfs / 20))),
    )


def clipped_samples(samples: np.ndarray) -> int:
    """How many of float samples (n,) are clipped: at full scale, beside another of the same value.

    One lone peak at full scale is none.

    >>> clipped_samples(np.array([0.0, 1.0, 1.0, 0.0, 1.0]))
    1
    """
    if len(samples) < 2 or max(samples.max(), -samples.min()) < _FULL:
        return 0
    return int(((np.abs(samples[1:]) >= _FULL) & (samples[1:] == samples[:-1])).sum())
