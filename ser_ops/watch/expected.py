"""How well a model does now where nobody says what was true: from its confidence, and from the noise that it hears.

Both rest on the labelled records of a reference; where people corrected answers, the measured figure stands beside.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ser_ops.config.services import Watch
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.bootstrap import draw_whole, percentile_interval, point_uar, resample_utterances
from ser_ops.evaluation.metrics import scores
from ser_ops.seeds import generator
from ser_ops.watch.records import Records
from ser_ops.watch.reference import Reference

SNR_EDGES_DB = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 30.0)     # between the ranges of estimated SNR


@dataclass(frozen=True)
class Figure:
    """A UAR in [0, 1] with its interval, from so many records."""

    uar: float
    low: float
    high: float
    records: int


def by_confidence(reference: Reference, now: Records, settings: Watch) -> Figure:
    """UAR by confidence-based performance estimation (NannyML's CBPE).

    The probability of each class is calibrated on the reference, one class against the rest, and those of a record add
    up to 1. The recall of a class is what is expected to be right among the records answered so over what is expected
    of the class at all; UAR is the mean of the recalls.

    The interval is over the reference's speakers, the records, and the true classes that they may have.
    """
    def uar(weights: np.ndarray, chosen: Records, draw: np.random.Generator | None) -> float:
        chances = calibrated(reference, weights, chosen.probabilities)
        if draw is None:
            return estimated_uar(chances, chosen.predicted)
        true = (chances.cumsum(1) < draw.random((len(chosen), 1))).sum(1).clip(max=len(EMOTIONS) - 1)
        return scores(true, chosen.predicted)["uar"]

    return _with_interval(reference, now, settings, "confidence", uar)


def calibrated(reference: Reference, weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (n, 7), calibrated by isotonic regression on records of the reference that weigh so much, (m,)."""
    from sklearn.isotonic import IsotonicRegression
    known, used = reference.records.probabilities, weights > 0
    columns = [IsotonicRegression(out_of_bounds="clip", y_min=0.0, y_max=1.0)
               .fit(known[used, index], reference.true[used] == index, weights[used]).predict(probabilities[:, index])
               for index in range(len(EMOTIONS))]
    chances = np.stack(columns, axis=1)
    total = chances.sum(1, keepdims=True)
    return np.where(total > 0, chances / np.where(total > 0, total, 1), probabilities)


def estimated_uar(chances: np.ndarray, predicted: np.ndarray) -> float:
    """UAR that calibrated probabilities (n, 7) promise for answers (n,), over the classes that are expected at all.

    >>> estimated_uar(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1])).__round__(4)
    0.7083
    """
    answered = np.eye(chances.shape[1])[predicted]
    right, all_of_class = (chances * answered).sum(0), chances.sum(0)
    present = all_of_class > 0
    return float((right[present] / all_of_class[present]).mean())


def by_snr(reference: Reference, now: Records, settings: Watch) -> Figure | None:
    """UAR of the reference where each range of estimated SNR weighs as much as it is heard now.

    A range that the reference never held counts as the nearest one that it did. The interval is over the reference's
    speakers and the records. None for a model without a detector of speech, which knows no SNR.
    """
    reference = reference.of(np.isfinite(reference.records.figure("snr_db")))
    now = now.of(np.isfinite(now.figure("snr_db")))
    if not len(reference) or not len(now):
        return None
    of_reference, right = _ranges(reference.records), reference.records.predicted == reference.true
    classes = np.eye(len(EMOTIONS))[reference.true]

    def uar(weights: np.ndarray, chosen: Records, draw: np.random.Generator | None) -> float:
        held = np.bincount(of_reference, weights, len(SNR_EDGES_DB) + 1)
        there = np.flatnonzero(held)
        heard = _ranges(chosen)
        nearest = there[np.abs(heard[:, None] - there).argmin(1)]
        wanted = np.bincount(nearest, minlength=len(held)) / len(chosen)
        weighed = weights * np.divide(wanted, held, out=np.zeros(len(held)), where=held > 0)[of_reference]
        support = weighed @ classes
        return float(((weighed * right) @ classes)[support > 0] @ (1 / support[support > 0]) / (support > 0).sum())

    return _with_interval(reference, now, settings, "snr", uar)


def _ranges(records: Records) -> np.ndarray:
    return np.digitize(records.figure("snr_db"), SNR_EDGES_DB)


def _with_interval(reference: Reference, now: Records, settings: Watch, name: str,
                   uar: Callable[[np.ndarray, Records, np.random.Generator | None], float]) -> Figure:
    """A figure with its bootstrap: speakers of the reference are drawn whole, and records of now.

    The interval reaches as far down as up: calibration on a resample is more optimistic than on the reference itself,
    which leans the bootstrap upward, while the truth lies lower.

    uar: of weights of the reference's records, records of now, and a generator where chance is to be drawn too.
    """
    draw = generator(settings.seed, name)
    speaker, drawn = draw_whole(reference.speakers.astype(str).tolist(), settings.resamples, draw)
    values = [uar(row[speaker].astype(np.float64), now.of(draw.integers(len(now), size=len(now))), draw)
              for row in drawn]
    low, high = percentile_interval(np.array(values), settings.confidence)
    point = uar(np.ones(len(reference)), now, None)
    reach = max(point - low, high - point)
    return Figure(point, max(0.0, point - reach), min(1.0, point + reach), len(now))


def measured(now: Records, corrections: Mapping[str, int], settings: Watch) -> Figure | None:
    """UAR over the records whose true class somebody said, with a bootstrap over them; None where there is none.

    corrections: class index by id of a record. Who corrects only what was wrong makes this figure too low.
    """
    said = np.array([name in corrections for name in now.ids.tolist()], bool)
    if not said.any():
        return None
    chosen = now.of(said)
    true = np.array([corrections[name] for name in chosen.ids.tolist()])
    resamples = resample_utterances(true, settings.resamples, settings.seed)
    right = (true == chosen.predicted).astype(np.float64)
    low, high = percentile_interval(resamples.uar(right), settings.confidence)
    return Figure(point_uar(resamples, right), low, high, len(chosen))
