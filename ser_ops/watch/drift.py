"""Whether records of now are drawn as those of a reference were: a test for each figure, one for answers, one for
embeddings, corrected for their number.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ser_ops.config.services import Watch
from ser_ops.emotions import EMOTIONS
from ser_ops.seeds import generator
from ser_ops.watch.records import FIGURES, Records

CONFIDENCE, ANSWERS, EMBEDDING = "confidence", "answers", "embedding"
_SHARES = "largest change of a share, permuted"
_LEAST_VARIANCE = 1e-6  # of a direction of embeddings, beside the largest, or it holds rounding alone
_LEAST_VALUES = 20      # of a figure on either side, or it is not tested


@dataclass(frozen=True)
class Drift:
    """One test. `distance` in [0, 1] and its kind: how far the two distributions lie apart.

    p: of so large a distance by chance; adjusted: the same after the correction for all tests; now, before: medians, of
    answers the most changed emotion's shares, None for embeddings; drifted: beyond both limits of section watch.
    """

    name: str
    kind: str
    distance: float
    p: float
    now: float | None
    before: float | None
    what: str = ""
    adjusted: float = 1.0
    drifted: bool = False


def drifts(reference: Records, now: Records, settings: Watch, answered: bool = True) -> list[Drift]:
    """Every test of records against a reference, the most certain first.

    answered: False for records of which too few hold speech; the figures of sound alone are then tested.

    A change counts where its distance is at least `settings.least_distance` and its p value, corrected by Benjamini and
    Hochberg (1995), at most `settings.false_alarms`: without any change the correction bounds the share of periods in
    which one is seen (its family-wise error). A figure with too few values on a side is left out.
    """
    from scipy.stats import false_discovery_control
    tests = list(_sound(reference, now))
    if answered:
        tests += [*_confidence(reference, now), _answers(reference, now, settings),
                  *_embeddings(reference, now, settings)]
    if not tests:
        return []
    adjusted = false_discovery_control([test.p for test in tests]).tolist()
    tests = [replace(test, adjusted=value, drifted=value <= settings.false_alarms
                     and test.distance >= settings.least_distance)
             for test, value in zip(tests, adjusted, strict=True)]
    return sorted(tests, key=lambda test: (not test.drifted, test.adjusted, -test.distance))


def _sound(reference: Records, now: Records) -> Iterator[Drift]:
    for name in FIGURES:
        yield from _compared(name, reference.figure(name), now.figure(name))


def _confidence(reference: Records, now: Records) -> Iterator[Drift]:
    yield from _compared(CONFIDENCE, *(side.probabilities.max(1)[side.spoken] for side in (reference, now)))


def _compared(name: str, *sides: np.ndarray) -> Iterator[Drift]:
    """Kolmogorov and Smirnov's test of a figure before and now, where enough values are known on both sides."""
    from scipy.stats import ks_2samp
    before, after = (side[np.isfinite(side)] for side in sides)
    if min(len(before), len(after)) >= _LEAST_VALUES:
        tested = ks_2samp(before, after, method="asymp")
        yield Drift(name, "Kolmogorov-Smirnov", float(tested.statistic), float(tested.pvalue),
                    float(np.median(after)), float(np.median(before)))


def _answers(reference: Records, now: Records, settings: Watch) -> Drift:
    """A permutation test of the emotion whose share changed most, in deviations; the distance is of total variation."""
    before, after = (np.bincount(side.predicted[side.spoken], minlength=len(EMOTIONS)) for side in (reference, now))
    total, number = before + after, int(after.sum())
    if not 0 < number < total.sum():
        return Drift(ANSWERS, _SHARES, 0.0, 1.0, None, None)
    expected = total * (number / total.sum())
    deviation = np.sqrt(expected * (1 - total / total.sum()))   # but for a factor that all emotions share

    def statistic(counts: np.ndarray) -> np.ndarray:
        return np.divide(np.abs(counts - expected), deviation, out=np.zeros(counts.shape), where=deviation > 0).max(-1)

    drawn = generator(settings.seed, "answers").multivariate_hypergeometric(total, number, settings.permutations)
    shares = after / number, before / before.sum()
    most = int(np.divide(np.abs(after - expected), deviation, out=np.zeros(len(total)), where=deviation > 0).argmax())
    return Drift(ANSWERS, _SHARES, float(np.abs(shares[0] - shares[1]).sum() / 2),
                 _permuted_p(statistic(after), statistic(drawn)), float(shares[0][most]), float(shares[1][most]),
                 EMOTIONS[most])


def _embeddings(reference: Records, now: Records, settings: Watch) -> Iterator[Drift]:
    """A permutation test of the energy distance (Székely and Rizzo 2013) over at most `sample` records a side.

    Embeddings are whitened by the covariance of both sides together, or what the model is for, emotion, would hide
    voices and microphones. The distance is the root of the energy coefficient: 0 for equal distributions, 1 for points
    far apart. No test where embeddings are missing.
    """
    from scipy.spatial.distance import cdist
    from sklearn.covariance import ledoit_wolf
    draw = generator(settings.seed, "embeddings")
    known = [side.embeddings[np.isfinite(side.embeddings).all(1)].astype(np.float64) for side in (reference, now)]
    before, after = (side[draw.permutation(len(side))[:settings.sample]] for side in known)
    if min(len(before), len(after)) < _LEAST_VALUES:
        return
    both = np.concatenate([before, after])
    values, vectors = np.linalg.eigh(ledoit_wolf(both)[0])
    varies = values > values.max() * _LEAST_VARIANCE
    both = both @ vectors[:, varies] / np.sqrt(values[varies])
    distances = cdist(both, both).astype(np.float32)
    members = np.zeros((settings.permutations + 1, len(both)), np.float32)     # the first row as it is
    members[:, len(before):] = 1
    members[1:] = draw.permuted(members[1:], axis=1)
    energy, across = _energy(distances, members)
    yield Drift(EMBEDDING, "energy distance, permuted", math.sqrt(max(0.0, float(energy[0] / (2 * across[0])))),
                _permuted_p(energy[0], energy[1:]), None, None)


def _energy(distances: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy distance of two groups and the mean distance across them, for each row of members, (rows,).

    distances: (n, n) between points; members: 0 or 1 for each point, (rows, n).
    """
    to_second = members @ distances
    second = members.sum(1)
    first = members.shape[1] - second
    within_second = (to_second * members).sum(1)
    across = to_second.sum(1) - within_second
    within_first = distances.sum() - within_second - 2 * across
    across = across / (first * second)
    return 2 * across - within_first / first**2 - within_second / second**2, across


def _permuted_p(observed: np.ndarray, drawn: np.ndarray) -> float:
    """The share of draws at least as large, the observed one among them."""
    return float((1 + (drawn >= observed - 1e-9).sum()) / (len(drawn) + 1))
