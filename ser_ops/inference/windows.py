"""Windows over a stream of samples, holding no more than one block and one window."""

from collections.abc import Iterable, Iterator

import numpy as np

from ser_ops.audio.admission import silent


def windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Start (samples) and samples of each window of a stream: the windows of `ser_ops.audio.spans`.

    All have `length` samples, except that a stream no longer than that is one window as long as itself.

    >>> [(start, len(one)) for start, one in windows([np.zeros(5), np.zeros(4)], 4, 3)]
    [(0, 4), (3, 4), (5, 4)]
    """
    held, origin, following, total = np.zeros(0, np.float32), 0, 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        total += len(block)
        while following + length <= total:
            yield following, held[following - origin:following - origin + length]
            following += hop
        keep = max(origin, min(following, total - length))  # the last window needs the last `length` samples
        held, origin = held[keep - origin:], keep
    if total < length:
        yield 0, held
    elif following - hop + length < total:
        yield total - length, held[-length:]


def quiet(samples: np.ndarray) -> bool:
    """Whether nothing in samples (n,), as the door gives them, rises above -60 dBFS.

    >>> quiet(np.full(100, 0.0005, np.float32)), quiet(np.array([0.0, -0.01], np.float32))
    (True, False)
    """
    return silent(float(np.abs(samples).max(initial=0.0)))
