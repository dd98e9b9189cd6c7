"""The classifier on top (equation 23 of paper 1)."""

from torch import nn

from ser_ops.config import Head
from ser_ops.emotions import EMOTIONS


def head(inputs: int, settings: Head) -> nn.Sequential:
    """Linear, ReLU, dropout, Linear: (B, inputs) to logits (B, 7)."""
    return nn.Sequential(nn.Linear(inputs, settings.hidden), nn.ReLU(), nn.Dropout(settings.dropout),
                         nn.Linear(settings.hidden, len(EMOTIONS)))
