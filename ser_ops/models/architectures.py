"""From the name of a model to its network."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from ser_ops.config import MOST_PARAMETERS, Preset
from ser_ops.errors import UserError
from ser_ops.model_table import MODELS
from ser_ops.models import wav2vec_backbone
from ser_ops.models.base import EmotionModel, Standardisation
from ser_ops.seeds import derive

Kept = Mapping[str, Any] | None
_NETWORKS = "ser_ops.models"     # the package in which the table's files lie


def _backbone(section: str, preset: Preset, kept: Kept) -> nn.Module:
    if section == "wav2vec":
        return wav2vec_backbone.backbone(preset.wav2vec, preset.features, kept)
    from ser_ops.models import image_transformers  # brings the transformers library, which takes seconds
    return image_transformers.backbone(section, getattr(preset, section), preset.image, kept)


def network(name: str) -> type[EmotionModel]:
    """The class of a model; its file is loaded now. Raises UserError for a name that is not in the table."""
    if name not in MODELS:
        raise UserError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")
    module, _, class_name = MODELS[name].network.partition(":")
    return getattr(import_module(f"{_NETWORKS}.{module}"), class_name)


def build(name: str, preset: Preset, standardisation: Standardisation | None = None, seed: int = 0,
          backbone_config: Kept = None) -> EmotionModel:
    """A model of either paper in training mode, the same weights for the same seed.

    The global generator stays as it was. `standardisation` is {"mean": [...], "std": [...]}, a value per channel of
    what the model reads, used where the preset says so. With `backbone_config` the backbone is made by it, with
    random weights, and no checkpoint is looked for.
    Raises UserError for an unknown name, and where the preset cannot be built or has too many parameters.

    >>> from ser_ops.config import load
    >>> model = build("fusion", load().presets["small"])
    >>> model.row, model.streams
    ('D', ('wav2vec', 'spectral'))
    """
    made, described, parts = network(name), MODELS[name], dict[str, Any]()
    if described.standardised:
        parts["standardisation"] = standardisation if getattr(preset.input_of(name), "standardise", False) else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "weights", name))
        if described.backbone:
            parts["backbone"] = _backbone(described.backbone, preset, backbone_config)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):   # drawn up without memory
            model = made(preset, **parts)
        if (number := count(model)) > MOST_PARAMETERS:
            raise UserError(f"a {name} model by these settings has {number:,} parameters: at most {MOST_PARAMETERS:,}: "
                            "lower channels, maps, hidden or embedding, or the frames of a window")
        if torch.get_default_device().type != "meta":
            model = made(preset, **parts)
    return model


def count(model: nn.Module) -> int:
    """Number of parameters, frozen ones included.

    >>> count(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters())
