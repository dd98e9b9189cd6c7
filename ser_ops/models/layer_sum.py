"""Which layers of a pretrained backbone serve the task is learned, not chosen."""

import torch
from torch import Tensor, nn


class LayerSum(nn.Module):
    """States of all layers (B, layers, T, H) to their weighted sum (B, T, H) (SUPERB, Yang et al. 2021).

    The weights are a softmax of one parameter a layer; they begin equal.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))

    @property
    def weights(self) -> Tensor:
        """The weight of each layer, (layers,), from the first one's input to the last one's output, adding up to 1."""
        return self.scores.softmax(0)

    def forward(self, states: Tensor) -> Tensor:
        return torch.einsum("l,blth->bth", self.weights.to(states.dtype), states)
