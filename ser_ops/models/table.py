"""The one table from name to model."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ser_ops.config import Preset
from ser_ops.models import image_checkpoint, wav2vec_checkpoint
from ser_ops.models.backbone import Backbone
from ser_ops.models.base import EmotionModel
from ser_ops.models.cnn import CNNModel
from ser_ops.models.cnn_lstm import CNNLSTMModel
from ser_ops.models.concat import ConcatModel
from ser_ops.models.fusion import FusionModel
from ser_ops.models.image_backbone import ImageBackbone
from ser_ops.models.image_transformer import BEiTModel, ViTModel
from ser_ops.models.lstm import LSTMModel
from ser_ops.models.spectral import SpectralModel
from ser_ops.models.standardise import Standardisation
from ser_ops.models.wav2vec import Wav2VecModel
from ser_ops.seeds import derive

Kept = Mapping[str, Any] | None


class Entry(NamedTuple):
    """A model: its row of paper 1's table VI, "" for paper 2's; its builder; the preset's section of its backbone.

    The backbone is what a checkpoint can stand behind; "" for a model without.
    """

    row: str
    builder: Callable[[Preset, Standardisation | None, Kept], EmotionModel]
    backbone: str = ""


def _wav2vec(preset: Preset, kept: Kept) -> Backbone:
    return wav2vec_checkpoint.backbone(preset.wav2vec, preset.features, kept)


def _image(family: str, preset: Preset, kept: Kept) -> ImageBackbone:
    return image_checkpoint.backbone(family, getattr(preset, family), preset.image, kept)


MODELS: dict[str, Entry] = {
    "spectral": Entry("A", lambda preset, mean_std, kept: SpectralModel(preset, mean_std)),
    "wav2vec": Entry("B", lambda preset, mean_std, kept: Wav2VecModel(preset, _wav2vec(preset, kept)), "wav2vec"),
    "concat": Entry("C", lambda preset, mean_std, kept: ConcatModel(
        preset, _wav2vec(preset, kept), mean_std), "wav2vec"),
    "fusion": Entry("D", lambda preset, mean_std, kept: FusionModel(
        preset, _wav2vec(preset, kept), mean_std), "wav2vec"),
    "cnn": Entry("", lambda preset, mean_std, kept: CNNModel(preset, mean_std)),
    "lstm": Entry("", lambda preset, mean_std, kept: LSTMModel(preset, mean_std)),
    "cnn_lstm": Entry("", lambda preset, mean_std, kept: CNNLSTMModel(preset, mean_std)),
    "vit": Entry("", lambda preset, mean_std, kept: ViTModel(preset, _image("vit", preset, kept)), "vit"),
    "beit": Entry("", lambda preset, mean_std, kept: BEiTModel(preset, _image("beit", preset, kept)), "beit"),
}


def build(name: str, preset: Preset, standardisation: Standardisation | None = None, seed: int = 0,
          backbone_config: Kept = None) -> EmotionModel:
    """A model of either paper in training mode, the same weights for the same seed.

    The global generator stays as it was. `standardisation` is {"mean": [...], "std": [...]}, a value per channel of
    what the model reads, used where the preset says so. With `backbone_config` the backbone is made by it, with
    random weights, and no checkpoint is looked for.
    Raises KeyError for an unknown name, UserError where the preset cannot be built.

    >>> from ser_ops.config import load
    >>> model = build("fusion", load().presets["small"])
    >>> model.row, model.streams
    ('D', ('wav2vec', 'spectral'))
    """
    mean_std = standardisation if getattr(preset.input_of(name), "standardise", False) else None
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
