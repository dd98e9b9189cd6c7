"""Deletion and insertion over time: what the answer loses when the moments that a method ranks first go, and what it
gains when they come.

Petsiuk, Das and Saenko (RISE, BMVC 2018, section 4.2), on moments of a waveform in place of pixels: a model that reads
features gets them made anew of the changed sound. A good ranking has a small area under the deletion curve and a large
one under the insertion curve.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ser_ops.explain.trace import Trace

Answer = Callable[[Tensor, Tensor], Tensor]
RANDOM = "random"   # the first word of a random ranking's name
_POINTS = 5  # of a trace in a cell


@dataclass(frozen=True)
class Cells:
    """The valid part of a window in equal stretches, which are ranked and replaced as wholes.

    edges: int64 (n + 1,), samples from 0 to the end of the valid part; they differ by one sample at most.
    """

    edges: np.ndarray
    sample_rate: int

    @classmethod
    def of(cls, valid: int, seconds: float, sample_rate: int) -> "Cells":
        """Cells of about `seconds`, as many as fit in `valid` samples, at least one.

        >>> Cells.of(25, 0.1, 100).edges
        array([ 0, 12, 25])
        """
        number = max(1, round(valid / (seconds * sample_rate)))
        return cls((np.arange(number + 1) * valid) // number, sample_rate)

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def seconds(self) -> np.ndarray:
        """Their centres, float64 (n,)."""
        return (self.edges[:-1] + self.edges[1:]) / 2 / self.sample_rate

    def mean(self, trace: Trace) -> np.ndarray:
        """The mean of a trace in each cell, float64 (n,)."""
        inside = (np.arange(_POINTS) + 0.5) / _POINTS
        points = self.edges[:-1, None] + inside * np.diff(self.edges)[:, None]
        return trace.over(points.ravel() / self.sample_rate).reshape(points.shape).mean(1)

    def rms(self, window: np.ndarray) -> np.ndarray:
        """Root mean square of a window (N,) in each cell, float64 (n,): the energy ranking."""
        power = np.add.reduceat(np.square(window[:self.edges[-1]], dtype=np.float64), self.edges[:-1])
        return np.sqrt(power / np.diff(self.edges))


def order(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Cells from the largest value down, int64 (n,); equal ones in an order drawn, not in that of time."""
    return np.lexsort((draw.permutation(len(values)), -values))


def random_rankings(cells: Cells, number: int, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Cells in random orders, by names that begin with RANDOM."""
    return {f"{RANDOM} {place}": draw.permutation(len(cells)) for place in range(number)}


def counts_of(cells: Cells, steps: int) -> np.ndarray:
    """How many cells are gone after each step, int64 (s,) from none to all."""
    return np.unique(np.round(np.arange(steps + 1) * len(cells) / steps).astype(np.int64))


def removed(cells: Cells, ranking: np.ndarray, steps: int, fade: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What is gone after each step: shares of the valid part, float64 (s,) from 0 to 1, and masks float32 (s, length).

    ranking: cells, first to go first. A mask is 1 where sound is gone and 0 where it stays, with straight edges of
    `fade` seconds, or of a cell where that is shorter; beyond the valid part it is 0. With fewer cells than steps, s is
    the number of cells and one.
    """
    counts = counts_of(cells, steps)
    gone = np.zeros((len(counts), len(cells)))
    for row, count in zip(gone, counts, strict=True):
        row[ranking[:count]] = 1
    half = min(fade * cells.sample_rate, np.diff(cells.edges).min()) / 2
    knots = np.concatenate([[-1.0], np.stack([cells.edges[1:-1] - half, cells.edges[1:-1] + half], 1).ravel(),
                            [length + 1.0]])
    moments = np.arange(length) + 0.5
    masks = np.stack([np.interp(moments, knots, np.repeat(row, 2)) for row in gone]).astype(np.float32)
    masks[:, cells.edges[-1]:] = 0
    return gone @ np.diff(cells.edges) / cells.edges[-1], masks


@dataclass(frozen=True)
class Curve:
    """Probability of the explained class, float64 (s,) in [0, 1], at shares (s,) rising from 0 to 1."""

    shares: np.ndarray
    probabilities: np.ndarray

    @property
    def area(self) -> float:
        """Under the curve by trapezium, in [0, 1].

        >>> Curve(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0])).area
        0.5
        """
        return float(np.trapezoid(self.probabilities, self.shares))


@dataclass(frozen=True)
class Curves:
    """Of one ranking under one fill. answers: probabilities of all classes along the deletion, float64 (s, classes)."""

    deletion: Curve
    insertion: Curve
    answers: np.ndarray


def curves(answer: Answer, window: np.ndarray, valid: int, target: int, cells: Cells, fill: np.ndarray,
           rankings: Mapping[str, np.ndarray], steps: int, fade: float) -> dict[str, Curves]:
    """Deletion and insertion curves of each ranking (cells, first one first) of one clip, in one call of `answer`.

    answer   windows float32 (b, N) and valid samples (b,) to logits (b, classes)
    window   float32 (N,); its first `valid` samples are no padding
    fill     (N,), what stands where sound is gone: the window wholly filled, where insertion starts
    steps    parts into which the valid part is cut
    fade     seconds from sound to fill
    """
    sound, empty = (torch.from_numpy(np.asarray(one, np.float32)) for one in (window, fill))
    asked, shares = [sound[None], empty[None]], np.zeros(0)
    for ranking in rankings.values():       # both ends are the same for all of them
        shares, masks = removed(cells, ranking, steps, fade, len(window))
        gone = torch.from_numpy(masks[1:-1])
        asked += [torch.lerp(sound, empty, gone), torch.lerp(empty, sound, gone)]
    windows = torch.cat(asked)
    logits = answer(windows, torch.full((len(windows),), valid))
    answers = logits.double().softmax(1).cpu().numpy()
    whole, without = answers[:1], answers[1:2]
    between = answers[2:].reshape(len(rankings), 2, len(shares) - 2, answers.shape[1])
    found = {}
    for name, (gone, come) in zip(rankings, between, strict=True):
        leaving, coming = np.concatenate([whole, gone, without]), np.concatenate([without, come, whole])
        found[name] = Curves(Curve(shares, leaving[:, target]), Curve(shares, coming[:, target]), leaving)
    return found
