"""Features of paper 2 (section III-B): MFCC, chroma, mel spectrogram and spectral contrast, one above the other."""

import torch
from torch import Tensor

from ser_ops.config import Stacked
from ser_ops.errors import UserError
from ser_ops.features.chroma import chroma
from ser_ops.features.contrast import bands, spectral_contrast
from ser_ops.features.descriptors import cepstrum, decibels, mel_power, power_spectrum


def check(settings: Stacked) -> None:
    """Raises UserError where the settings ask for more than the spectrum holds."""
    bands(settings.sample_rate, settings.frame)
    if settings.mfcc > settings.mels:
        raise UserError(f"stacked: mfcc {settings.mfcc} is more than mels {settings.mels}: there are no more "
                        "coefficients than bands, so lower mfcc or raise mels")


def stacked(waveforms: Tensor, settings: Stacked) -> Tensor:
    """Rows of paper 2's input, float32 of shape (B, K + 12 + mels + 7, T), from (B, N) at settings.sample_rate hertz.

    By librosa's definitions; `rows` names each row. Nothing leads from one utterance of a batch to another.
    """
    power = power_spectrum(waveforms, settings, exact=True)
    mel = mel_power(power, settings, settings.mels)
    level = decibels(mel)
    shown = level if settings.mel_scale == "decibels" else mel
    return torch.cat([cepstrum(level, settings.mfcc), chroma(power, settings), shown.transpose(1, 2),
                      spectral_contrast(power, settings)], dim=1)
