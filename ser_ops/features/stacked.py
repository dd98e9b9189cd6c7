"""Features of paper 2 (section III-B): MFCC, chroma, mel spectrogram and spectral contrast, one above the other."""

import torch
from torch import Tensor

from ser_ops.config import Stacked
from ser_ops.features.descriptors import cepstrum, decibels, mel_power, power_spectrum


def stacked(waveforms: Tensor, settings: Stacked) -> Tensor:
    """Rows of paper 2's input, float32 of shape (B, K + 12 + mels + 7, T)."""
    spectrum = power_spectrum(waveforms, settings)
    power = mel_power(spectrum, settings, settings.mels)
    level = decibels(power)
    mel = level if settings.mel_scale == "decibels" else power
    rest = spectrum.new_zeros(len(spectrum), 19, spectrum.shape[1])
    return torch.cat([cepstrum(level, settings.mfcc), rest[:, :12], mel.transpose(1, 2), rest[:, :7]], dim=1)
