"""The spectral stability stream of paper 1 in two designs, of which the preset names one.

`BlockBranch` is the paper's: a 1D-CNN over ZCR, RMS and MFCC (section III-E). `BandBranch` is this project's: 2-D
convolutions over log-mel bands, a convolution along time, attentive statistics.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_ops.config.models import Bands, Blocks, Features, Preset
from ser_ops.features.descriptors import mel_bands
from ser_ops.features.index_map import shape_of
from ser_ops.features.standardise import Standardisation
from ser_ops.models.base import Standardise


class BlockBranch(nn.Module):
    """Features (B, L) or (B, 2 + K, T) to the spectral embedding (B, 1, settings.embedding): one member.

    Three blocks (convolution with same padding, BatchNorm, ReLU, max pooling of the convolution's kernel with
    stride 2; dropout after the second and third), flatten, Linear, ReLU, BatchNorm. The serial layout enters as one
    channel of length L, the frames layout as 2 + K channels over T. Pooling is padded by half its kernel, which
    halves a length upwards: 2,376 to 297, and is what gives the parameter counts of table VI's rows B to D.

    In training each kind of feature (ZCR, RMS, each MFCC) is left out of an utterance with probability
    settings.kind_dropout, all frames at once: noise spoils some kinds more than others, and so the network learns to
    rely on no single kind. The paper does not do this; its preset has 0.
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


def _block(inputs: int, outputs: int, kernel: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding="same"), nn.BatchNorm1d(outputs), nn.ReLU(),
        nn.MaxPool1d(kernel, stride=2, padding=kernel // 2), nn.Dropout(dropout))


def receptive_field(kernels: Sequence[int]) -> int:
    """Input positions that one value of the last convolution has seen.

    kernels: of the blocks' convolutions, each with stride 1, followed in all blocks but the last by a pooling of the
    same kernel with stride 2 (paper 1, III-E).

    >>> receptive_field([5, 5, 3])
    33
    """
    field, stride = 1, 1
    for number, kernel in enumerate(kernels):
        field += (kernel - 1) * stride
        if number < len(kernels) - 1:
            field, stride = field + (kernel - 1) * stride, 2 * stride
    return field


_SIDE = 3       # bands and frames that a convolution over the picture looks at


class BandBranch(nn.Module):
    """Features (B, 2 + K, T) to the members' embeddings (B, members, settings.embedding); frames layout alone.

    The MFCCs become log-mel bands again (`features.descriptors.mel_bands`), a picture of bands and frames in which a
    higher voice or a longer vowel is the same pattern elsewhere. Each block over it: 3 x 3 convolution, max pooling by
    `pools`, BatchNorm, ReLU. The remaining bands, with ZCR and RMS averaged to the same length, are the channels of a
    convolution along time, BatchNorm, ReLU; then attentive mean and deviation over time, BatchNorm, dropout, Linear,
    ReLU, BatchNorm. Each member is such a network with its own weights on the same input; the members' last
    convolutions are groups of one layer, so that all maps come from it.

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
        field, stride = 1, 1
        for _, frames in self.settings.pools:
            field += (_SIDE - 1 + frames - 1) * stride
            stride *= frames
        return field + (self.settings.kernel - 1) * stride

    def forward(self, features: Tensor) -> Tensor:
        features = self.standardise(features)
        # A deviation for each coefficient would bend the bands: it is put back before they are made.
        cepstra = features[:, 2:] * self.standardise.std[2:, None]
        values = torch.cat([features[:, :2], mel_bands(cepstra, self.mels)], dim=1)
        if self.training:
            values = self._masked(values)
        values = self.norm(values)
        picture = values[:, None, 2:].contiguous(memory_format=torch.channels_last)
        zcr_rms = functional.avg_pool1d(values[:, :2], math.prod(frames for _, frames in self.settings.pools))
        channels = [part for blocks in self.pictures for part in (blocks(picture).flatten(1, 2), zcr_rms)]
        maps = self.after(self.last_convolution(torch.cat(channels, dim=1)))
        return torch.stack([project(pooling(member)) for member, pooling, project in zip(
            maps.chunk(self.settings.members, dim=1), self.pooling, self.project, strict=True)], dim=1)

    def _masked(self, values: Tensor) -> Tensor:
        rows, channels, frames = values.shape
        bands = random_runs(rows, self.mels, min(self.settings.masked_bands, self.mels), values.device)
        bands = functional.pad(bands, (channels - self.mels, 0))
        times = random_runs(rows, frames, min(self.settings.masked_frames, frames), values.device)
        return values.masked_fill(bands[:, :, None] | times[:, None], 0.0)


def _picture(settings: Bands) -> nn.Sequential:
    """Blocks from (B, 1, mels, T) to (B, channels, bands, frames); channels lie innermost, which a CPU works best on.

    Pooling comes before normalisation, which then works on a quarter or a half of the values.
    """
    sizes = [1, *settings.channels]
    return nn.Sequential(*(
        nn.Sequential(nn.Conv2d(inputs, outputs, _SIDE, padding=_SIDE // 2, bias=False), _ChannelsLastPool(pool),
                      nn.BatchNorm2d(outputs), nn.ReLU())
        for inputs, outputs, pool in zip(sizes[:-1], sizes[1:], settings.pools, strict=True)
    ))


class _ChannelsLastPool(nn.MaxPool2d):
    """Maxima with channels innermost: a convolution of a single row puts them outermost, which takes ten times as long.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.contiguous(memory_format=torch.channels_last))


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time under learned weights (Okabe et al. 2018): values (B, C, T) to (B, 2 C)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv1d(channels, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, 1, 1))

    def weights(self, values: Tensor) -> Tensor:
        """The weight of each frame, (B, 1, T), adding up to 1."""
        scores = self.score(values)
        return scores.to(torch.promote_types(scores.dtype, torch.float32)).softmax(-1)

    def forward(self, values: Tensor) -> Tensor:
        weights = self.weights(values)
        values = values.to(weights.dtype)
        mean = (weights * values).sum(-1)
        deviation = ((weights * values.square()).sum(-1) - mean.square()).clamp_min(1e-5).sqrt()
        return torch.cat([mean, deviation], dim=1)


def random_runs(rows: int, length: int, longest: int, device: torch.device) -> Tensor:
    """True over one run of each row, bool (rows, length): 0 to `longest` long, anywhere, by the global generator."""
    width = torch.randint(longest + 1, (rows, 1), device=device)
    first = (torch.rand(rows, 1, device=device) * (length - width + 1)).long()
    position = torch.arange(length, device=device)
    return (position >= first) & (position < first + width)


SpectralBranch = BlockBranch | BandBranch


def spectral_branch(preset: Preset, standardisation: Standardisation | None = None) -> SpectralBranch:
    """The stream from features to the members' embeddings (B, preset.spectral.members, preset.spectral.embedding)."""
    if isinstance(preset.spectral, Bands):
        return BandBranch(preset.features, preset.spectral, standardisation)
    return BlockBranch(preset.features, preset.spectral, standardisation)
