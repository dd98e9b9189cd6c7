"""A model as a folder of two files: weights.safetensors and model.json. Nothing is ever unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ser_ops.config.model_json import FORMAT, MODEL_JSON, WEIGHTS, read_model_json
from ser_ops.config.models import Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing, sha256, write_json
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build, count
from ser_ops.models.base import EmotionModel, Standardise
from ser_ops.models.paper1 import LateFusion
from ser_ops.models.wav2vec_backbone import SAMPLE_RATE, Backbone, config_record
from ser_ops.models.wav2vec_network import Wav2VecSizes
from ser_ops.models.whisper_encoder import WhisperSizes
from ser_ops.terminal import printable

_DTYPES = {torch.float32: "F32", torch.int64: "I64"}    # as safetensors names them; no other stands in a model
_LONGEST_HEADER = 2**22     # bytes; a model of 128 layers has some 400,000
_OF_WEIGHTS = ("sample_rate", "standardisation", "parameters")     # what the weights settle and the card repeats


def save(folder: Path, model: EmotionModel, card: Mapping[str, Any]) -> None:
    """Write weights.safetensors and model.json; other files of the folder stay.

    `card` adds what the model cannot know (preset's name, training settings, data); what the model knows of itself
    comes first. Raises UserError when the disk is full.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as path:
        save_file(weights, path, metadata={"format": "pt"})
    facts = _facts(model)
    write_json(folder / MODEL_JSON, facts | dict(card) | facts | {
        "weights_sha256": sha256(folder / WEIGHTS)})


def load(folder: Path) -> tuple[EmotionModel, dict[str, Any]]:
    """The model in evaluation mode on the CPU, and its card (model.json). Downloads nothing.

    Raises UserError for a missing or damaged file, another format, an unknown model, or weights that are not this
    model's.
    """
    card = read_model_json(folder)
    weights = folder / WEIGHTS
    with torch.device("meta"):  # sizes in a card from outside cost no memory until the file bears them out
        skeleton = _skeleton(card, folder / MODEL_JSON)
        _check_weights(skeleton, weights, card)
        _run_backbone(skeleton, folder / MODEL_JSON)
    model = _skeleton(card, folder / MODEL_JSON)
    model.load_state_dict(load_file(weights))
    if damaged := [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]:
        raise UserError(f"{weights}: {len(damaged)} tensors hold NaN or infinity ({damaged[0]}): restore the folder, "
                        "or train the model again")
    facts = _facts(model)
    if other := [key for key in _OF_WEIGHTS if card[key] != facts[key]]:
        raise UserError(f"{folder / MODEL_JSON}: its {other[0]} is not that of the weights beside it: restore the "
                        "folder")
    return model.eval(), card


def _skeleton(card: Mapping[str, Any], path: Path) -> EmotionModel:
    """The model that a card describes, with random weights."""
    kept = (card["backbone_config"] or {}) if MODELS[card["model"]].backbone else {}
    try:
        return build(card["model"], Preset(**card["preset_settings"]), backbone_config=kept)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        raise _no_model(path, error) from error


def _run_backbone(skeleton: EmotionModel, path: Path) -> None:
    """One window through the backbone, without memory: only that shows some impossible configurations."""
    backbone = getattr(skeleton.eval(), "backbone", None)
    try:
        if isinstance(backbone, Backbone) and not isinstance(backbone.config, Wav2VecSizes | WhisperSizes):
            backbone.network(torch.zeros(1, round(skeleton.preset.features.seconds * SAMPLE_RATE)))
        elif backbone is not None and not isinstance(backbone, Backbone):
            backbone(torch.zeros(1, backbone.config.num_channels, *backbone.size))
    except Exception as error:
        raise _no_model(path, error) from error


def _no_model(path: Path, error: Exception) -> UserError:
    """Of a configuration of the transformers library, which may hold anything and raise anything."""
    said = printable(" ".join(str(error).split())[:160])
    return UserError(f"{path}: makes no model ({said}): restore the folder")


def _check_weights(model: EmotionModel, path: Path, card: Mapping[str, Any]) -> None:
    """The file's names, shapes and dtypes against the model's, before a tensor is read."""
    if not path.is_file():
        raise UserError(f"{path}: missing or not a file: restore the folder (weights are read from safetensors alone)")
    try:
        with path.open("rb") as header:
            if int.from_bytes(header.read(8), "little") > _LONGEST_HEADER:
                raise UserError(f"{path}: not a safetensors file (its header is too long): restore the folder")
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            shapes = {name: tuple(tensor.get_shape()) for name, tensor in slices.items()}
            dtypes = {name: tensor.get_dtype() for name, tensor in slices.items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a safetensors file ({printable(str(error))}): restore the folder") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wrong = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
    if wrong:
        name = wrong[0]
        raise UserError(f"{path}: {len(wrong)} tensors are not those of a {card['model']} model ({name}: expected "
                        f"{expected.get(name, 'none')}, found {shapes.get(name, 'none')}): restore the folder")
    for name, tensor in model.state_dict().items():
        if dtypes[name] != _DTYPES.get(tensor.dtype):
            raise UserError(f"{path}: {name} is of type {dtypes[name]}, not {_DTYPES.get(tensor.dtype, 'F32')}: "
                            "restore the folder")
    if card.get("weights_sha256") is not None and sha256(path) != card["weights_sha256"]:
        raise UserError(f"{path}: not the weights that model.json was written for: restore both, or train again")


def _facts(model: EmotionModel) -> dict[str, Any]:
    """What model.json says of the model itself."""
    standardise = next((part for part in model.modules() if isinstance(part, Standardise)), None)
    backbone, revision = _backbone_source(model)
    return {
        "format": FORMAT,
        "model": model.name,
        "emotions": list(EMOTIONS),
        "sample_rate": SAMPLE_RATE,
        "preset_settings": model.preset.model_dump(mode="json"),
        "standardisation": standardise and {"mean": standardise.mean.tolist(), "std": standardise.std.tolist()},
        "backbone": backbone,
        "backbone_revision": revision,
        "backbone_config": config_record(model.backbone.config) if MODELS[model.name].backbone else None,
        "parameters": count(model),
        "stream_weights": _stream_weights(model),
    }


def _stream_weights(model: EmotionModel) -> dict[str, float] | None:
    """How much each stream of a late fusion counts; None for another model."""
    fusion = next((part for part in model.modules() if isinstance(part, LateFusion)), None)
    return None if fusion is None else dict(zip(fusion.streams, fusion.weights.tolist(), strict=True))


def _backbone_source(model: EmotionModel) -> tuple[str, str | None]:
    """Where the backbone's weights came from, in words, and the revision of its checkpoint."""
    section = MODELS[model.name].backbone
    if not section:
        return "none, this model has no pretrained part", None
    settings = getattr(model.preset, section)
    if not settings.checkpoint:
        return "random weights, small configuration", None
    return f"checkpoint {settings.checkpoint}", settings.revision
