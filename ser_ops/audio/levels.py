"""Level, clipping and silence of a recording."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Levels:
    """Peak and RMS in dB relative to full scale; shares in [0, 1]."""

    peak_dbfs: float
    rms_dbfs: float
    clipped_share: float
    silent_share: float


def dbfs(amplitude: float) -> float:
    """Amplitude (1.0 is full scale) in dB, floored at -120.

    >>> round(dbfs(0.5), 2)
    -6.02
    """
    return float(20 * np.log10(max(amplitude, 1e-6)))


def levels(samples: np.ndarray, sample_rate: int, silence_dbfs: float) -> Levels:
    """Levels of float samples of shape (n,); silence counts 25 ms frames whose RMS is below `silence_dbfs`.

    Clipped is a sample at full scale beside another of the same value, so that one lone peak is none.
    """
    if len(samples) == 0:
        return Levels(-120.0, -120.0, 0.0, 1.0)
    magnitude = np.abs(samples)
    flat = (magnitude[1:] >= 0.999) & (samples[1:] == samples[:-1])
    frame = max(1, int(0.025 * sample_rate))
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    frames_rms = np.sqrt(np.mean(np.square(padded, dtype=np.float64), axis=1))
    return Levels(
        peak_dbfs=dbfs(float(magnitude.max())),
        rms_dbfs=dbfs(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))),
        clipped_share=float(flat.mean()) if len(flat) else 0.0,
        silent_share=float(np.mean(frames_rms < 10 ** (silence_dbfs / 20))),
    )
