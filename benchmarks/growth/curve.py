"""A curve through times at several sizes: start + slope * size ^ exponent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

EXPONENTS = np.round(np.arange(0.5, 3.001, 0.01), 2)


@dataclass(frozen=True)
class Curve:
    """seconds = start + slope * size ^ exponent, start and slope at least 0; `misfit` is the largest relative error."""

    start: float
    slope: float
    exponent: float
    misfit: float

    def at(self, size: float) -> float:
        """Seconds at a size."""
        return self.start + self.slope * size**self.exponent


def fitted(sizes: Sequence[float], seconds: Sequence[float], exponent: float = 1.0) -> Curve:
    """The curve of this exponent with the least squares of relative errors.

    >>> curve = fitted([1, 2, 4], [3, 4, 6])
    >>> round(curve.start, 6), round(curve.slope, 6), round(curve.misfit, 6)
    (2.0, 1.0, 0.0)
    """
    measured, scale = np.asarray(seconds, float), max(sizes)
    powers = (np.asarray(sizes, float) / scale) ** exponent
    start, slope = nnls(np.stack([1 / measured, powers / measured], axis=1), np.ones(len(measured)))[0]
    misfit = np.abs((start + slope * powers) / measured - 1).max()
    return Curve(float(start), float(slope / scale**exponent), exponent, float(misfit))


def best(sizes: Sequence[float], seconds: Sequence[float]) -> Curve:
    """The curve of whichever exponent (0.5 to 3, in hundredths) fits best. Raises ValueError for fewer than 3 sizes.

    >>> best([1, 4, 16], [2 + 1, 2 + 4**1.5, 2 + 16**1.5]).exponent
    1.5
    """
    if len(set(sizes)) < 3:
        raise ValueError(f"{len(set(sizes))} sizes: an exponent beside a start-up needs three at least")
    return min((fitted(sizes, seconds, float(exponent)) for exponent in EXPONENTS), key=lambda curve: curve.misfit)
