"""What it costs and brings to say nothing where a model is not sure: on test speakers, clean and by SNR.

The curve of error over the share that is answered, the surest first (El-Yaniv and Wiener 2010), and how often the sets
that validation's scores promise hold the truth (`ser_ops.models.conformal`).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.bootstrap import Resamples, percentile_interval
from ser_ops.evaluation.predictions import CLEAN, Predictions
from ser_ops.models import conformal

POINTS = 20     # of a curve
CLEAN_PLACE = "clean"
_SNR_BINS_DB = (-np.inf, 0.0, 10.0, 20.0, np.inf)


def selective(predictions: Predictions, model: str, kept: Sequence[int], coverages: Sequence[float], draws: Resamples,
              confidence: float) -> dict[str, Any]:
    """Figures of reports/metrics.json, under `selective` of a model.

    Args:
        predictions: Of the test partition.
        model: Its name there.
        kept: Scores of its validation answers, as model.json has them.
        coverages: Shares of sets that shall hold the truth.
        draws: Resamples of its utterances.
        confidence: Of the interval of held, which clean speech alone has.

    Returns:
        curves: answered and error, by clean and noisy; sets: for each coverage and place (clean, noisy, and ranges of
        SNR) held, the share of sets that hold the truth, on clean speech with held_low and held_high, sure, that of
        answers, error, of those that are sure (null for none), size, the mean of a set, and n.
    """
    parts = list(_parts(predictions, predictions.probabilities[predictions.models.index(model)]))
    return {"validation_answers": len(kept),
            "curves": {place: risk_coverage(true, chances) for place, true, chances in parts[:2]},
            "sets": [{"coverage": coverage, "place": place, **promised(true, chances, kept, coverage),
                      **(_interval(holding(true, chances, kept, coverage), draws, confidence) if place == CLEAN_PLACE
                         else {})}
                     for coverage in coverages for place, true, chances in parts]}


def _interval(held: np.ndarray, draws: Resamples, confidence: float) -> dict[str, float]:
    low, high = percentile_interval(draws.accuracy(held), confidence)
    return {"held_low": low, "held_high": high}


def _parts(predictions: Predictions, chances: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Place, true classes (n,) and probabilities (n, 7)."""
    yield CLEAN_PLACE, predictions.true, chances[predictions.conditions.index(CLEAN)]
    if not (noisy := predictions.noisy_indices()):
        return
    true = np.tile(predictions.true, len(noisy))
    mixed, snr = chances[noisy].reshape(-1, len(EMOTIONS)), predictions.snr[noisy].reshape(-1)
    yield "noisy", true, mixed
    for low, high in pairwise(_SNR_BINS_DB):
        inside = (snr >= low) & (snr < high)
        if inside.any():
            words = f"below {high:g} dB" if low == -np.inf else f"from {low:g} dB" if high == np.inf else \
                f"{low:g} to {high:g} dB"
            yield words, true[inside], mixed[inside]


def risk_coverage(true: np.ndarray, probabilities: np.ndarray) -> list[dict[str, float]]:
    """The error among the surest answers, by their share: POINTS of them, the last of all answers.

    >>> sure = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.55, 0.45]])
    >>> risk_coverage(np.array([0, 1, 0, 1]), sure)[-1]
    {'answered': 1.0, 'error': 0.25}
    """
    order = np.argsort(-probabilities.max(1), kind="stable")
    errors = np.cumsum((probabilities.argmax(1) != true)[order])
    numbers = np.unique(np.ceil(np.linspace(1 / POINTS, 1, POINTS) * len(true)).astype(int))
    return [{"answered": round(number / len(true), 6), "error": round(float(errors[number - 1]) / number, 6)}
            for number in numbers.tolist()]


def holding(true: np.ndarray, probabilities: np.ndarray, kept: Sequence[int], coverage: float) -> np.ndarray:
    """Whether the set of each answer holds the truth, bool (n,)."""
    return 1 - np.take_along_axis(probabilities, true[:, None], 1)[:, 0] <= conformal.threshold(kept, coverage)


def promised(true: np.ndarray, probabilities: np.ndarray, kept: Sequence[int], coverage: float) -> dict[str, Any]:
    """How sets at a coverage do; keys as in `selective`."""
    most = conformal.threshold(kept, coverage)
    inside = 1 - probabilities <= most
    sizes, sure = inside.sum(1), inside.sum(1) == 1
    wrong = probabilities.argmax(1) != true
    return {"held": float(holding(true, probabilities, kept, coverage).mean()), "sure": float(sure.mean()),
            "error": float(wrong[sure].mean()) if sure.any() else None, "size": float(sizes.mean()), "n": len(true)}
