"""The spectral stability stream of paper 1: a 1D-CNN over ZCR, RMS and MFCC."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from ser_ops.config import Blocks, Features
from ser_ops.features.index_map import shape_of
from ser_ops.models.standardise import Standardisation, Standardise


def receptive_field(kernels: Sequence[int]) -> int:
    """Input positions that one value of the last convolution has seen.

    kernels: of the blocks' convolutions, each with stride 1, followed in all blocks but the last by a pooling of the
    same kernel with stride 2 (paper 1, III-E).

    >>> receptive_field([5, 5, 3])
    33
    """
    seen, stride = 1, 1
    for number, kernel in enumerate(kernels):
        seen += (kernel - 1) * stride
        if number < len(kernels) - 1:
            seen, stride = seen + (kernel - 1) * stride, 2 * stride
    return seen


def _block(inputs: int, outputs: int, kernel: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding="same"), nn.BatchNorm1d(outputs), nn.ReLU(),
        nn.MaxPool1d(kernel, stride=2, padding=kernel // 2), nn.Dropout(dropout))


class BlockBranch(nn.Module):
    """Features (B, L) or (B, 2 + K, T) to the spectral embedding (B, 1, settings.embedding): one member.

    Three blocks (convolution with same padding, BatchNorm, ReLU, max pooling of the convolution's kernel with
    stride 2; dropout after the second and third), flatten, Linear, ReLU, BatchNorm. The serial layout enters as one
    channel of length L, the frames layout as 2 + K channels over T. Pooling is padded by half its kernel, which
    halves a length upwards: 2,376 to 297, and is what gives the parameter counts of table VI's rows B to D.

    In training each kind of feature (ZCR, RMS, each MFCC) is left out of an utterance with probability
    settings.kind_dropout, all frames at once: noise spoils some kinds and spares others, so none is leaned on alone.
    The paper does not do this; its preset has 0.
    """

    def __init__(self, features: Features, settings: Blocks,
                 standardisation: Standardisation | None = None) -> None:
        super().__init__()
        *channels, length = shape_of(features)
        self.kernels = settings.kernels
        self.standardise = Standardise(features, standardisation)
        self.kind_dropout = nn.Dropout(settings.kind_dropout)
        sizes = [channels[0] if channels else 1, *settings.channels]
        self.blocks = nn.Sequential()
        for number, kernel in enumerate(settings.kernels):
            self.blocks.append(_block(sizes[number], sizes[number + 1], kernel, settings.dropout if number else 0.0))
            length = (length + 2 * (kernel // 2) - kernel) // 2 + 1
        self.project = nn.Sequential(
            nn.Flatten(), nn.Linear(settings.channels[-1] * length, settings.embedding), nn.ReLU(),
            nn.BatchNorm1d(settings.embedding))

    @property
    def last_convolution(self) -> nn.Conv1d:
        """The third block's convolution, whose maps are the finest summary that still has a time axis."""
        return cast(nn.Conv1d, self.blocks[-1].get_submodule("0"))

    @property
    def receptive_field(self) -> int:
        """Input positions that one value of the last convolution has seen."""
        return receptive_field(self.kernels)

    def forward(self, features: Tensor) -> Tensor:
        features = self.standardise(features)
        if self.training and self.kind_dropout.p:
            kinds = self.kind_dropout(features.new_ones(len(features), len(self.standardise.mean)))
            features = features * self.standardise.spread(kinds)
        return self.project(self.blocks(features if features.ndim == 3 else features[:, None]))[:, None]
