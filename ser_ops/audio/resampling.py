"""From one sample rate to another."""

import numpy as np
import soxr


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Resample float32 samples of shape (n,) from `source` to `target` hertz (soxr, high quality).

    >>> resample(np.zeros(48000, np.float32), 48000, 16000).shape
    (16000,)
    """
    if source == target:
        return samples
    return soxr.resample(samples, source, target, quality="HQ").astype(np.float32, copy=False)
