"""The one table from name to model."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ser_ops.config import MOST_PARAMETERS, Preset
from ser_ops.errors import UserError
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
    builder: Callable[[Preset, Standardisation | None, Any], EmotionModel]
    backbone: str = ""


def _backbone(section: str, preset: Preset, kept: Kept) -> Backbone | ImageBackbone | None:
    if section == "wav2vec":
        return wav2vec_checkpoint.backbone(preset.wav2vec, preset.features, kept)
    return image_checkpoint.backbone(section, getattr(preset, section), preset.image, kept) if section else None


MODELS: dict[str, Entry] = {
    "spectral": Entry("A", lambda preset, mean_std, backbone: SpectralModel(preset, mean_std)),
    "wav2vec": Entry("B", lambda preset, mean_std, backbone: Wav2VecModel(preset, backbone), "wav2vec"),
    "concat": Entry("C", lambda preset, mean_std, backbone: ConcatModel(preset, backbone, mean_std), "wav2vec"),
    "fusion": Entry("D", lambda preset, mean_std, backbone: FusionModel(preset, backbone, mean_std), "wav2vec"),
    "cnn": Entry("", lambda preset, mean_std, backbone: CNNModel(preset, mean_std)),
    "lstm": Entry("", lambda preset, mean_std, backbone: LSTMModel(preset, mean_std)),
    "cnn_lstm": Entry("", lambda preset, mean_std, backbone: CNNLSTMModel(preset, mean_std)),
    "vit": Entry("", lambda preset, mean_std, backbone: ViTModel(preset, backbone), "vit"),
    "beit": Entry("", lambda preset, mean_std, backbone: BEiTModel(preset, backbone), "beit"),
}


def build(name: str, preset: Preset, standardisation: Standardisation | None = None, seed: int = 0,
          backbone_config: Kept = None) -> EmotionModel:
    """A model of either paper in training mode, the same weights for the same seed.

    The global generator stays as it was. `standardisation` is {"mean": [...], "std": [...]}, a value per channel of
    what the model reads, used where the preset says so. With `backbone_config` the backbone is made by it, with
    random weights, and no checkpoint is looked for.
    Raises KeyError for an unknown name, UserError where the preset cannot be built or has too many parameters.

    >>> from ser_ops.config import load
    >>> model = build("fusion", load().presets["small"])
    >>> model.row, model.streams
    ('D', ('wav2vec', 'spectral'))
    """
    mean_std = standardisation if getattr(preset.input_of(name), "standardise", False) else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "weights", name))
        backbone = _backbone(MODELS[name].backbone, preset, backbone_config)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):   # drawn up without memory
            model = MODELS[name].builder(preset, mean_std, backbone)
        if (number := count(model)) > MOST_PARAMETERS:
            raise UserError(f"a {name} model by these settings has {number:,} parameters: at most {MOST_PARAMETERS:,}: "
                            "lower channels, maps, hidden or embedding, or the frames of a window")
        if torch.get_default_device().type != "meta":
            model = MODELS[name].builder(preset, mean_std, backbone)
    model.name = name
    return model


def count(model: nn.Module) -> int:
    """Number of parameters, frozen ones included.

    >>> count(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters())
