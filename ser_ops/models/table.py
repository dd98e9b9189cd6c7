"""The one table from name to model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ser_ops.config import Preset
from ser_ops.models.base import EmotionModel
from ser_ops.models.checkpoint import backbone
from ser_ops.models.concat import ConcatModel
from ser_ops.models.fusion import FusionModel
from ser_ops.models.spectral import SpectralModel
from ser_ops.models.wav2vec import Wav2VecModel
from ser_ops.seeds import derive

Standardisation = Mapping[str, Sequence[float]]


class Entry(NamedTuple):
    """A row of table VI and the builder of its model."""

    row: str
    builder: Callable[[Preset, Standardisation | None, Mapping[str, Any] | None], EmotionModel]


MODELS: dict[str, Entry] = {
    "spectral": Entry("A", lambda preset, mean_std, kept: SpectralModel(preset, mean_std)),
    "wav2vec": Entry("B", lambda preset, mean_std, kept: Wav2VecModel(
        preset, backbone(preset.wav2vec, preset.features, kept))),
    "concat": Entry("C", lambda preset, mean_std, kept: ConcatModel(
        preset, backbone(preset.wav2vec, preset.features, kept), mean_std)),
    "fusion": Entry("D", lambda preset, mean_std, kept: FusionModel(
        preset, backbone(preset.wav2vec, preset.features, kept), mean_std)),
}


def build(name: str, preset: Preset, standardisation: Standardisation | None = None, seed: int = 0,
          backbone_config: Mapping[str, Any] | None = None) -> EmotionModel:
    """A model of table VI in training mode, the same weights for the same seed; the global generator stays as it was.

    `standardisation` is {"mean": [...], "std": [...]} of 2 + K values each, used where the preset says so. With
    `backbone_config` the backbone is made by it, with random weights, and no checkpoint is looked for.
    Raises KeyError for an unknown name, UserError where the preset cannot be built.

    >>> from ser_ops.config import load
    >>> model = build("fusion", load().presets["small"])
    >>> model.row, model.streams
    ('D', ('wav2vec', 'spectral'))
    """
    mean_std = standardisation if preset.features.standardise else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "weights", name))
        model = MODELS[name].builder(preset, mean_std, backbone_config)
    model.name = name
    return model


def count(model: nn.Module) -> int:
    """Number of parameters, frozen ones included.

    >>> count(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters())
