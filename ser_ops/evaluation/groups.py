"""Whether a model serves two groups of utterances alike, by more than chance explains.

After audEERING's public test suite, which takes its limits from simulations with random models that know no groups
(docs/method-tests.rst of github.com/audeering/ser-tests): theirs guess, ours are as often right as the model itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ser_ops.evaluation.metrics import CLASSES
from ser_ops.seeds import generator


@dataclass(frozen=True)
class Difference:
    """UAR of two groups over the classes that both have, and what simulated models without an effect do.

    difference: first less second; expected: the mean of the simulated ones, which is not 0 where a group has more of a
    corpus that is harder; chance: share of simulated models that lie as far from it, in (0, 1], this one counted.
    """

    uar: tuple[float, float]
    utterances: tuple[int, int]
    classes: int
    difference: float
    expected: float
    largest: float
    chance: float


def compare(true: np.ndarray, right: np.ndarray, second: np.ndarray, corpora: np.ndarray, least: int,
            simulations: int, seed: int) -> Difference | None:
    """Difference in UAR between the utterances that are not in the `second` group and those that are.

    true: class indices (n,); right: bool (n,); second: bool (n,); corpora: a name for each (n,). A class counts when
    each group has `least` utterances of it; None when no class does. A simulated model is right as often as this one
    is on that class of that corpus, whoever speaks.
    """
    group = np.asarray(second, np.int64)
    corpus = np.unique(corpora, return_inverse=True)[1]
    shape = (2, int(corpus.max(initial=0)) + 1, CLASSES)
    at = (group, corpus, true)
    support, hits = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    np.add.at(support, at, 1)
    np.add.at(hits, at, np.asarray(right, np.int64))
    classes = (support.sum(1) >= least).all(0)
    if not classes.any():
        return None
    support, hits = support[..., classes], hits[..., classes]
    chance = (hits.sum(0) + 0.5) / (support.sum(0) + 1.0)   # Jeffreys: never surely right or wrong
    drawn = generator(seed, "groups").binomial(support, np.broadcast_to(chance, support.shape),
                                               (simulations, *support.shape))
    one = _recall(hits, support)
    simulated = _recall(drawn, support)
    differences = simulated[:, 0] - simulated[:, 1]
    expected = float(differences.mean())
    difference = float(one[0] - one[1])
    away = np.abs(differences - expected)
    as_far = int((away >= abs(difference - expected) - 1e-12).sum())
    sizes = support.sum((1, 2))
    return Difference((float(one[0]), float(one[1])), (int(sizes[0]), int(sizes[1])), int(classes.sum()), difference,
                      expected, float(away.max()), (1 + as_far) / (1 + simulations))


def _recall(hits: np.ndarray, support: np.ndarray) -> np.ndarray:
    """UAR (..., 2) of counts (..., 2, corpora, classes)."""
    return (hits.sum(-2) / support.sum(-2)).mean(-1)


def record(found: Difference | None, names: tuple[str, str]) -> Mapping[str, object]:
    """A comparison as behaviour.json holds it; null figures where no class could be compared."""
    if found is None:
        return {"groups": list(names), "classes": 0, "difference": None, "chance": None}
    return {"groups": list(names), "uar": dict(zip(names, found.uar, strict=True)),
            "utterances": dict(zip(names, found.utterances, strict=True)), "classes": found.classes,
            "difference": found.difference, "expected": found.expected, "largest_simulated": found.largest,
            "chance": found.chance}
