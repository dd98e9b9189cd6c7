"""From the name of a model to its network."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from ser_ops.config.models import Features, Preset, Wav2Vec
from ser_ops.config.section import MOST_PARAMETERS
from ser_ops.errors import UserError
from ser_ops.features.standardise import Standardisation
from ser_ops.model_table import MODELS
from ser_ops.models import wav2vec_backbone, whisper_backbone, whisper_encoder
from ser_ops.models.base import EmotionModel
from ser_ops.models.checkpoint import family, origin
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.seeds import derive_seed

Kept = Mapping[str, Any] | None
_PACKAGE = "ser_ops.models"     # in which the table's modules lie


def build(name: str, preset: Preset, standardisation: Standardisation | None = None, seed: int = 0,
          backbone_config: Kept = None) -> EmotionModel:
    """A model of either paper in training mode, the same weights for the same seed.

    The global generator stays as it was. `standardisation` is {"mean": [...], "std": [...]}, a value per channel of
    what the model reads, used where the preset says so. With `backbone_config` the backbone is made by it, with
    random weights, and no checkpoint is looked for.
    Raises UserError for an unknown name, and where the preset cannot be built or has too many parameters.

    >>> from ser_ops.config.params import load_params, load_preset
    >>> model = build("fusion", load_preset("small"))
    >>> model.row, model.streams
    ('D', ('wav2vec', 'spectral'))
    """
    network_class, entry, arguments = network(name), MODELS[name], dict[str, Any]()
    if entry.standardised:
        wanted = getattr(preset.input_of(name), "standardise", False)
        arguments["standardisation"] = standardisation if wanted else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "weights", name))
        if entry.backbone:
            arguments["backbone"] = _backbone(entry.backbone, preset, backbone_config)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):   # counted before memory is asked for
            model = network_class(preset, **arguments)
        if (number := count(model)) > MOST_PARAMETERS:
            raise UserError(f"a {name} model by these settings has {number:,} parameters: at most {MOST_PARAMETERS:,}: "
                            "lower channels, maps, hidden or embedding, or the frames of a window")
        if torch.get_default_device().type != "meta":
            model = network_class(preset, **arguments)
    return model


def network(name: str) -> type[EmotionModel]:
    """The class of a model, whose module is imported now. Raises UserError for a name that is not in the table."""
    if name not in MODELS:
        raise UserError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")
    module, _, class_name = MODELS[name].network.partition(":")
    return getattr(import_module(f"{_PACKAGE}.{module}"), class_name)


def speech_backbone(settings: Wav2Vec, features: Features, kept: Kept = None) -> Backbone:
    """The stream over the waveform, of whichever family its checkpoint or its kept configuration is.

    Raises UserError as `wav2vec_backbone.backbone` and `whisper_backbone.pretrained` do.
    """
    if kept is not None and kept.get("model_type") == whisper_encoder.MODEL_TYPE:
        return whisper_backbone.kept(kept, settings, features)
    if kept is not None or settings.checkpoint is None:
        return wav2vec_backbone.backbone(settings, features, kept)
    source = origin(settings.checkpoint, settings.revision, "wav2vec")
    if family(settings.checkpoint, source) in whisper_backbone.FAMILY:
        return whisper_backbone.pretrained(settings.checkpoint, source, settings, features)
    return wav2vec_backbone.backbone(settings, features, source=source)


def _backbone(section: str, preset: Preset, kept: Kept) -> nn.Module:
    if section == "wav2vec":
        return speech_backbone(preset.wav2vec, preset.features, kept)
    from ser_ops.models import image_transformers  # brings the transformers library, which takes seconds
    return image_transformers.backbone(section, getattr(preset, section), preset.image, kept)


def count(model: nn.Module) -> int:
    """Number of parameters, frozen ones included.

    >>> count(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters())
