"""What training lowers and what it counts: class-weighted cross-entropy and the confusion matrix."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser_ops.emotions import EMOTIONS
from ser_ops.models.members import separate

CLASSES = len(EMOTIONS)


def balanced(labels: np.ndarray) -> Tensor:
    """Weight of each class, float32 (7,): n / (classes present * n of the class), 0 for a class that is absent.

    >>> balanced(np.array([0, 0, 0, 1]))[:3]
    tensor([0.6667, 2.0000, 0.0000])
    """
    counts = np.bincount(labels, minlength=CLASSES)
    weights = np.divide(len(labels), counts * np.count_nonzero(counts), out=np.zeros(CLASSES), where=counts > 0)
    return torch.from_numpy(weights.astype(np.float32))


def loss_sum(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Sum over the batch of weighted, label-smoothed cross-entropy in nats; logits (B, 7), labels int64 (B,).

    Of members' logits (B, K, 7) the mean of their losses: each learns from its own. Divided by the sum of the labels'
    weights it is `torch.nn.functional.cross_entropy`'s mean.
    """
    each, repeated = separate(logits.float(), labels)
    total = functional.cross_entropy(each, repeated, weights, reduction="sum", label_smoothing=smoothing)
    return total * (len(labels) / len(repeated))


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts, int64 (7, 7): rows are the true class, columns the predicted one; members (B, K, 7) count one by one."""
    logits, labels = separate(logits, labels)
    pairs = labels * CLASSES + logits.argmax(1)     # not bincount, for which the host waits for a GPU
    counts = torch.zeros(CLASSES**2, dtype=torch.int64, device=pairs.device)
    return counts.index_add_(0, pairs, torch.ones_like(pairs)).view(CLASSES, CLASSES)


def uar(counts: Tensor) -> float:
    """Unweighted average recall in [0, 1], over the classes that occur, of a confusion matrix.

    >>> uar(torch.tensor([[3, 1], [0, 2]]))
    0.875
    """
    counts = counts.to("cpu", torch.float64)
    support = counts.sum(1)
    return float((counts.diagonal()[support > 0] / support[support > 0]).mean())
