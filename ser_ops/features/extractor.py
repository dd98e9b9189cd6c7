"""From waveforms of a window's length to the features that a model reads."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser_ops.audio.signal import resample
from ser_ops.config.models import Features, MelImage, Stacked, Window
from ser_ops.features.descriptors import levelled, mfcc, rms, zcr
from ser_ops.features.index_map import frames_of, shape_of
from ser_ops.features.paper2 import check_stacked, log_mel, stacked

_FRAME_SAMPLES = 400_000    # samples of all frames computed at once: with the results they fit into a core's cache


def spectral(waveforms: Tensor, settings: Features) -> Tensor:
    """ZCR, RMS and MFCC in the layout that the settings name (equations 12 and 28 of paper 1).

    Where the settings say so, windows are first brought to the same level, and each row has its mean over the window
    taken off. Takes (B, N) at settings.sample_rate hertz; gives (B, L), or (B, 2 + K, T) in the frames layout.
    """
    if settings.level == "same":
        waveforms = levelled(waveforms)
    channels = torch.cat([zcr(waveforms, settings)[:, None], rms(waveforms, settings)[:, None],
                          mfcc(waveforms, settings)], dim=1)
    if settings.centre:
        channels = channels - channels.mean(-1, keepdim=True)
    if settings.layout == "frames":
        return channels
    return torch.cat([channels[:, :2].flatten(1), channels[:, 2:].transpose(1, 2).flatten(1)], dim=1)


class Extractor:
    """Features of a batch, by the settings of paper 1's features, paper 2's stack or paper 2's image.

    Takes float32 of shape (B, seconds * source_rate), windows made by `audio.signal.fit_window`, and returns float32 on
    the same device, (B, *shape_of(settings)): Features (B, L) in the serial layout, (B, 2 + K, T) in the frames layout;
    Stacked (B, 187, T); MelImage (B, mels, T). What one utterance yields does not depend on the others of its batch.
    Raises ValueError for windows of another length, UserError for settings that cannot be met.

    >>> settings = Features(sample_rate=22050, seconds=2.5, frame=2048, hop=512, mfcc=20, mels=128,
    ...                     layout="serial", level="keep", centre=False, standardise=True)
    >>> Extractor(settings)(torch.zeros(2, 40000)).shape
    torch.Size([2, 2376])
    """

    def __init__(self, settings: Window, source_rate: int = 16000) -> None:
        if isinstance(settings, Stacked):
            check_stacked(settings)
        self.settings = settings
        self.source_rate = source_rate
        self.length = round(settings.seconds * source_rate)
        self.shape = shape_of(settings)

    def __call__(self, waveforms: Tensor) -> Tensor:
        if waveforms.ndim != 2 or waveforms.shape[1] != self.length:
            raise ValueError(f"expected windows of shape (B, {self.length}), got {tuple(waveforms.shape)}")
        waveforms = self._resampled(waveforms)
        if torch.compiler.is_exporting():       # a batch of any size cannot be cut
            return self._extracted(waveforms)
        samples = frames_of(self.settings) * self.settings.frame
        batch_size = max(1, _FRAME_SAMPLES // samples if waveforms.is_cpu else len(waveforms))
        return torch.cat([self._extracted(part) for part in waveforms.split(batch_size)])

    def _extracted(self, waveforms: Tensor) -> Tensor:
        match self.settings:
            case Stacked():
                return stacked(waveforms, self.settings)
            case MelImage():
                return log_mel(waveforms, self.settings)
            case Features():
                return spectral(waveforms, self.settings)
        raise TypeError(f"no features for {type(self.settings).__name__}")

    def _resampled(self, waveforms: Tensor) -> Tensor:
        rate = self.settings.sample_rate
        if rate == self.source_rate:
            return waveforms
        items = [resample(item, self.source_rate, rate) for item in waveforms.detach().cpu().numpy()]
        batch = torch.from_numpy(np.stack(items)).to(waveforms.device)
        return functional.pad(batch, (0, round(self.settings.seconds * rate) - batch.shape[1]))
