"""Log-mel images of paper 2 (section III-C): 128 bands by 128 time steps for ViT and BEiT."""

from torch import Tensor

from ser_ops.config import MelImage
from ser_ops.features.descriptors import decibels, mel_power, power_spectrum


def log_mel(waveforms: Tensor, settings: MelImage) -> Tensor:
    """Mel spectrogram in dB relative to the utterance's loudest value: float32 (B, mels, T) in [-80, 0].

    librosa's melspectrogram and power_to_db(ref=max, top_db=80); row 0 is the lowest band. waveforms: (B, N) at
    settings.sample_rate hertz.
    """
    power = mel_power(power_spectrum(waveforms, settings), settings, settings.mels)
    return decibels(power, relative=True).transpose(1, 2)
