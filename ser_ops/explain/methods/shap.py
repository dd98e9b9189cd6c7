"""SHAP over the features: what each of them adds to each class's score (paper 1, equations 24 and 25).

Expected gradients (Erion et al., 2021; what shap.GradientExplainer estimates): the gradient of a score at points on the
way from background utterances to the clip, times that way, on average. One forward pass serves all classes here, and
points are spread evenly over the way and over the background instead of drawn freely, so that far fewer are needed.
What sampling misses of equation 25 is part of the answer: `Attribution.gap`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config.explaining import Explain
from ser_ops.errors import UserError
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import CentredScores, Subject
from ser_ops.explain.trace import Trace, blur_seconds, frame_seconds
from ser_ops.features.index_map import to_frames
from ser_ops.seeds import generator


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
class RankedFeature:
    """One feature: its index in the flattened input and its mean |phi| for each class."""

    index: int
    per_class: np.ndarray


def path_points(number: int, background: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where gradients are taken: rows of the background int64 (number,), and shares of the way float64 (number,).

    Each share of the way lies in a part of its own of `number` equal ones; of as many in a row as there are background
    utterances each takes another one. So both are spread evenly, and each point is still as likely as any other.

    >>> rows, shares = path_points(4, 2, np.random.default_rng(1))
    >>> sorted(rows[:2].tolist()), sorted(rows[2:].tolist()), (np.floor(4 * shares)).tolist()
    ([0, 1], [0, 1], [0.0, 1.0, 2.0, 3.0])
    """
    rounds = -(-number // background)
    rows = np.concatenate([draw.permutation(background) for _ in range(rounds)])[:number]
    return rows, (np.arange(number) + draw.random(number)) / number


def expected_gradients(scores: nn.Module, features: Tensor, background: Tensor, samples: int, seed: int,
                       key: str, batch_size: int = 64, classes: Sequence[int] | None = None) -> Attribution:
    """SHAP values of one utterance's features, shape (...), against background (b, ...).

    `scores` takes (n, ...) to (n, classes). classes: those that are explained, the others stay 0; None for all. Each
    costs a backward pass. The same `seed` and `key` give the same values.
    """
    if samples < 1:
        raise UserError(f"SHAP needs at least one sample, not {samples}: raise explain.shap_samples in params.yaml")
    rows, shares = path_points(samples, len(background), generator(seed, "shap", key))
    with torch.no_grad():
        base, score = scores(background).double().mean(0), scores(features[None])[0].double()
    chosen = list(range(len(base))) if classes is None else list(classes)
    values = np.zeros((*features.shape, len(base)))
    way = features[None] - background
    for first in range(0, samples, batch_size):
        batch = torch.from_numpy(rows[first:first + batch_size]).to(features.device)
        share = torch.from_numpy(shares[first:first + batch_size]).to(features)
        steps = way[batch]
        on_the_way = (background[batch] + share.reshape(-1, *[1] * features.ndim) * steps).requires_grad_()
        with torch.enable_grad():
            totals = scores(on_the_way).sum(0)
            for c in chosen:
                (slopes,) = torch.autograd.grad(totals[c], on_the_way, retain_graph=c != chosen[-1])
                values[..., c] += (slopes * steps).sum(0).double().cpu().numpy()
    explained = np.isin(np.arange(len(base)), chosen)
    return Attribution(values / samples, base.cpu().numpy() * explained, score.cpu().numpy() * explained)


def explain(question: Question) -> Explanation:
    """Contributions summed per frame (equation 29); details: the Attribution, 0 for classes that were not asked."""
    subject, target = question.subject, question.target
    if question.background is None:
        raise ValueError("SHAP compares with a background, and there is none")
    attribution = expected_gradients(CentredScores(question.classify_features), question.clip.batch.features[0],
                                     question.background.to(subject.device), question.samples, question.settings.seed,
                                     f"{question.clip.key}{question.seed_key}", question.settings.batch_size,
                                     None if question.every_class else [target])
    return Explanation(Trace("shap", frame_seconds(subject.features),
                             to_frames(attribution.values[..., target], subject.features),
                             "log odds (logit less the mean of all seven)", question.held), attribution)


def blur(subject: Subject, _settings: Explain) -> float:
    """Seconds of sound behind one moment: a frame."""
    return blur_seconds(1, subject.features)


def importance(attributions: Sequence[Attribution]) -> np.ndarray:
    """Mean |phi| over utterances: float64 of shape (features, classes), features flattened row by row.

    >>> first = Attribution(np.array([[1.0, -1.0], [0.0, 4.0]]), np.zeros(2), np.zeros(2))
    >>> second = Attribution(np.array([[3.0, 0.0], [0.0, -2.0]]), np.zeros(2), np.zeros(2))
    >>> importance([first, second])
    array([[2. , 0.5],
           [0. , 3. ]])
    """
    return np.mean([np.abs(attribution.values).reshape(-1, len(attribution.base)) for attribution in attributions],
                   axis=0)


def rank_features(importances: np.ndarray, top: int) -> list[RankedFeature]:
    """The `top` features by mean |phi| summed over the classes, largest first; ties in index order.

    >>> [feature.index for feature in rank_features(np.array([[1.0, 1.0], [4.0, 0.0], [0.0, 3.0]]), top=2)]
    [1, 2]
    """
    order = np.argsort(-importances.sum(1), kind="stable")[:top]
    return [RankedFeature(int(index), importances[index]) for index in order]
