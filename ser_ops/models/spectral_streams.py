"""The spectral stability stream of paper 1, in the design that the preset names.

The spectral stability stream of paper 1: a 1D-CNN over ZCR, RMS and MFCC.

A spectral stream over log-mel bands: 2-D convolutions, one along time, then attentive statistics.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_ops.config import Bands, Blocks, Features, Preset
from ser_ops.features.descriptors import mel_bands
from ser_ops.features.index_map import shape_of
from ser_ops.models.layers import AttentiveStatistics, Standardisation, Standardise


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


_SIDE = 3       # bands and frames that a convolution over the picture looks at


def stretch(rows: int, length: int, longest: int, device: torch.device) -> Tensor:
    """True over one run of each row, bool (rows, length): 0 to `longest` long, anywhere, by the global generator."""
    width = torch.randint(longest + 1, (rows, 1), device=device)
    first = (torch.rand(rows, 1, device=device) * (length - width + 1)).long()
    place = torch.arange(length, device=device)
    return (place >= first) & (place < first + width)


class BandBranch(nn.Module):
    """Features (B, 2 + K, T) to the members' embeddings (B, members, settings.embedding); frames layout alone.

    The MFCCs become log-mel bands again (`features.mel_bands`), a picture of bands and frames in which neighbours
    belong together: a voice that is higher or a vowel that is longer is the same pattern elsewhere. Each block over it:
    3 x 3 convolution, max pooling by `pools`, BatchNorm, ReLU. What is left of the bands stands as channels beside ZCR
    and RMS of the same moments under one convolution along time, BatchNorm, ReLU; then attentive mean and deviation
    over time, BatchNorm, dropout, Linear, ReLU, BatchNorm. Each member is such a network with weights of its own, on
    the same input; their last convolutions stand side by side as groups, so that all maps come from one layer.

    In training a run of bands and a run of frames of each utterance become 0 (SpecAugment, Park et al. 2019), which is
    the utterance's mean where the features are centred.
    """

    def __init__(self, features: Features, settings: Bands, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.mels, self.settings = features.mels, settings
        self.standardise = Standardise(features, standardisation)
        self.norm = nn.BatchNorm1d(2 + features.mels, affine=False)
        self.pictures = nn.ModuleList(_picture(settings) for _ in range(settings.members))
        channels = settings.channels[-1] * (features.mels // math.prod(bands for bands, _ in settings.pools)) + 2
        maps = settings.members * settings.maps
        self.last_convolution = nn.Conv1d(settings.members * channels, maps, settings.kernel, padding="same",
                                          groups=settings.members)
        self.after = nn.Sequential(nn.BatchNorm1d(maps), nn.ReLU())
        self.pooling = nn.ModuleList(AttentiveStatistics(settings.maps, settings.attention)
                                     for _ in range(settings.members))
        self.project = nn.ModuleList(nn.Sequential(
            nn.BatchNorm1d(2 * settings.maps), nn.Dropout(settings.dropout),
            nn.Linear(2 * settings.maps, settings.embedding), nn.ReLU(), nn.BatchNorm1d(settings.embedding))
            for _ in range(settings.members))

    @property
    def receptive_field(self) -> int:
        """Frames that one value of the last convolution, whose maps are the finest summary over time, has seen."""
        seen, apart = 1, 1
        for _, frames in self.settings.pools:
            seen += (_SIDE - 1 + frames - 1) * apart
            apart *= frames
        return seen + (self.settings.kernel - 1) * apart

    def forward(self, features: Tensor) -> Tensor:
        features = self.standardise(features)
        # A deviation for each coefficient would bend the bands: it is put back before they are made.
        cepstra = features[:, 2:] * self.standardise.std[2:, None]
        values = torch.cat([features[:, :2], mel_bands(cepstra, self.mels)], dim=1)
        if self.training:
            values = self._masked(values)
        values = self.norm(values)
        picture = values[:, None, 2:].contiguous(memory_format=torch.channels_last)
        beside = functional.avg_pool1d(values[:, :2], math.prod(frames for _, frames in self.settings.pools))
        seen = [part for one in self.pictures for part in (one(picture).flatten(1, 2), beside)]
        maps = self.after(self.last_convolution(torch.cat(seen, dim=1)))
        return torch.stack([project(pooling(own)) for own, pooling, project in zip(
            maps.chunk(self.settings.members, dim=1), self.pooling, self.project, strict=True)], dim=1)

    def _masked(self, values: Tensor) -> Tensor:
        rows, channels, frames = values.shape
        bands = stretch(rows, self.mels, min(self.settings.masked_bands, self.mels), values.device)
        bands = functional.pad(bands, (channels - self.mels, 0))
        times = stretch(rows, frames, min(self.settings.masked_frames, frames), values.device)
        return values.masked_fill(bands[:, :, None] | times[:, None], 0.0)


def _picture(settings: Bands) -> nn.Sequential:
    """Blocks from (B, 1, mels, T) to (B, channels, bands, frames); channels lie innermost, which a CPU works best on.

    Pooling comes before normalisation, which then works on a quarter or a half of the values.
    """
    sizes = [1, *settings.channels]
    return nn.Sequential(*(
        nn.Sequential(nn.Conv2d(inputs, outputs, _SIDE, padding=_SIDE // 2, bias=False), nn.MaxPool2d(pool),
                      nn.BatchNorm2d(outputs), nn.ReLU())
        for inputs, outputs, pool in zip(sizes[:-1], sizes[1:], settings.pools, strict=True)
    ))


SpectralBranch = BlockBranch | BandBranch


def spectral_branch(preset: Preset, standardisation: Standardisation | None = None) -> SpectralBranch:
    """The stream from features to the members' embeddings (B, preset.spectral.members, preset.spectral.embedding)."""
    if isinstance(preset.spectral, Bands):
        return BandBranch(preset.features, preset.spectral, standardisation)
    return BlockBranch(preset.features, preset.spectral, standardisation)
