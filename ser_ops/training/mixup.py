"""Mixup (Zhang et al. 2018): two examples of a batch over each other, and both their labels."""

from typing import NamedTuple

import torch
from torch import Tensor

from ser_ops.dataset.examples import Batch


class Mixed(NamedTuple):
    """What the model hears, and the labels (B,) that hold for it, each with its share of the loss."""

    waveform: Tensor
    valid: Tensor
    features: Tensor
    labels: tuple[tuple[Tensor, float], ...]


def mix(batch: Batch, parameter: float, share: float) -> Mixed:
    """A batch as it is, or, for `share` of all batches, each example over another one of it.

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
