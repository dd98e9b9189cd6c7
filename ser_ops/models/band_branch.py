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
    """Features (B, 2 + K, T) to the spectral embedding (B, settings.embedding); the frames layout alone.

    The MFCCs become log-mel bands again (`features.mel_bands`), in which neighbours belong together; ZCR, RMS, bands,
    their slopes and the slopes' slopes are the channels. Each block: convolution with same padding, BatchNorm, ReLU,
    max pooling by its stride, dropout. Attentive mean and deviation over time, BatchNorm, dropout, Linear, ReLU,
    BatchNorm.

    In training a run of bands and a run of frames of each utterance become 0 (SpecAugment, Park et al. 2019), which is
    the utterance's mean where the features are centred.
    """

    def __init__(self, features: Features, settings: Bands, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.mels, self.settings = features.mels, settings
        self.standardise = Standardise(features, standardisation)
        sizes = [3 * (channels_of(features) - features.mfcc + features.mels), *settings.channels]
        self.norm = nn.BatchNorm1d(sizes[0])
        self.blocks = nn.Sequential(*(
            nn.Sequential(nn.Conv1d(inputs, outputs, kernel, padding="same"), nn.BatchNorm1d(outputs), nn.ReLU(),
                          nn.MaxPool1d(stride) if stride > 1 else nn.Identity(), nn.Dropout(settings.dropout))
            for inputs, outputs, kernel, stride in zip(
                sizes[:-1], settings.channels, settings.kernels, settings.strides, strict=True)))
        self.pooling = AttentiveStatistics(sizes[-1], settings.attention)
        self.project = nn.Sequential(
            nn.BatchNorm1d(2 * sizes[-1]), nn.Dropout(settings.pooled_dropout),
            nn.Linear(2 * sizes[-1], settings.embedding), nn.ReLU(), nn.BatchNorm1d(settings.embedding))

    @property
    def last_convolution(self) -> nn.Conv1d:
        """The last block's convolution, whose maps are the finest summary that still has a time axis."""
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
        return self.project(self.pooling(self.blocks(self.norm(torch.cat([values, slopes, deltas(slopes)], dim=1)))))

    def _masked(self, values: Tensor) -> Tensor:
        rows, channels, frames = values.shape
        bands = stretch(rows, self.mels, min(self.settings.masked_bands, self.mels), values.device)
        bands = functional.pad(bands, (channels - self.mels, 0))
        times = stretch(rows, frames, min(self.settings.masked_frames, frames), values.device)
        return values.masked_fill(bands[:, :, None] | times[:, None], 0.0)
