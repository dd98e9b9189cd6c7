"""What would have to go for the answer to change: the moments that a method calls important are muted, step by step.

Paper 1, figure 3e, masks the high-importance regions once and shows one clip whose confidence collapses. Here the
amount is measured: the most important blocks go first, until all is silent, and the same is done in random orders,
since muting anything costs something.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.heard import Answering, Heard
from ser_ops.explain.trace import Trace
from ser_ops.seeds import generator

_WITHIN = 8     # points of a trace that stand for a block


@dataclass(frozen=True)
class Course:
    """The answer while blocks go in one order.

    muted          (k,) seconds muted, rising from 0 to the utterance's length
    probabilities  (k, 7)
    """

    muted: np.ndarray
    probabilities: np.ndarray

    def switch(self, target: int) -> int | None:
        """The first step at which another class than `target` wins; None if none ever does."""
        lost = np.flatnonzero(self.probabilities.argmax(1) != target)
        return int(lost[0]) if len(lost) else None


@dataclass(frozen=True)
class Counterfactual:
    """One method's course and those of random orders, for class `target`.

    edges    int64 (b + 1,): samples at which blocks begin and end
    order    (b,) blocks, the most important first
    counts   (k,) blocks muted at each step
    weight   (b,) what the method gives to each block: its mean over the block times the block's seconds
    """

    method: str
    target: int
    sample_rate: int
    edges: np.ndarray
    order: np.ndarray
    counts: np.ndarray
    weight: np.ndarray
    course: Course
    random: tuple[Course, ...]

    def gone(self, step: int) -> np.ndarray:
        """Blocks that are muted at a step, (b',)."""
        return self.order[:self.counts[step]]

    def numbers(self) -> dict[str, Any]:
        """For explanations.json: what had to go. seconds, share and to are None where the answer never changed.

        share: of the utterance's time. share_of_positive: of all that the method gives to the class. random_seconds:
        what had to go in random orders, None where that never changed the answer.
        """
        total, step = float(self.course.muted[-1]), self.course.switch(self.target)
        positive = np.maximum(self.weight, 0)
        found: dict[str, Any] = {
            "method": self.method, "explained": EMOTIONS[self.target], "seconds": None, "share": None, "to": None,
            "share_of_positive": None, "before": float(self.course.probabilities[0, self.target]), "after": None,
            "random_seconds": [None if (one := course.switch(self.target)) is None else float(course.muted[one])
                               for course in self.random]}
        if step is not None:
            muted = float(self.course.muted[step])
            found |= {"seconds": muted, "share": muted / total if total else 0.0,
                      "to": EMOTIONS[int(self.course.probabilities[step].argmax())],
                      "share_of_positive": float(positive[self.gone(step)].sum() / (positive.sum() or 1)),
                      "after": float(self.course.probabilities[step, self.target])}
        return found


def blocks(valid: int, stretch: int) -> np.ndarray:
    """Samples at which blocks of `stretch` begin and end, the last one shorter: int64 (b + 1,), 0 to `valid`.

    >>> blocks(10, 4).tolist(), blocks(8, 4).tolist()
    ([0, 4, 8, 10], [0, 4, 8])
    """
    return np.append(np.arange(0, max(valid, 1), max(stretch, 1)), max(valid, 1)).astype(np.int64)


def muted(window: np.ndarray, edges: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The window (n,) with the blocks `gone` at zero.

    >>> muted(np.ones(5), np.array([0, 2, 4]), np.array([1])).tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0]
    """
    heard = window.copy()
    for block in gone:
        heard[edges[block]:edges[block + 1]] = 0
    return heard


def counterfactual(heard: Heard, answering: Answering, trace: Trace, target: int,
                   settings: config.Explain) -> Counterfactual:
    """Mute the blocks of an utterance in the order of `trace`, and in random orders keyed by the clip.

    Padding is silent already and is no block. Features are made anew of each muted sound.
    """
    rate = answering.subject.sample_rate
    edges = blocks(heard.valid, round(settings.counterfactual_block * rate))
    lengths = np.diff(edges) / rate
    points = edges[:-1, None] / rate + lengths[:, None] * (np.arange(_WITHIN) + 0.5) / _WITHIN
    weight = trace.over(points.ravel()).reshape(points.shape).mean(1) * lengths
    order = np.argsort(-weight / lengths, kind="stable")
    counts = np.unique(np.linspace(0, len(order), settings.counterfactual_steps + 1).round().astype(int))
    orders = [order, *(generator(settings.seed, "counterfactual", heard.key, number).permutation(len(order))
                       for number in range(settings.counterfactual_orders))]
    found = [_course(heard, answering, edges, one, counts) for one in orders]
    return Counterfactual(trace.method, target, rate, edges, order, counts, weight, found[0], tuple(found[1:]))


def _course(heard: Heard, answering: Answering, edges: np.ndarray, order: np.ndarray, counts: np.ndarray) -> Course:
    windows = torch.from_numpy(np.stack([muted(heard.window, edges, order[:count]) for count in counts]))
    valid = torch.full((len(counts),), heard.valid, dtype=torch.int64)
    probabilities = answering(windows, valid).double().softmax(1).cpu().numpy()
    lengths = np.diff(edges)[order] / answering.subject.sample_rate
    return Course(np.append(0.0, lengths.cumsum())[counts], probabilities)
