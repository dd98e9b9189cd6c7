"""Linear SVMs on functionals: standardised by training rows, classes weighted, C chosen on training speakers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.svm import SVC


@dataclass(frozen=True)
class Standard:
    """Mean and deviation of training rows (n, features); a constant feature counts as 0."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Standard":
        deviation = rows.std(0, dtype=np.float64)
        return cls(rows.mean(0, dtype=np.float64), np.where(deviation > 1e-12, deviation, np.inf))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows at mean 0 and deviation 1, divided by the root of their number: a product is then a mean."""
        return (rows - self.mean) / self.deviation / np.sqrt(rows.shape[1])


class LinearSVM:
    """SVC with a linear kernel over training rows (n, features) with class indices (n,)."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray, cost: float) -> None:
        self._standard = Standard.of(rows)
        self._rows = self._standard(rows)
        self._kernel: np.ndarray | None = self._rows @ self._rows.T
        self._labels = labels
        self.refit(cost)

    def refit(self, cost: float) -> "LinearSVM":
        """The same rows with another C."""
        self._svc = SVC(C=cost, kernel="precomputed", class_weight="balanced", cache_size=500)
        self._svc.fit(self._kernel, self._labels)
        return self

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Class indices (n,) of rows (n, features)."""
        return self._svc.predict(self._standard(rows) @ self._rows.T)


def recall(true: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted average recall in [0, 1] over the classes that are there."""
    return float(np.mean([(predicted[true == label] == label).mean() for label in np.unique(true)]))


@dataclass(frozen=True)
class Fitted:
    """An SVM of one fold, how it was chosen, and the seconds of one core that choosing and fitting took."""

    svm: LinearSVM
    chosen: Mapping[str, Any]
    validation_uar: float
    seconds: float


def fit(sets: Sequence[np.ndarray], checks: Sequence[np.ndarray], labels: np.ndarray, groups: Sequence[np.ndarray],
        costs: Sequence[float]) -> Fitted:
    """Choose C on groups of speakers that validate in turn, then fit on all of them.

    sets: features (utterances, d) under each condition that is trained on; checks: those that are validated on. The
    mean UAR over checks and groups chooses (of equal ones the smaller C). labels (utterances,); groups: bool
    (utterances,) each, the training speakers in parts.
    """
    start = time.process_time()
    everybody = np.logical_or.reduce(groups)
    tried = []
    for group in groups:
        svm = _fitted(sets, labels, everybody & ~group, costs[0])
        tried.append([np.mean([recall(labels[group], svm.refit(cost)(check[group])) for check in checks])
                      for cost in costs])
    mean_uars = [float(uar) for uar in np.mean(tried, axis=0)]
    best = int(np.argmax(mean_uars))
    final = _fitted(sets, labels, everybody, costs[best])
    return Fitted(final, {"C": costs[best], "validation": dict(zip(map(str, costs), mean_uars, strict=True))},
                  mean_uars[best], time.process_time() - start)


def _fitted(sets: Sequence[np.ndarray], labels: np.ndarray, chosen: np.ndarray, cost: float) -> LinearSVM:
    return LinearSVM(np.concatenate([features[chosen] for features in sets]), np.tile(labels[chosen], len(sets)), cost)
