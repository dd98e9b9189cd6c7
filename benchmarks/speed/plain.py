"""What a user would write: a Dataset that reads a file and computes its features item by item, a DataLoader, a loop."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ser_ops.audio.signal import without_offset
from ser_ops.config.models import Features, MelImage, Stacked, Window
from ser_ops.errors import UserError
from ser_ops.models.base import member_examples

Item = tuple[Tensor, Tensor, Tensor, int]


class Clips(Dataset[Item]):
    """Files to windows at `rate` hertz and their features by librosa, one item at a time.

    settings: what is computed; None for a model that reads waveforms alone.
    """

    def __init__(self, files: Sequence[Path], labels: Sequence[int], seconds: float, rate: int,
                 settings: Window | None) -> None:
        self.files, self.labels, self.rate, self.settings = files, labels, rate, settings
        self.length = round(seconds * rate)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Item:
        samples = without_offset(librosa.load(self.files[index], sr=self.rate, mono=True)[0], self.rate)
        start = max(0, (len(samples) - self.length) // 2)
        samples = samples[start:start + self.length]
        valid = len(samples)
        samples = librosa.util.fix_length(samples, size=self.length)
        features = np.empty(0, np.float32) if self.settings is None else described(samples, self.settings)
        return (torch.from_numpy(samples), torch.tensor(valid), torch.from_numpy(features.astype(np.float32)),
                self.labels[index])


def described(samples: np.ndarray, settings: Window) -> np.ndarray:
    """The features of one window by librosa: (rows, T)."""
    spectrum: dict[str, Any] = {"sr": settings.sample_rate, "n_fft": settings.frame, "hop_length": settings.hop}
    match settings:
        case Stacked():
            mel = librosa.feature.melspectrogram(y=samples, n_mels=settings.mels, **spectrum)
            return np.concatenate([
                librosa.feature.mfcc(y=samples, n_mfcc=settings.mfcc, n_mels=settings.mels, **spectrum),
                librosa.feature.chroma_stft(y=samples, **spectrum),
                mel if settings.mel_scale == "power" else librosa.power_to_db(mel),
                librosa.feature.spectral_contrast(y=samples, **spectrum)])
        case MelImage():
            mel = librosa.feature.melspectrogram(y=samples, n_mels=settings.mels, **spectrum)
            return librosa.power_to_db(mel, ref=np.max)
        case Features(layout="frames"):
            return _spectral(samples, settings)
    raise UserError("benchmarks.speed reads features in frames alone: choose a preset whose layout is frames")


def _spectral(samples: np.ndarray, settings: Features) -> np.ndarray:
    if settings.level == "same":
        samples = samples * (0.05 / max(1e-10, math.sqrt(float(np.mean(samples**2)))))
    frames: dict[str, Any] = {"frame_length": settings.frame, "hop_length": settings.hop}
    rows = np.concatenate([
        librosa.feature.zero_crossing_rate(samples, **frames), librosa.feature.rms(y=samples, **frames),
        librosa.feature.mfcc(y=samples, sr=settings.sample_rate, n_mfcc=settings.mfcc, n_fft=settings.frame,
                             hop_length=settings.hop, n_mels=settings.mels)])
    return rows - rows.mean(1, keepdims=True) if settings.centre else rows


def epoch(model: nn.Module, train: Clips, held: Clips, batch_size: int, rate: float) -> float:
    """One epoch and a pass over the validation items; the share of them that is right."""
    optimiser, loss = torch.optim.AdamW(model.parameters(), lr=rate), nn.CrossEntropyLoss()
    model.train()
    for waveform, valid, features, labels in DataLoader(train, batch_size, shuffle=True):
        optimiser.zero_grad()
        loss(*member_examples(model(waveform, valid, features), labels)).backward()
        optimiser.step()
    right = torch.cat(answers(model, held, batch_size)).argmax(1) == torch.tensor(held.labels)
    return float(right.float().mean())


@torch.no_grad()
def answers(model: nn.Module, clips: Clips, batch_size: int) -> list[Tensor]:
    """Probabilities of all clips, a tensor (b, 7) for each batch."""
    model.eval()
    return [model(waveform, valid, features).softmax(1)
            for waveform, valid, features, _ in DataLoader(clips, batch_size)]
