"""A tiny model and made-up examples, so that the loop is tested for what the loop does."""

import hashlib

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from ser_ops.config.training import Training
from ser_ops.dataset.examples import Examples, Stores
from ser_ops.emotions import EMOTIONS
from ser_ops.manifest import VariantRow

LENGTH, SHAPE = 400, (4, 10)


class Tiny(nn.Module):
    """Reads both inputs; BatchNorm, dropout, and a NumPy draw in training, as Wav2Vec2's masking makes one.

    `plain` has none of them: what an example yields does not depend on the others of its batch.
    """

    def __init__(self, seed: int = 0, dropout: float = 0.1, plain: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.plain, dropout = plain, 0.0 if plain else dropout
        norm = nn.Identity() if plain else nn.BatchNorm1d(16)
        self.spectral = nn.Sequential(nn.Conv1d(SHAPE[0], 16, 3, padding=1), norm, nn.ReLU(),
                                      nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.raw = nn.Linear(LENGTH, 8)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(24, len(EMOTIONS)))
        self.never_used = nn.Parameter(torch.zeros(3))

    def forward(self, waveform, valid, features):
        raw = self.raw(waveform)
        if self.training and not self.plain:
            raw = raw * float(np.random.rand() < 0.9)
        return self.head(torch.cat([self.spectral(features), raw], 1))

    def parameter_groups(self, learning_rate, backbone_learning_rate):
        rest = [parameter for name, parameter in self.named_parameters() if not name.startswith("raw")]
        return [{"params": rest, "lr": learning_rate},
                {"params": list(self.raw.parameters()), "lr": backbone_learning_rate}]


def examples(per_class: int, seed: int = 1, noise: float = 1.0, variants: tuple[str, ...] = ("original",),
             partition: str = "train") -> Examples:
    """`per_class` utterances of each emotion; its features carry the class under noise."""
    random, rows = np.random.default_rng(seed), []
    patterns = np.random.default_rng(0).normal(size=(len(EMOTIONS), SHAPE[0], 1))
    originals, others, features = {}, {}, {}
    for index in range(per_class * len(EMOTIONS)):
        label = index % len(EMOTIONS)
        name = f"made/{partition}-{index}"
        for variant in variants:
            row = VariantRow(f"{name}#{variant}", name, variant, partition, EMOTIONS[label], "made/1", "made",
                             noise_category="rain" if "noisy" in variant else "")
            samples = random.normal(size=random.integers(LENGTH // 2, LENGTH * 2)).astype(np.float32)
            (originals if variant == "original" else others)[name if variant == "original" else row.row] = samples
            features[row.row] = (patterns[label] + noise * random.normal(size=SHAPE)).astype(np.float32)
            rows.append(row)
    return Examples(rows, Stores(originals, others, features), LENGTH)


def bits(state) -> str:
    """SHA-256 of all weights: the same for the same bits, and short when pytest shows what differs."""
    return hashlib.sha256(save(dict(state))).hexdigest()


def settings(**values) -> Training:
    """Settings of a training that takes a moment."""
    return Training(**{
        "seed": 3, "epochs": 5, "patience": 5, "batch_size": 16, "accumulate": 1, "length_buckets": 1,
        "learning_rate": 0.01, "backbone_learning_rate": 0.001, "weight_decay": 0.01, "warmup": 0.1,
        "label_smoothing": 0.05, "mixup": 0.0, "mixup_share": 0.5, "class_weights": True, "gradient_clip": 1.0,
        "precision": "float32", "keep": "best", **values})
