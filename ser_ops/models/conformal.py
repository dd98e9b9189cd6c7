"""Sets of answers that hold the truth in a promised share of cases: split conformal prediction.

The score of an answer is 1 less the probability of the true class (Sadinle, Lei and Wasserman 2019). Where new clips
are as those of calibration, whoever speaks, a set of classes whose score does not exceed a quantile of calibration's
scores holds the truth at least so often as promised. Scores are kept in steps of a ten-thousandth, rounded up, so that
the promise stands.
"""

import math
from collections.abc import Sequence

import numpy as np

from ser_ops.emotions import EMOTIONS

_STEPS = 10_000


def scores(true: np.ndarray, probabilities: np.ndarray) -> list[int]:
    """Scores of calibration in ten-thousandths, sorted: class indices (n,) and probabilities (n, classes).

    >>> scores(np.array([0, 1]), np.array([[0.9, 0.1], [0.75, 0.25]]))
    [1000, 7500]
    """
    of_truth = np.take_along_axis(np.asarray(probabilities, np.float64), np.asarray(true)[:, None], 1)[:, 0]
    return sorted(np.ceil(((1 - of_truth) * _STEPS).round(6)).astype(int).tolist())


def threshold(kept: Sequence[int], coverage: float) -> float:
    """The largest score, in [0, 1], that a class of a set may have; infinite where the scores are too few to promise.

    kept: as `scores` gives them; coverage: share of sets that shall hold the truth, in (0, 1).

    >>> threshold([100, 200, 300, 9000], 0.5), threshold([100, 200, 300, 9000], 0.9)
    (0.03, inf)
    """
    rank = math.ceil((len(kept) + 1) * coverage)
    return kept[rank - 1] / _STEPS if rank <= len(kept) else math.inf


def emotion_set(probabilities: np.ndarray, most: float) -> tuple[str, ...]:
    """The emotions whose score does not exceed `most`, the likeliest first; none where even that is too unlikely.

    >>> emotion_set(np.array([0.6, 0.3, 0.1, 0, 0, 0, 0]), 0.75)
    ('angry', 'disgust')
    """
    likeliest = np.argsort(-probabilities, kind="stable")
    return tuple(EMOTIONS[index] for index in likeliest if 1 - probabilities[index] <= most)
