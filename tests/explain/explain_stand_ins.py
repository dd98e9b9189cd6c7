"""A small model with the interface of ser_ops.models, and examples in memory."""

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops import config
from ser_ops.dataset import Examples, Row, Stores
from ser_ops.emotions import EMOTIONS
from ser_ops.features import shape_of
from ser_ops.seeds import generator

RATE = 16000


def features(layout: str = "frames") -> config.Features:
    """Half a second, ten coefficients: 16 frames of 12 kinds."""
    return config.Features(sample_rate=RATE, seconds=0.5, frame=1024, hop=512, mfcc=10, layout=layout, standardise=True)


def explain_settings(**changes: int) -> config.Explain:
    return config.Explain(**{"seed": 1, "per_class": 1, "background": 4, "shap_samples": 20, "top": 5,
                             "batch_size": 8} | changes)


class Spectral(nn.Module):
    """Two convolutions over time; the serial layout is one long channel."""

    def __init__(self, settings: config.Features) -> None:
        super().__init__()
        self.serial = settings.layout == "serial"
        self.first = nn.Conv1d(1 if self.serial else 2 + settings.mfcc, 8, 3, padding=1)
        self.last_convolution = nn.Conv1d(8, 6, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        values = values[:, None] if self.serial else values
        pooled = nn.functional.max_pool1d(torch.relu(self.first(values)), 2)
        return torch.relu(self.last_convolution(pooled)).flatten(1)


class StandIn(nn.Module):
    """Fusion of a mean over the waveform and the small spectral stream."""

    def __init__(self, settings: config.Features, streams: tuple[str, ...] = ("wav2vec", "spectral")) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.streams = streams
        self.contexts = 0
        if "wav2vec" in streams:
            self.heard = nn.Linear(4, 5)
        if "spectral" in streams:
            self.spectral = Spectral(settings)
        self.head = nn.LazyLinear(len(EMOTIONS))
        self(torch.zeros(1, RATE // 2), torch.tensor([RATE // 2]), torch.zeros(1, *shape_of(settings)))

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        self.contexts += 1
        if "wav2vec" not in self.streams:
            return waveform.new_zeros(len(waveform), 0)
        return self.heard(waveform.reshape(len(waveform), 4, -1).abs().mean(-1))

    def classify(self, context: Tensor, values: Tensor) -> Tensor:
        return self.head(torch.cat([context, self.spectral(values)], 1) if "spectral" in self.streams else context)

    def spectral_layer(self) -> nn.Module:
        return self.spectral.last_convolution

    def forward(self, waveform: Tensor, valid: Tensor, values: Tensor) -> Tensor:
        return self.classify(self.context(waveform, valid), values)


def examples(settings: config.Features, partition: str, per_class: int = 2) -> Examples:
    """Utterances of 0.3 to 0.7 s, with features that are noise."""
    rows, waves, values = [], {}, {}
    for emotion in EMOTIONS:
        for number in range(per_class):
            name = f"made/{partition}_{emotion}_{number}"
            random = generator(1, name)
            rows.append(Row(f"{name}#original", name, "original", partition, emotion, "made/1", "made"))
            waves[name] = random.normal(0, 0.1, int(RATE * random.uniform(0.3, 0.7))).astype(np.float32)
            values[rows[-1].row] = random.normal(size=shape_of(settings)).astype(np.float32)
    return Examples(rows, Stores(waves, {}, values), RATE // 2)
