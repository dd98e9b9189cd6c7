"""A spectral stream over log-mel bands: convolutions along time, then attentive statistics."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_ops.config import Bands, Features
from ser_ops.features import channels_of, mel_bands
from ser_ops.models.pooling import AttentiveStatistics
from ser_ops.models.standardise import Standardisation, Standardise

_REACH = 2      # frames to either side that a slope looks at


def deltas(values: Tensor) -> Tensor:
    """Slope over time of (B, C, T), per frame: the least-squares line through five frames, the edge held.

    >>> deltas(torch.arange(6.0)[None, None])
    tensor([[[0.5000, 0.8000, 1.0000, 1.0000, 0.8000, 0.5000]]])
    """
    first, second, _, fourth, fifth = functional.pad(values, (2, 2), mode="replicate").unfold(-1, 5, 1).unbind(-1)
    return (fourth - second + 2 * (fifth - first)) / 10


def stretch(rows: int, length: int, longest: int, device: torch.device) -> Tensor:
    """True over one run of each row, bool (rows, length): 0 to `longest` long, anywhere, by the global generator."""
    width = torch.randint(longest + 1, (rows, 1), device=device)
    first = (torch.rand(rows, 1, device=device) * (length - width + 1)).long()
    place = torch.arange(length, device=device)
    return (place >= first) & (place < first + width)


class BandBranch(nn.Module):
    """Features (B, 2 + K, T) to the members' embeddings (B, members, settings.embedding); frames layout alone.

    The MFCCs become log-mel bands again (`features.mel_bands`), in which neighbours belong together; ZCR, RMS, bands,
    their slopes and the slopes' slopes are the channels. Each block: convolution with same padding, BatchNorm, ReLU,
    max pooling by its stride, dropout. Attentive mean and deviation over time, BatchNorm, dropout, Linear, ReLU,
    BatchNorm. Each member is such a network with weights of its own, on the same input: their convolutions stand side
    by side as groups, so that all maps come from one layer.

    In training a run of bands and a run of frames of each utterance become 0 (SpecAugment, Park et al. 2019), which is
    the utterance's mean where the features are centred.
    """

    def __init__(self, features: Features, settings: Bands, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.mels, self.settings = features.mels, settings
        self.standardise = Standardise(features, standardisation)
        own = settings.channels[-1]
        sizes = [3 * (channels_of(features) - features.mfcc + features.mels),
                 *(settings.members * one for one in settings.channels)]
        self.norm = nn.BatchNorm1d(sizes[0])
        self.blocks = nn.Sequential(*(
            nn.Sequential(nn.Conv1d(inputs, outputs, kernel, padding="same", groups=settings.members if number else 1),
                          nn.BatchNorm1d(outputs), nn.ReLU(),
                          nn.MaxPool1d(stride) if stride > 1 else nn.Identity(), nn.Dropout(settings.dropout))
            for number, (inputs, outputs, kernel, stride) in enumerate(zip(
                sizes[:-1], sizes[1:], settings.kernels, settings.strides, strict=True))))
        self.pooling = nn.ModuleList(AttentiveStatistics(own, settings.attention) for _ in range(settings.members))
        self.project = nn.ModuleList(nn.Sequential(
            nn.BatchNorm1d(2 * own), nn.Dropout(settings.pooled_dropout),
            nn.Linear(2 * own, settings.embedding), nn.ReLU(), nn.BatchNorm1d(settings.embedding))
            for _ in range(settings.members))

    @property
    def last_convolution(self) -> nn.Conv1d:
        """The last block's convolution, whose maps, all members', are the finest summary that still has a time axis."""
        return cast(nn.Conv1d, self.blocks[-1].get_submodule("0"))

    @property
    def receptive_field(self) -> int:
        """Frames that one value of the last convolution has seen."""
        seen, apart = 1 + 2 * 2 * _REACH, 1
        for kernel, stride in zip(self.settings.kernels[:-1], self.settings.strides[:-1], strict=True):
            seen += (kernel - 1 + stride - 1) * apart
            apart *= stride
        return seen + (self.settings.kernels[-1] - 1) * apart

    def forward(self, features: Tensor) -> Tensor:
        features = self.standardise(features)
        # A deviation for each coefficient would bend the bands: it is put back before they are made.
        cepstra = features[:, 2:] * self.standardise.std[2:, None]
        values = torch.cat([features[:, :2], mel_bands(cepstra, self.mels)], dim=1)
        if self.training:
            values = self._masked(values)
        slopes = deltas(values)
        maps = self.blocks(self.norm(torch.cat([values, slopes, deltas(slopes)], dim=1)))
        return torch.stack([project(pooling(own)) for own, pooling, project in zip(
            maps.chunk(self.settings.members, dim=1), self.pooling, self.project, strict=True)], dim=1)

    def _masked(self, values: Tensor) -> Tensor:
        rows, channels, frames = values.shape
        bands = stretch(rows, self.mels, min(self.settings.masked_bands, self.mels), values.device)
        bands = functional.pad(bands, (channels - self.mels, 0))
        times = stretch(rows, frames, min(self.settings.masked_frames, frames), values.device)
        return values.masked_fill(bands[:, :, None] | times[:, None], 0.0)
