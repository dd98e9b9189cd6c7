"""Temperature scaling (Guo et al. 2017): one number that makes probabilities mean how often they are right."""

import numpy as np
from scipy.optimize import minimize_scalar

RANGE = (0.05, 20.0)
_LEAST = 1e-9   # of a probability, so that its logarithm is a number


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) after their logits were divided by `temperature` (above 0); the order stays.

    >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(4)
    array([[0.6667, 0.3333]])
    """
    logits = np.log(np.maximum(probabilities, _LEAST)) / temperature
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def fit_temperature(true: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature in RANGE of least mean negative log likelihood of class indices (n,), given (n, classes).

    For validation answers: fitted to test answers it would be a choice made on the test.
    """
    rows = np.arange(len(true))

    def cost(logarithm: float) -> float:
        right = tempered(probabilities, float(np.exp(logarithm)))[rows, true]
        return float(-np.log(np.maximum(right, _LEAST)).mean())

    return float(np.exp(minimize_scalar(cost, bounds=np.log(RANGE), method="bounded").x))
