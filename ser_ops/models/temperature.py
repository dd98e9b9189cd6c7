"""Temperature scaling (Guo et al. 2017): one number that makes probabilities mean how often they are right.

And the weights of streams that answer together, which are such a number for each stream.
"""

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp
from torch import nn

from ser_ops.emotions import EMOTIONS
from ser_ops.models.paper1 import LateFusion, Members

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


def fit_temperature(true: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The temperature in RANGE of least mean negative log likelihood of class indices (n,), given (n, classes).

    weights: of each answer in that mean, above 0, (n,); None: all count alike.
    For validation answers: fitted to test answers it would be a choice made on the test.
    """
    rows = np.arange(len(true))

    def cost(logarithm: float) -> float:
        right = tempered(probabilities, float(np.exp(logarithm)))[rows, true]
        return float(np.average(-np.log(np.maximum(right, _LEAST)), weights=weights))

    return float(np.exp(minimize_scalar(cost, bounds=np.log(RANGE), method="bounded").x))


def fit_stream_weights(true: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weights by which the streams' log probabilities are summed (`ser_ops.models.paper1.LateFusion`).

    Args:
        true: class indices (n,) of validation answers.
        probabilities: each stream's own answers, (streams, n, classes).
        weights: of each answer, above 0, (n,).

    Returns:
        float64 (streams,), at least 0, of least mean negative log likelihood: a stream that adds nothing gets 0. The
        problem is convex, so that no start decides.
    """
    logarithms = np.log(np.maximum(probabilities, _LEAST))
    right = logarithms[:, np.arange(len(true)), true]
    share = weights / weights.sum()

    def cost(given: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.tensordot(given, logarithms, 1)
        total = logsumexp(logits, axis=1)
        expected = np.einsum("snc,nc->sn", logarithms, np.exp(logits - total[:, None]))
        return float(share @ (total - given @ right)), (expected - right) @ share

    start = np.full(len(probabilities), 1 / len(probabilities))
    return minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 1 / RANGE[0])] * len(start),
                    options={"ftol": 1e-12, "gtol": 1e-8}).x


def divide_logits(model: nn.Module, temperature: float) -> None:
    """Fold a temperature (above 0) into the model: its logits are divided by it from now on. No label changes.

    Of `LateFusion` the streams' weights and of `Members` (`ser_ops.models.paper1`) the logits that they give together
    are divided; else the last layer is a
    Linear onto the classes.
    """
    for part in model.modules():
        if isinstance(part, LateFusion):
            part.weights /= temperature
            return
        if isinstance(part, Members):
            part.temperature *= temperature
            return
    last = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == len(EMOTIONS)][-1]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.div_(temperature)
