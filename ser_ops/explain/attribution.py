"""SHAP over the spectral features: what each of them adds to each class's score (paper 1, equations 24 and 25).

Expected gradients (shap.GradientExplainer): gradients at random points between the utterance and random ones of
the background. What the sampling leaves of equation 25 unfulfilled is part of the answer: `Attribution.gap`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.seeds import derive


@dataclass(frozen=True)
class Attribution:
    """Contributions to the scores of one utterance.

    values  float64 of shape (*features, classes): phi of equation 24
    base    (classes,): mean score over the background, phi_0 of equation 25
    score   (classes,): the score that is explained
    """

    values: np.ndarray
    base: np.ndarray
    score: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """How far equation 25 is missed, per class: base plus all contributions, less the score."""
        return self.base + self.values.reshape(-1, len(self.base)).sum(0) - self.score


@dataclass(frozen=True)
class Ranked:
    """One feature: its index in the flattened input and its mean |phi| for each class."""

    index: int
    per_class: np.ndarray


def expected_gradients(scores: nn.Module, features: Tensor, background: Tensor, samples: int, seed: int,
                       key: str, batch_size: int = 64) -> Attribution:
    """SHAP values of one utterance's features, shape (...), against background (b, ...).

    `scores` takes (n, ...) to (n, classes). The same `seed` and `key` give the same values.
    """
    import shap

    state = np.random.get_state()  # shap seeds numpy's global generator: leave no trace of that
    try:
        explainer = shap.GradientExplainer(scores, background, batch_size=batch_size)
        values = explainer.shap_values(features[None], nsamples=samples, rseed=derive(seed, "shap", key) % 2**32)[0]
    finally:
        np.random.set_state(state)
    with torch.no_grad():
        base, score = scores(background).double().mean(0).cpu().numpy(), scores(features[None])[0].double()
    return Attribution(np.asarray(values, np.float64), base, score.cpu().numpy())


def importance(attributions: Sequence[Attribution]) -> np.ndarray:
    """Mean |phi| over utterances: float64 of shape (features, classes), features flattened row by row.

    >>> one = Attribution(np.array([[1.0, -1.0], [0.0, 4.0]]), np.zeros(2), np.zeros(2))
    >>> two = Attribution(np.array([[3.0, 0.0], [0.0, -2.0]]), np.zeros(2), np.zeros(2))
    >>> importance([one, two])
    array([[2. , 0.5],
           [0. , 3. ]])
    """
    return np.mean([np.abs(one.values).reshape(-1, len(one.base)) for one in attributions], axis=0)


def rank(importances: np.ndarray, top: int) -> list[Ranked]:
    """The `top` features by mean |phi| summed over the classes, largest first; ties in index order.

    >>> [one.index for one in rank(np.array([[1.0, 1.0], [4.0, 0.0], [0.0, 3.0]]), top=2)]
    [1, 2]
    """
    order = np.argsort(-importances.sum(1), kind="stable")[:top]
    return [Ranked(int(index), importances[index]) for index in order]
