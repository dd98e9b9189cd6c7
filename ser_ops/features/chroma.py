"""Chroma of a batch: how strong each of the twelve pitch classes is, by librosa's chroma_stft."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ser_ops.config import Window
from ser_ops.features.rows import CHROMA
from ser_ops.features.tuning import STEPS, tuning_step


@lru_cache(maxsize=8)
def _filters(sample_rate: int, frame: int, device: torch.device) -> Tensor:
    """Transposed filters of every tuning, (STEPS, bins, 12)."""
    # librosa's to the bit, without numba, whose first use may not be in several processes at once (numba issue 10128).
    from transformers.audio_utils import chroma_filter_bank  # here, because it takes half a second to import
    tunings = np.linspace(-0.5, 0.5, STEPS + 1)[:STEPS]
    tables = [chroma_filter_bank(frame, CHROMA, sample_rate, tuning=tuning).T for tuning in tunings]
    with torch.inference_mode(False):
        return torch.from_numpy(np.stack(tables).astype(np.float32)).to(device)


def chroma(power: Tensor, settings: Window) -> Tensor:
    """Chroma, float32 of shape (B, 12, T) in [0, 1], C first, from the power spectrum (B, T, bins).

    Each utterance by its own tuning; each frame relative to its strongest pitch class, a silent frame all zeros.
    """
    filters = _filters(settings.sample_rate, settings.frame, power.device)[tuning_step(power, settings)]
    strength = power @ filters
    strongest = strength.amax(-1, keepdim=True)
    silent = strongest < torch.finfo(strength.dtype).tiny
    return (strength / torch.where(silent, 1, strongest)).transpose(1, 2)
