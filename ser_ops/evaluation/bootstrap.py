"""Percentile bootstrap: how far a figure would move with other utterances, or with other speakers.

Over utterances the resampling is stratified by true class: how many recordings of each emotion a test partition
holds is the corpus's design, not chance, and so no resample loses a class. Over speakers whole speakers are drawn
with all they said: speakers differ more than their utterances do, and this wider interval is the honest one for a
claim about people that the model has not heard. With few test speakers it is coarse.

One matrix of weights serves every model, cell and seed of an evaluation: figures are paired wherever they are
compared, and a cell's seeds stay with their utterance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ser_ops import seeds
from ser_ops.evaluation.metrics import CLASSES


@dataclass(frozen=True)
class Resamples:
    """How often each resample holds each utterance.

    weights: (resamples, utterances) float64; classes: one-hot true classes, (utterances, 7) float64.
    """

    weights: np.ndarray
    classes: np.ndarray

    def uar(self, right: np.ndarray) -> np.ndarray:
        """UAR in [0, 1] of each resample, over the classes that it holds: shape (resamples,).

        right: share of times (over seeds) that each utterance was recognised, (utterances,) in [0, 1].
        """
        support = self.weights @ self.classes
        hits = self.weights @ (self.classes * np.asarray(right, np.float64)[:, None])
        present = support > 0
        recall = np.divide(hits, support, out=np.zeros_like(hits), where=present)
        return recall.sum(1) / present.sum(1)

    def accuracy(self, right: np.ndarray) -> np.ndarray:
        """Accuracy in [0, 1] of each resample, shape (resamples,); `right` as for `uar`."""
        return self.weights @ np.asarray(right, np.float64) / self.weights.sum(1)


def one_hot(true: np.ndarray) -> np.ndarray:
    """Class indices (n,) as float64 rows (n, 7) with a single 1."""
    return np.eye(CLASSES)[np.asarray(true, np.int64)]


def resample_utterances(true: np.ndarray, resamples: int, seed: int) -> Resamples:
    """Resample utterances within each true class. true: class indices (n,), in a stable order (sorted utterances)."""
    true = np.asarray(true, np.int64)
    weights = np.zeros((resamples, len(true)))
    for index in np.unique(true):
        members = np.flatnonzero(true == index)
        draw = seeds.generator(seed, "utterances", int(index))
        weights[:, members] = draw.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return Resamples(weights, one_hot(true))


def resample_speakers(true: np.ndarray, speakers: Sequence[str], resamples: int, seed: int) -> Resamples:
    """Resample whole speakers with all their utterances. speakers: one name for each of the (n,) utterances."""
    names, speaker = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    draw = seeds.generator(seed, "speakers")
    drawn = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    return Resamples(drawn[:, speaker].astype(np.float64), one_hot(true))


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval: the middle `confidence` share of (resamples,) values.

    >>> percentile_interval(np.arange(101.0), 0.5)
    (25.0, 75.0)
    """
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class PairedDifference:
    """Two models over the same resamples: B less A in UAR, its interval, and how often each one beats the other."""

    difference: float
    low: float
    high: float
    b_better: float
    a_better: float


def compare_paired(resamples: Resamples, a: np.ndarray, b: np.ndarray, confidence: float) -> PairedDifference:
    """Paired bootstrap of UAR (Efron and Tibshirani 1993, chapter 16).

    a, b: (utterances,), the share of times that model A or B recognised each utterance. UAR is linear in them, so a
    mean of UAR over cells and seeds is the UAR of their mean. A tie counts for neither model.
    """
    right = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    differences = resamples.uar(right)
    point = Resamples(np.ones((1, len(right))), resamples.classes).uar(right)[0]
    low, high = percentile_interval(differences, confidence)
    tie = 1e-12
    return PairedDifference(float(point), low, high, float((differences > tie).mean()),
                            float((differences < -tie).mean()))
