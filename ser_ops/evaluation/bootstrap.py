"""Percentile bootstrap: how far a figure would move with other speakers, or with other utterances.

A claim about people that the model has not heard rests on speakers: whole speakers are drawn with all they said, since
utterances of one voice are no independent evidence. With few test speakers such an interval is coarse and somewhat
narrow; of fewer than LEAST_SPEAKERS there is none. Where training heard the test's speakers, or where they are too
few, utterances are drawn, and `Resamples.instead` says why. Over utterances the resampling is stratified by true
class: how many recordings of each emotion a test partition holds is the corpus's design, not chance, and so no
resample loses a class.

One matrix of weights serves every model, cell and seed of an evaluation: figures are paired wherever they are
compared, and a cell's seeds stay with their utterance.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ser_ops import seeds
from ser_ops.evaluation.metrics import CLASSES, scores_from_counts

LEAST_SPEAKERS = 3      # two speakers make three resamples, of which two hold one voice alone


@dataclass(frozen=True)
class Resamples:
    """How often each resample holds each utterance.

    weights: (resamples, utterances) float64; classes: one-hot true classes, (utterances, 7) float64; unit: what was
    drawn; instead: why utterances were drawn where speakers were asked for, '' where they were not.
    """

    weights: np.ndarray
    classes: np.ndarray
    unit: Literal["speakers", "utterances"]
    instead: str = ""

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


    def scores(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Each score of `metrics.SCORES` in every resample, shape (resamples,).

        answers: (utterances, 49), how often each utterance was answered; `answer_cells` gives it.
        """
        return scores_from_counts((self.weights @ answers).reshape(-1, CLASSES, CLASSES))


def answer_cells(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """A 1 for each utterance in the cell of the confusion matrix that it fell into, float64 (n, 49).

    true, predicted: class indices (n,).
    """
    return np.eye(CLASSES**2)[np.asarray(true, np.int64) * CLASSES + np.asarray(predicted, np.int64)]


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
    return Resamples(weights, one_hot(true), "utterances")


def resample_speakers(true: np.ndarray, speakers: Sequence[str], resamples: int, seed: int) -> Resamples:
    """Resample whole speakers with all their utterances. speakers: one name for each of the (n,) utterances."""
    speaker, drawn = draw_whole(speakers, resamples, seeds.generator(seed, "speakers"))
    return Resamples(drawn[:, speaker].astype(np.float64), one_hot(true), "speakers")


def resample_unseen(true: np.ndarray, speakers: Sequence[str], resamples: int, seed: int,
                    heard: Collection[str] = ()) -> Resamples:
    """Resample what a claim about unseen people rests on: speakers, or utterances where that cannot be had.

    Args:
        true: class indices (n,), in a stable order (sorted utterances).
        speakers: one name for each utterance (n,); '' where it is not known.
        resamples, seed: how many are drawn, and by which seed.
        heard: speakers that training heard.

    Returns:
        Resamples of whole speakers; or of utterances, with `instead` saying why, when a speaker is unknown or was heard
        in training, or when there are fewer than LEAST_SPEAKERS.

    >>> resample_unseen(np.array([0, 1]), ["a", "b"], 100, seed=1).instead
    'of 2 speakers there is no interval over speakers (3 are needed)'
    """
    names = set(speakers)
    if "" in names:
        why = "of some recordings the speaker is not known"
    elif known := names & set(heard):
        why = f"training heard {len(known)} of the {len(names)} speakers, so figures are not of unseen people alone"
    elif len(names) < LEAST_SPEAKERS:
        why = f"of {len(names)} speaker{'' if len(names) == 1 else 's'} there is no interval over speakers " \
              f"({LEAST_SPEAKERS} are needed)"
    else:
        return resample_speakers(true, speakers, resamples, seed)
    return replace(resample_utterances(true, resamples, seed), instead=why)


def draw_whole(names: Sequence[str], resamples: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw as many names as there are, with replacement, of those that occur in (n,) names.

    Returns the index of each name among the sorted ones, int64 (n,), and how often each resample holds each of them,
    int64 (resamples, different names).
    """
    different, index = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    return index, draw.multinomial(len(different), np.full(len(different), 1 / len(different)), resamples)


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval: the middle `confidence` share of (resamples,) values.

    >>> percentile_interval(np.arange(101.0), 0.5)
    (25.0, 75.0)
    """
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def point_uar(resamples: Resamples, right: np.ndarray) -> float:
    """UAR of the utterances as they are, each once; `right` as for `Resamples.uar`, or a difference of two such."""
    return float(replace(resamples, weights=np.ones((1, len(right)))).uar(right)[0])


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
    low, high = percentile_interval(differences, confidence)
    tie = 1e-12
    return PairedDifference(point_uar(resamples, right), low, high, float((differences > tie).mean()),
                            float((differences < -tie).mean()))
