"""What would have to go for the answer to change: the moments that a method calls important are muted, step by step.

Paper 1, figure 3e, masks the high-importance regions once and shows one clip whose confidence collapses. Here the
amount is measured: the most important blocks go first, until all is silent, and the same is done in random orders,
since muting anything costs something.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.deletion import RANDOM, Answer, Cells, Curves, counts_of, curves, order, random_rankings
from ser_ops.explain.heard import Heard
from ser_ops.explain.trace import Trace
from ser_ops.seeds import generator


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


def muted(window: np.ndarray, edges: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The window (n,) with the blocks `gone` at zero.

    >>> muted(np.ones(5), np.array([0, 2, 4]), np.array([1])).tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0]
    """
    heard = window.copy()
    for block in gone:
        heard[edges[block]:edges[block + 1]] = 0
    return heard


def counterfactual(heard: Heard, answer: Answer, trace: Trace, target: int, sample_rate: int,
                   settings: config.Explain) -> Counterfactual:
    """Mute the cells of a clip in the order of `trace`, and in random orders keyed by the clip.

    For a clip whose faithfulness is not measured; where it is, the courses are known (`of_curves`). Padding is silent
    already and is no cell. answer: as `deletion.curves` takes it.
    """
    chosen = settings.faithfulness
    cells = Cells.of(heard.valid, chosen.cell_seconds, sample_rate)
    rankings = {trace.method: order(cells.mean(trace), generator(settings.seed, "rankings", heard.key))} | \
        random_rankings(cells, chosen.random_draws, generator(settings.seed, "counterfactual", heard.key))
    found = curves(answer, heard.window, heard.valid, target, cells, np.zeros_like(heard.window), rankings,
                   chosen.steps, chosen.fade_seconds)
    return of_curves(trace, target, cells, rankings, found, chosen.steps)


def of_curves(trace: Trace, target: int, cells: Cells, rankings: Mapping[str, np.ndarray],
              found: Mapping[str, Curves], steps: int) -> Counterfactual:
    """From the curves of the method's ranking and of the random ones with silence in the place of sound."""
    lengths = np.diff(cells.edges) / cells.sample_rate
    counts = counts_of(cells, steps)

    def course(name: str) -> Course:
        gone = np.append(0.0, lengths[rankings[name]].cumsum())
        return Course(gone[counts], found[name].answers)

    return Counterfactual(trace.method, target, cells.sample_rate, cells.edges, rankings[trace.method], counts,
                          cells.mean(trace) * lengths, course(trace.method),
                          tuple(course(name) for name in rankings if name.startswith(RANDOM)))
