"""Figures of merit over the seven classes, from class indices in the order of `ser_ops.emotions`.

Means over classes are over the classes that have true examples: CREMA-D holds no surprise, and a class
without examples must not count as one that the model misses. A prediction of an absent class is still wrong: it costs
the true class its recall. Precision of a class that is never predicted is 0, as is F1 where both its parts are.
"""

import numpy as np

from ser_ops.emotions import EMOTIONS

CLASSES = len(EMOTIONS)
SCORES: tuple[str, ...] = ("accuracy", "precision", "recall", "f1", "uar")


def confusion_matrix(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Counts of shape (7, 7), int64; rows are the true classes.

    true, predicted: class indices 0 to 6, shape (n,). Raises ValueError when they differ in shape or range.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]))[:2, :2]
    array([[1, 1],
           [0, 1]])
    """
    true, predicted = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    if true.shape != predicted.shape or true.ndim != 1:
        raise ValueError(f"true and predicted are of shapes {true.shape} and {predicted.shape}: one label each")
    both = np.concatenate([true, predicted])
    if both.size and (both.min() < 0 or both.max() >= CLASSES):
        raise ValueError(f"class indices lie in 0 to {CLASSES - 1}, not {both.min()} to {both.max()}")
    return np.bincount(true * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)


def class_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 (in [0, 1]) and support of each class, each of shape (..., 7), from (..., 7, 7) counts."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, claimed = counts.sum(-1), counts.sum(-2)
    return {"precision": _share(hits, claimed), "recall": _share(hits, support),
            "f1": _share(2 * hits, support + claimed), "support": support}


def scores_from_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, macro precision, recall and F1, and UAR (macro recall under its field's name), each of shape (...).

    counts: confusion counts of shape (..., 7, 7), rows true. Without any example every score is NaN.
    """
    each = class_scores(counts)
    present = each["support"] > 0
    number = present.sum(-1)
    with np.errstate(invalid="ignore"):
        macro = {name: (each[name] * present).sum(-1) / number for name in ("precision", "recall", "f1")}
        accuracy = np.trace(counts, axis1=-2, axis2=-1) / each["support"].sum(-1)
    return {"accuracy": accuracy, **macro, "uar": macro["recall"]}


def scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy, macro precision, recall, F1 and UAR in [0, 1] of class indices of shape (n,).

    >>> scores(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))["uar"].__round__(4)
    0.8333
    """
    return {name: float(value) for name, value in scores_from_counts(confusion_matrix(true, predicted)).items()}


def per_class(counts: np.ndarray) -> dict[str, dict[str, float]]:
    """{emotion: {precision, recall, f1, support}} of (7, 7) counts; a class without examples stands with support 0."""
    each = class_scores(counts)
    return {emotion: {name: (int if name == "support" else float)(each[name][index]) for name in each}
            for index, emotion in enumerate(EMOTIONS)}


def calibration_error(true: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in [0, 1]: mean |accuracy - confidence| over bins of equal width (Guo et al. 2017).

    true: class indices (n,); probabilities: (n, 7), rows sum to 1. Bins are closed above, as in (0, 1/15].

    >>> calibration_error(np.array([0, 1]), np.array([[.75, .25] + [0] * 5, [.75, .25] + [0] * 5]))
    0.25
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == true
    bin_index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(bin_index, right - confidence.astype(np.float64), bins)
    return float(np.abs(gaps).sum() / len(true))
