"""What one training step needs: mixup, class-weighted cross-entropy, the learning rate; and UAR from counts.

Mixup is that of Zhang et al. 2018. The learning rate rises linearly, then falls to zero by half a cosine.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser_ops.dataset.examples import Batch
from ser_ops.emotions import EMOTIONS
from ser_ops.models.base import member_examples

CLASSES = len(EMOTIONS)


class Mixed(NamedTuple):
    """What the model hears, and the labels (B,) that hold for it, each with its share of the loss."""

    waveform: Tensor
    valid: Tensor
    features: Tensor
    labels: tuple[tuple[Tensor, float], ...]


def mixup(batch: Batch, parameter: float, share: float) -> Mixed:
    """A batch as it is, or, for `share` of all batches, each example over another of the same batch.

    The louder part is 0.5 to 1, of Beta(parameter, parameter); a parameter of 0 never mixes. Waveforms and features are
    summed alike: of features that are logarithms that is no sum of sounds, and is what the field's mixup does. Draws
    from torch's global generator.
    """
    if parameter <= 0 or float(torch.rand(())) >= share:
        return Mixed(batch.waveform, batch.valid, batch.features, ((batch.labels, 1.0),))
    drawn = float(torch.distributions.Beta(parameter, parameter, validate_args=False).sample())
    louder = max(drawn, 1 - drawn)
    other = torch.randperm(len(batch)).to(batch.labels.device)
    # index_select: a copy row by row, in a third of the time of an index in brackets
    return Mixed(batch.waveform.index_select(0, other).lerp_(batch.waveform, louder),
                 torch.maximum(batch.valid, batch.valid[other]),
                 batch.features.index_select(0, other).lerp_(batch.features, louder),
                 ((batch.labels, louder), (batch.labels[other], 1 - louder)))


def class_weights(labels: np.ndarray) -> Tensor:
    """Weight of each class, float32 (7,): n / (classes present * n of the class), 0 for a class that is absent.

    >>> class_weights(np.array([0, 0, 0, 1]))[:3]
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
    each, repeated = member_examples(logits.float(), labels)
    total = functional.cross_entropy(each, repeated, weights, reduction="sum", label_smoothing=smoothing)
    return total * (len(labels) / len(repeated))


def learning_rate_share(step: int, steps: int, warmup: float) -> float:
    """Share of the full learning rate at `step` (from 0) of `steps`; it rises during the share `warmup` of them.

    A function of the step alone, so that a resumed training needs nothing else to go on.

    >>> [round(learning_rate_share(step, 10, 0.2), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def confusion_counts(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts, int64 (7, 7): rows are the true class, columns the predicted; each of K members (B, K, 7) counts."""
    logits, labels = member_examples(logits, labels)
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
