"""How far a mean over clips would move with other clips: one percentile bootstrap behind every figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ser_ops.evaluation.bootstrap import draw_whole, percentile_interval
from ser_ops.seeds import generator


@dataclass(frozen=True)
class Resamples:
    """Bootstrap resamples of utterances.

    weights    float64 (resamples, utterances): how often each resample holds each utterance, as a share
    utterance  int64 (n,): the utterance of each clip

    One matrix serves every figure, so all differences are paired. Clips of one utterance, as under several
    noises, are no independent evidence: an utterance counts once, with the mean of its clips.

    What is claimed with them is what other utterances of these speakers would show of the model: nothing of other
    people, so speakers are not drawn.
    """

    weights: np.ndarray
    utterance: np.ndarray
    confidence: float

    @classmethod
    def of(cls, utterances: Sequence[str], resamples: int, confidence: float, seed: int) -> "Resamples":
        """From the utterance of each of the n clips; n at least 1."""
        utterance, drawn = draw_whole(utterances, resamples, generator(seed, "resamples", "clips"))
        return cls(drawn / drawn.shape[1], utterance, confidence)

    def mean(self, values: np.ndarray) -> tuple[float, float, float]:
        """Mean of values (n,) over utterances, and the bounds of its interval.

        >>> Resamples.of(["a", "b"], 100, 0.95, seed=1).mean(np.array([1.0, 1.0]))
        (1.0, 1.0, 1.0)
        """
        each = np.bincount(self.utterance, np.asarray(values, np.float64)) / np.bincount(self.utterance)
        return float(each.mean()), *percentile_interval(self.weights @ each, self.confidence)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two (n,), in [-1, 1]; 0 where either is constant and so ranks nothing.

    >>> rank_correlation(np.array([1.0, 2.0, 30.0]), np.array([0.0, 0.5, 0.6]))
    1.0
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    0.0
    """
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(first), rankdata(second)])
    ranks -= ranks.mean(1, keepdims=True)
    spread = float(np.sqrt(np.square(ranks).sum(1).prod()))
    return float(ranks[0] @ ranks[1]) / spread if spread else 0.0
