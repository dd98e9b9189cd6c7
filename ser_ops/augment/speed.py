"""Faster or slower, as a tape is: duration and pitch together."""

import numpy as np
import soxr


def change(samples: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """Speech of shape (n,) at `factor` times its speed: float32 of about n / factor samples.

    Raises ValueError for a factor that is not positive.

    >>> change(np.zeros(1100, np.float32), 16000, 1.1).shape
    (1000,)
    """
    if factor <= 0:
        raise ValueError(f"speed {factor}: must be above 0")
    return soxr.resample(np.asarray(samples, np.float32), sample_rate * factor, sample_rate,
                         quality="HQ").astype(np.float32, copy=False)
