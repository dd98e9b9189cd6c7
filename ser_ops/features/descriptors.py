"""ZCR, RMS and MFCC of a batch of waveforms (equations 13 to 19 of paper 1), and the parts that they are made of.

Equations 13, 18 and 19 as printed differ from librosa in detail; librosa's definitions hold, to the bit in the mel
filters. Frames are centred: frame t looks at the `frame` samples around sample t * hop, so that N samples have
N // hop + 1 frames. Waveforms are float32 of shape (B, N) at settings.sample_rate hertz; results stay on their device.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser_ops.config.models import Features, Window

LEVEL = 0.05        # RMS of a window whose level is brought to that of all others, about -26 dBFS
SILENT = 1e-10      # librosa: a sample of this magnitude has no sign, a band of this power is the quietest
_TOP_DB = 80.0      # below the loudest value of an utterance, where decibels end
_GROUP = 16         # mel bands: a filter reads a few neighbouring bins, a product of less than this does not pay
_LINEAR = 200 / 3               # hertz a mel below 1,000 Hz (Slaney's Auditory Toolbox, 1998)
_BREAK = 1000.0                 # hertz, where the scale turns logarithmic
_STEP = np.log(6.4) / 27        # of the logarithm of hertz, a mel above it


def levelled(waveforms: Tensor) -> Tensor:
    """Each window (B, N) at the same RMS, so that a microphone's gain says nothing; silence stays silence.

    >>> levelled(torch.tensor([[0.5, -0.5], [0.0, 0.0]]))
    tensor([[ 0.0500, -0.0500],
            [ 0.0000,  0.0000]])
    """
    level = torch.linalg.vector_norm(waveforms, dim=-1, keepdim=True) / math.sqrt(waveforms.shape[-1])
    return waveforms * (LEVEL / level.clamp_min(SILENT))


def zcr(waveforms: Tensor, settings: Features) -> Tensor:
    """Zero-crossing rate (equation 13): the share of a frame's samples whose sign differs from the one before.

    Returns float32 of shape (B, T) in [0, 1]. Zero counts as positive; edges are padded with the edge value.

    >>> settings = Features(sample_rate=16000, seconds=0.1, frame=4, hop=4, mfcc=1, mels=8, layout="frames",
    ...                     level="keep", centre=False, standardise=True)
    >>> zcr(torch.tensor([[1., -1., 1., -1., 1., 1., 1., 1.]]), settings)
    tensor([[0.2500, 0.5000, 0.0000]])
    """
    crossings = _crossings(waveforms, settings.frame // 2)
    return crossings.unfold(-1, settings.frame - 1, settings.hop).sum(-1) / settings.frame


def _crossings(waveforms: Tensor, pad: int) -> Tensor:
    """1 where a sample's sign differs from the one before, else 0: float32 (B, N - 1 + 2 pad), zeros at both ends."""
    if waveforms.is_cpu and not torch.compiler.is_exporting():      # NumPy: three times as fast with truth values
        negative = waveforms.detach().numpy() < -SILENT
        length = negative.shape[1] - 1 + 2 * pad
        crossings = np.empty((len(negative), length), np.float32)
        crossings[:, :pad] = crossings[:, length - pad:] = 0
        np.not_equal(negative[:, 1:], negative[:, :-1], out=crossings[:, pad:length - pad], casting="unsafe")
        return torch.from_numpy(crossings)
    signs = waveforms < -SILENT
    return functional.pad((signs[:, 1:] != signs[:, :-1]).float(), (pad, pad))


def rms(waveforms: Tensor, settings: Features) -> Tensor:
    """Root mean square of each frame (equation 14), float32 of shape (B, T), at least 0; edges are padded with zeros.

    >>> settings = Features(sample_rate=16000, seconds=0.1, frame=4, hop=4, mfcc=1, mels=8, layout="frames",
    ...                     level="keep", centre=False, standardise=True)
    >>> rms(torch.full((1, 8), 0.5), settings)
    tensor([[0.3536, 0.5000, 0.3536]])
    """
    return torch.linalg.vector_norm(_frames(waveforms, settings), dim=-1) / math.sqrt(settings.frame)


def mfcc(waveforms: Tensor, settings: Features) -> Tensor:
    """Mel-frequency cepstral coefficients (equations 15 to 19), float32 of shape (B, K, T).

    Hann window, power spectrum, settings.mels Slaney mel bands, decibels no lower than 80 below the loudest of the
    utterance, orthonormal DCT-II.
    """
    power = mel_power(power_spectrum(waveforms, settings), settings, settings.mels)
    return cepstrum(decibels(power), settings.mfcc)


def power_spectrum(waveforms: Tensor, settings: Window, exact: bool = False) -> Tensor:
    """Power spectrum of each frame under a Hann window, float32 of shape (B, T, 1 + frame // 2).

    `exact` transforms in float64, as librosa does: for features of the faintest bins, which hold nothing but the
    rounding of a float32 transform, and that differs from device to device and with the size of the batch.
    """
    frames = _frames(waveforms.double() if exact else waveforms, settings)
    spectrum = torch.fft.rfft(frames * _window(settings.frame, frames.device, frames.dtype))
    if spectrum.is_cpu and not spectrum.requires_grad and not torch.compiler.is_exporting():
        magnitude = np.abs(spectrum.to(torch.complex64).numpy())    # NumPy reads pairs of numbers twice as fast
        return torch.from_numpy(np.square(magnitude, out=magnitude))
    return torch.view_as_real(spectrum).float().square().sum(-1)


def _frames(waveforms: Tensor, settings: Window) -> Tensor:
    """Centred frames of waveforms (B, N) padded with zeros, (B, T, frame)."""
    half = settings.frame // 2
    return functional.pad(waveforms, (half, half)).unfold(-1, settings.frame, settings.hop)


@lru_cache(maxsize=32)
def _window(frame: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.hann_window(frame, dtype=torch.float64).to(device, dtype)


def mel_power(power: Tensor, settings: Window, mels: int) -> Tensor:
    """Power in Slaney mel bands, float32 of shape (B, T, mels), from the power spectrum (B, T, bins)."""
    groups = _filter_groups(settings.sample_rate, settings.frame, mels, power.device)
    return torch.cat([power[..., bins] @ filters for bins, filters in groups], dim=-1)


@lru_cache(maxsize=32)
def _filter_groups(sample_rate: int, frame: int, mels: int, device: torch.device) -> tuple[tuple[slice, Tensor], ...]:
    """Transposed mel filters in groups of neighbours: the bins that a group reads, and (those bins, its bands)."""
    filters = mel_filters(sample_rate, frame, mels).T
    groups = []
    for first in range(0, mels, _GROUP):
        group = filters[:, first:first + _GROUP]
        read = np.flatnonzero(group.any(1))
        bins = slice(int(read[0]), int(read[-1]) + 1) if len(read) else slice(0, 1)
        with torch.inference_mode(False):
            groups.append((bins, torch.from_numpy(group[bins].copy()).to(device)))
    return tuple(groups)


def mel_filters(sample_rate: int, frame: int, bands: int) -> np.ndarray:
    """Triangular filters of Slaney's mel scale: float32 of shape (bands, frame // 2 + 1), each of area 1.

    sample_rate: hertz; frame: samples that the spectrum was made of. To the bit those of librosa.
    """
    bins = np.linspace(0, sample_rate / 2, 1 + frame // 2)
    edges = mel_frequencies(bands + 2, sample_rate / 2)
    rise = np.diff(edges)[:, None]
    distance = edges[:, None] - bins
    filters = np.maximum(0, np.minimum(-distance[:-2] / rise[:-1], distance[2:] / rise[1:])).astype(np.float32)
    filters *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters


def mel_frequencies(number: int, highest: float) -> np.ndarray:
    """Hertz at `number` even steps of Slaney's mel scale from 0 to `highest` hertz: float64 of shape (number,).

    >>> mel_frequencies(3, 2000.0).round(1).tolist()
    [0.0, 836.1, 2000.0]
    """
    break_mel = _BREAK / _LINEAR
    last = highest / _LINEAR if highest < _BREAK else break_mel + np.log(highest / _BREAK) / _STEP
    mels = np.linspace(0.0, last, number)
    hertz = _LINEAR * mels
    above = mels >= break_mel
    hertz[above] = _BREAK * np.exp(_STEP * (mels[above] - break_mel))
    return hertz


def decibels(power: Tensor, relative: bool = False) -> Tensor:
    """Power (B, ...) in dB, no lower than 80 below the loudest value of the utterance; `relative` to that value.

    So an utterance's values do not depend on the batch that it comes in.
    """
    level = 10 * torch.log10(power.clamp_min(SILENT))
    loudest = level.flatten(1).amax(1).reshape(-1, *[1] * (level.ndim - 1))
    level = torch.maximum(level, loudest - _TOP_DB)
    return level - loudest if relative else level


def cepstrum(mel_decibels: Tensor, coefficients: int) -> Tensor:
    """Mel-frequency cepstral coefficients, float32 of shape (B, K, T), from mel bands in dB (B, T, mels)."""
    return (mel_decibels @ _dct(mel_decibels.shape[-1], coefficients, mel_decibels.device)).transpose(1, 2)


def mel_bands(cepstra: Tensor, mels: int) -> Tensor:
    """The inverse of `cepstrum`: mel bands in dB, (B, mels, T), from K coefficients, (B, K, T).

    Exact where K is the number of bands, else smoothed along the frequency. Differentiable.
    """
    table = _dct(mels, cepstra.shape[1], cepstra.device).to(cepstra.dtype)
    return torch.einsum("mk,bkt->bmt", table, cepstra)


@lru_cache(maxsize=32)
def _dct(mels: int, coefficients: int, device: torch.device) -> Tensor:
    """Transposed orthonormal DCT-II, (mels, coefficients)."""
    position, order = np.arange(mels) + 0.5, np.arange(coefficients)
    table = np.cos(np.pi / mels * np.outer(position, order)) * math.sqrt(2 / mels)
    table[:, 0] /= math.sqrt(2)
    with torch.inference_mode(False):
        return torch.from_numpy(table).to(device, torch.float32)
