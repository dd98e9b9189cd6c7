"""The fixed window of samples that a model sees."""

from collections.abc import Sequence

import numpy as np


def fit(samples: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """The middle `length` samples, zero padded at the end when there are fewer.

    Returns float32 of shape (length,) and the number of samples that are not padding.

    >>> fit(np.arange(5, dtype=np.float32), 3)
    (array([1., 2., 3.], dtype=float32), 3)
    >>> fit(np.ones(2, np.float32), 3)
    (array([1., 1., 0.], dtype=float32), 2)
    """
    if len(samples) >= length:
        start = (len(samples) - length) // 2
        return np.asarray(samples[start:start + length], np.float32), length
    return np.pad(np.asarray(samples, np.float32), (0, length - len(samples))), len(samples)


def fit_all(items: Sequence[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """`fit` of each: windows, float32 (n, length), and their samples that are not padding, int64 (n,).

    >>> fit_all([np.arange(5), np.ones(2)], 3)[1]
    array([3, 2])
    """
    windows, valid = np.empty((len(items), length), np.float32), np.zeros(len(items), np.int64)
    if length == 0:
        return windows, valid
    for index, samples in enumerate(items):
        start, own = max(0, (len(samples) - length) // 2), min(len(samples), length)
        windows[index, :own] = samples[start:start + own]
        windows[index, own:] = 0.0
        valid[index] = own
    return windows, valid


def spans(total: int, length: int, hop: int) -> list[tuple[int, int]]:
    """Start and end (samples) of the windows over a recording: every `hop`, the last one ends at its end.

    A recording no longer than one window has one.

    >>> spans(10, 4, 3)
    [(0, 4), (3, 7), (6, 10)]
    >>> spans(9, 4, 3)
    [(0, 4), (3, 7), (5, 9)]
    >>> spans(3, 4, 3)
    [(0, 3)]
    """
    if total <= length:
        return [(0, total)]
    starts = list(range(0, total - length + 1, hop))
    if starts[-1] + length < total:
        starts.append(total - length)
    return [(start, start + length) for start in starts]
