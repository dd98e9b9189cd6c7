"""ZCR, RMS and MFCC of a batch of waveforms, by librosa's definitions.

Paper 1 prints equations 13, 18 and 19 that differ from librosa in detail; librosa's definitions hold. Frames are
centred: frame t looks at the `frame` samples around sample t * hop, so that N samples have N // hop + 1 frames.
Every function takes float32 of shape (B, N) at settings.sample_rate hertz, on any device, and stays there.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser_ops.config import Features

MELS = 128
_SILENT = 1e-10     # librosa: a sample of this magnitude has no sign, a band of this power is the quietest
_TOP_DB = 80.0


def _frames(waveforms: Tensor, settings: Features) -> Tensor:
    half = settings.frame // 2
    return functional.pad(waveforms, (half, half)).unfold(-1, settings.frame, settings.hop)


@lru_cache(maxsize=32)
def _tables(settings: Features, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Hann window (frame,), transposed mel filters (bins, MELS), transposed orthonormal DCT-II (MELS, K)."""
    from librosa.filters import mel  # here, because it takes a second to import

    position, order = np.arange(MELS) + 0.5, np.arange(settings.mfcc)
    dct = np.cos(np.pi / MELS * np.outer(position, order)) * math.sqrt(2 / MELS)
    dct[:, 0] /= math.sqrt(2)
    filters = mel(sr=settings.sample_rate, n_fft=settings.frame, n_mels=MELS)
    with torch.inference_mode(False):
        return (torch.hann_window(settings.frame, dtype=torch.float64).to(device, torch.float32),
                torch.from_numpy(filters.T.copy()).to(device),
                torch.from_numpy(dct).to(device, torch.float32))


def zcr(waveforms: Tensor, settings: Features) -> Tensor:
    """Zero-crossing rate (equation 13): the share of a frame's samples whose sign differs from the one before.

    Returns float32 of shape (B, T) in [0, 1]. Zero counts as positive; edges are padded with the edge value.

    >>> settings = Features(sample_rate=16000, seconds=0.1, frame=4, hop=4, mfcc=1, layout="frames", standardise=True)
    >>> zcr(torch.tensor([[1., -1., 1., -1., 1., 1., 1., 1.]]), settings)
    tensor([[0.2500, 0.5000, 0.0000]])
    """
    half = settings.frame // 2
    negative = functional.pad(waveforms[:, None], (half, half), mode="replicate")[:, 0] < -_SILENT
    crossings = functional.pad((negative[:, 1:] != negative[:, :-1]).cumsum(-1), (1, 0))
    ends = crossings.unfold(-1, settings.frame, settings.hop)
    return (ends[..., -1] - ends[..., 0]).to(waveforms.dtype) / settings.frame


def rms(waveforms: Tensor, settings: Features) -> Tensor:
    """Root mean square of each frame (equation 14), float32 of shape (B, T), at least 0; edges are padded with zeros.

    >>> settings = Features(sample_rate=16000, seconds=0.1, frame=4, hop=4, mfcc=1, layout="frames", standardise=True)
    >>> rms(torch.full((1, 8), 0.5), settings)
    tensor([[0.3536, 0.5000, 0.3536]])
    """
    return torch.linalg.vector_norm(_frames(waveforms, settings), dim=-1) / math.sqrt(settings.frame)


def mfcc(waveforms: Tensor, settings: Features) -> Tensor:
    """Mel-frequency cepstral coefficients (equations 15 to 19), float32 of shape (B, K, T).

    Hann window, power spectrum, 128 Slaney mel bands, decibels no lower than 80 below the loudest of the utterance
    (so that an utterance's features do not depend on the batch it comes in), orthonormal DCT-II.
    """
    window, filters, dct = _tables(settings, waveforms.device)
    spectrum = torch.fft.rfft(_frames(waveforms, settings) * window)
    power = spectrum.real.square() + spectrum.imag.square()
    decibels = 10 * torch.log10((power @ filters).clamp_min(_SILENT))
    decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - _TOP_DB)
    return (decibels @ dct).transpose(1, 2)
