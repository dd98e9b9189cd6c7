"""Deletion and insertion over time: what the answer loses when the moments that a method ranks first are taken away.

Insertion is the reverse: what the answer gains when they come first (Petsiuk, Das and Saenko, RISE, BMVC 2018, section
4.2, here on moments of a waveform in place of pixels). Features are computed from each changed sound. A good ranking
has a small area under the deletion curve and a large one under the insertion curve.

What stands in the place of sound is a choice, and every choice brings a cue of its own in. Silence is what padding
sounds like; noise keeps level and timbre but has no voice. What holds under both holds of the moments and not of the
fill.

Paper 1, figure 3e, masks the high-importance regions once and shows one clip whose confidence collapses. Here the
amount is measured (`Counterfactual`): cells are muted in the order of their importance until all is silent, and in
random orders too, since muting anything costs something.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from ser_ops.config.explaining import Explain
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import Clip
from ser_ops.explain.trace import Trace
from ser_ops.seeds import generator

RANDOM = "random"   # the first word of a random ranking's name
ClassifyWindows = Callable[[Tensor, Tensor], Tensor]    # windows (b, N), valid samples (b,) to logits (b, classes)
Fill = Callable[[np.ndarray, int, str], np.ndarray]
_POINTS = 5         # of a trace in a cell
_SEGMENT = 1024     # samples: an average spectrum finer than this would repeat the clip's own harmonics


@dataclass(frozen=True)
class Cells:
    """The valid part of a window in equal stretches, which are ranked and replaced as wholes.

    edges: int64 (n + 1,), samples from 0 to the end of the valid part; lengths differ by one sample at most.
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
        """Root mean square of a window (N,) in each cell, float64 (n,): the ranking by loudness."""
        power = np.add.reduceat(np.square(window[:self.edges[-1]], dtype=np.float64), self.edges[:-1])
        return np.sqrt(power / np.diff(self.edges))


def rank_cells(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Cells from the largest value down, int64 (n,); equal ones in a drawn order, not in that of time."""
    return np.lexsort((draw.permutation(len(values)), -values))


def random_rankings(cells: Cells, number: int, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Cells in random orders, by names that begin with RANDOM."""
    return {f"{RANDOM} {i}": draw.permutation(len(cells)) for i in range(number)}


def silence_fill(window: np.ndarray, _seed: int, _key: str) -> np.ndarray:
    """Zeros like `window`, float32 (n,)."""
    return np.zeros_like(window, np.float32)


def noise_fill(window: np.ndarray, seed: int, key: str) -> np.ndarray:
    """Stationary Gaussian noise with the average spectrum and the RMS of `window` (n,): float32 (n,).

    The spectrum is Welch's estimate over halves overlapping. The same seed and key give the same noise.
    """
    samples = np.asarray(window, np.float64)
    if not samples.any():
        return silence_fill(window, seed, key)
    segment = min(_SEGMENT, len(samples))
    from scipy.signal import welch  # here, because it takes half a second to import
    frequencies, power = welch(samples, nperseg=segment, detrend=False)
    size = scipy.fft.next_fast_len(len(samples), real=True)
    shape = np.sqrt(np.interp(scipy.fft.rfftfreq(size), frequencies, power))
    white = generator(seed, "fill", key).standard_normal(size)
    noise = scipy.fft.irfft(scipy.fft.rfft(white) * shape, size)[:len(samples)]
    return (noise * np.sqrt(np.mean(np.square(samples)) / np.mean(np.square(noise)))).astype(np.float32)


FILLS: dict[str, Fill] = {"silence": silence_fill, "noise": noise_fill}


def fill_window(window: np.ndarray, valid: int, fill: str, seed: int, key: str) -> np.ndarray:
    """The window (N,) with all of its first `valid` samples replaced by a fill of FILLS; padding stays zero."""
    filled = np.zeros(len(window), np.float32)
    filled[:valid] = FILLS[fill](window[:valid], seed, key)
    return filled


def removal_counts(cells: Cells, steps: int) -> np.ndarray:
    """How many cells are taken away after each step, int64 (s,) from none to all."""
    return np.unique(np.round(np.arange(steps + 1) * len(cells) / steps).astype(np.int64))


def removal_masks(cells: Cells, ranking: np.ndarray, steps: int, fade: float,
                  length: int) -> tuple[np.ndarray, np.ndarray]:
    """What is gone after each step: shares of the valid part, float64 (s,) from 0 to 1, and masks float32 (s, length).

    ranking: cells, first to go first. A mask is 1 where sound is gone and 0 where it stays, with straight edges of
    `fade` seconds, or of a cell where that is shorter; beyond the valid part it is 0. With fewer cells than steps, s is
    the number of cells plus one.
    """
    counts = removal_counts(cells, steps)
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
class RankingCurves:
    """Of one ranking under one fill. probabilities: of all classes along the deletion, float64 (s, classes)."""

    deletion: Curve
    insertion: Curve
    probabilities: np.ndarray


def ranking_curves(classify: ClassifyWindows, window: np.ndarray, valid: int, target: int, cells: Cells,
                   filled: np.ndarray, rankings: Mapping[str, np.ndarray], steps: int,
                   fade: float) -> dict[str, RankingCurves]:
    """Deletion and insertion curves of each ranking of one clip, in one call of `classify`.

    window    float32 (N,); its first `valid` samples are no padding
    filled    (N,), the window with all of its sound replaced: where deletion ends and insertion starts
    rankings  cells, the most important first
    steps     parts into which the valid part is cut
    fade      seconds from sound to fill
    """
    sound, empty = (torch.from_numpy(np.asarray(samples, np.float32)) for samples in (window, filled))
    stages, shares = [sound[None], empty[None]], np.zeros(0)
    for ranking in rankings.values():       # both ends are the same for all of them
        shares, masks = removal_masks(cells, ranking, steps, fade, len(window))
        gone = torch.from_numpy(masks[1:-1])
        stages += [torch.lerp(sound, empty, gone), torch.lerp(empty, sound, gone)]
    windows = torch.cat(stages)
    logits = classify(windows, torch.full((len(windows),), valid))
    probabilities = logits.double().softmax(1).cpu().numpy()
    whole, without = probabilities[:1], probabilities[1:2]
    between = probabilities[2:].reshape(len(rankings), 2, len(shares) - 2, probabilities.shape[1])
    curves = {}
    for name, (deleted, inserted) in zip(rankings, between, strict=True):
        deletion, insertion = np.concatenate([whole, deleted, without]), np.concatenate([without, inserted, whole])
        curves[name] = RankingCurves(Curve(shares, deletion[:, target]), Curve(shares, insertion[:, target]), deletion)
    return curves


@dataclass(frozen=True)
class MutingCourse:
    """The answer while cells are muted in one order.

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
    """What would have to go for the answer to change: one method's course and random ones, for class `target`.

    edges    int64 (n + 1,): samples at which cells begin and end
    order    (n,) cells, the most important first
    counts   (k,) cells muted at each step
    weight   (n,) what the method gives to each cell: its mean over the cell times the cell's seconds
    """

    method: str
    target: int
    sample_rate: int
    edges: np.ndarray
    order: np.ndarray
    counts: np.ndarray
    weight: np.ndarray
    course: MutingCourse
    random: tuple[MutingCourse, ...]

    def muted_cells(self, step: int) -> np.ndarray:
        """Cells that are muted at a step, (m,)."""
        return self.order[:self.counts[step]]

    def numbers(self) -> dict[str, Any]:
        """What had to go. seconds, share, to, share_of_positive and after are None where the answer never changed.

        share: of the utterance's time. share_of_positive: of all that the method gives to the class. random_seconds:
        what had to go in random orders, None where that never changed the answer.
        """
        total, step = float(self.course.muted[-1]), self.course.switch(self.target)
        positive = np.maximum(self.weight, 0)
        numbers: dict[str, Any] = {
            "method": self.method, "explained": EMOTIONS[self.target], "seconds": None, "share": None, "to": None,
            "share_of_positive": None, "before": float(self.course.probabilities[0, self.target]), "after": None,
            "random_seconds": [None if (switch := course.switch(self.target)) is None else float(course.muted[switch])
                               for course in self.random]}
        if step is not None:
            muted = float(self.course.muted[step])
            numbers |= {"seconds": muted, "share": muted / total if total else 0.0,
                        "to": EMOTIONS[int(self.course.probabilities[step].argmax())],
                        "share_of_positive": float(positive[self.muted_cells(step)].sum() / (positive.sum() or 1)),
                        "after": float(self.course.probabilities[step, self.target])}
        return numbers


def mute_cells(window: np.ndarray, edges: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """A copy of the window (n,) with these cells at zero.

    >>> mute_cells(np.ones(5), np.array([0, 2, 4]), np.array([1])).tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0]
    """
    muted = window.copy()
    for cell in cells:
        muted[edges[cell]:edges[cell + 1]] = 0
    return muted


def counterfactual(clip: Clip, classify: ClassifyWindows, trace: Trace, target: int, sample_rate: int,
                   settings: Explain) -> Counterfactual:
    """Mute the cells of a clip in the order of `trace`, and in random orders keyed by the clip.

    For a clip whose faithfulness is not measured; where it is, `counterfactual_of_curves` takes its curves. Padding is
    silent already and is no cell.
    """
    chosen = settings.faithfulness
    cells = Cells.of(clip.valid, chosen.cell_seconds, sample_rate)
    rankings = {trace.method: rank_cells(cells.mean(trace), generator(settings.seed, "rankings", clip.key))} | \
        random_rankings(cells, chosen.random_draws, generator(settings.seed, "counterfactual", clip.key))
    curves = ranking_curves(classify, clip.window, clip.valid, target, cells, np.zeros_like(clip.window), rankings,
                            chosen.steps, chosen.fade_seconds)
    return counterfactual_of_curves(trace, target, cells, rankings, curves, chosen.steps)


def counterfactual_of_curves(trace: Trace, target: int, cells: Cells, rankings: Mapping[str, np.ndarray],
                             curves: Mapping[str, RankingCurves], steps: int) -> Counterfactual:
    """From the curves of the method's ranking and of the random ones, with silence in the place of sound."""
    seconds, counts = np.diff(cells.edges) / cells.sample_rate, removal_counts(cells, steps)
    courses = {name: MutingCourse(np.append(0.0, seconds[ranking].cumsum())[counts], curves[name].probabilities)
               for name, ranking in rankings.items() if name == trace.method or name.startswith(RANDOM)}
    return Counterfactual(trace.method, target, cells.sample_rate, cells.edges, rankings[trace.method], counts,
                          cells.mean(trace) * seconds, courses[trace.method],
                          tuple(course for name, course in courses.items() if name.startswith(RANDOM)))
