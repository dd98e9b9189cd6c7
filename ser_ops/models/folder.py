"""A model as a folder of two files: weights.safetensors and model.json. Nothing is ever unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ser_ops.config import READS, Preset, Window
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing, sha256, write_json
from ser_ops.models.base import EmotionModel
from ser_ops.models.checkpoint import config_dict
from ser_ops.models.standardise import Standardise
from ser_ops.models.table import MODELS, build, count
from ser_ops.models.wav2vec_checkpoint import SAMPLE_RATE

FORMAT = 4


def _origin(model: EmotionModel) -> str:
    """Where the backbone came from, in words."""
    section = MODELS[model.name].backbone
    if not section:
        return "none, this model has no pretrained part"
    checkpoint = getattr(model.preset, section).checkpoint
    return f"checkpoint {checkpoint}" if checkpoint else "random weights, small configuration"


def _own(model: EmotionModel) -> dict[str, Any]:
    """What model.json says of the model itself."""
    standardise = next((part for part in model.modules() if isinstance(part, Standardise)), None)
    return {
        "format": FORMAT,
        "model": model.name,
        "emotions": list(EMOTIONS),
        "sample_rate": SAMPLE_RATE,
        "preset_settings": model.preset.model_dump(mode="json"),
        "standardisation": standardise and {"mean": standardise.mean.tolist(), "std": standardise.std.tolist()},
        "backbone": _origin(model),
        "backbone_config": config_dict(model.backbone.config) if MODELS[model.name].backbone else None,
        "parameters": count(model),
    }


def save(folder: Path, model: EmotionModel, card: Mapping[str, Any]) -> None:
    """Write weights.safetensors and model.json; other files of the folder stay.

    `card` adds what the model cannot know (preset's name, training settings, data); what the model knows of itself
    has the last word. Raises UserError when the disk is full.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(folder / "weights.safetensors") as path:
        save_file(weights, path, metadata={"format": "pt"})
    write_json(folder / "model.json", {**_own(model), **dict(card), **_own(model),
                                       "weights_sha256": sha256(folder / "weights.safetensors")})


def load(folder: Path) -> tuple[EmotionModel, dict[str, Any]]:
    """The model in evaluation mode on the CPU, and its card (model.json). Downloads nothing.

    Raises UserError for a missing or damaged file, another format, an unknown model, or weights that are not this
    model's.
    """
    card = read_json(folder / "model.json")
    weights = folder / "weights.safetensors"
    with torch.device("meta"):  # sizes in a card from outside cost no memory until the file bears them out
        _check(_skeleton(card, folder / "model.json"), weights, card)
    model = _skeleton(card, folder / "model.json")
    model.load_state_dict(load_file(weights))
    return model.eval(), card


def input_of(card: Mapping[str, Any]) -> Window:
    """What the model of a card (model.json) reads: the section of its preset, with its window."""
    section = READS[card["model"]]
    return Preset.model_fields[section].annotation(**card["preset_settings"][section])  # type: ignore[misc]


def _skeleton(card: Any, path: Path) -> EmotionModel:
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        version = card.get("format") if isinstance(card, dict) else None
        raise UserError(f"{path}: format {version!r}, this version reads {FORMAT}: train the model again, or read it "
                        "with the version of ser-ops that wrote it")
    if card.get("model") not in MODELS:
        raise UserError(f"{path}: unknown model {card.get('model')!r}: expected one of {', '.join(MODELS)}")
    if card.get("emotions") != list(EMOTIONS):
        raise UserError(f"{path}: its emotions are not {', '.join(EMOTIONS)}: train the model again")
    try:
        preset = Preset(**card["preset_settings"])
        kept = dict(card["backbone_config"]) if MODELS[card["model"]].backbone else {}
    except (KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: preset_settings or backbone_config missing or not this version's: restore the "
                        "folder, or train the model again") from error
    try:
        return build(card["model"], preset, backbone_config=kept)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check(model: EmotionModel, path: Path, card: Mapping[str, Any]) -> None:
    """The file's names, shapes and dtypes against the model's, before a tensor is read."""
    if not path.is_file():
        raise UserError(f"{path}: missing: restore the folder (weights are read from safetensors alone)")
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            found = {name: tuple(one.get_shape()) for name, one in slices.items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a safetensors file ({error}): restore the folder") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise UserError(f"{path}: {len(wrong)} tensors are not those of a {card['model']} model ({name}: expected "
                        f"{expected.get(name, 'none')}, found {found.get(name, 'none')}): restore the folder")
    if "weights_sha256" in card and sha256(path) != card["weights_sha256"]:
        raise UserError(f"{path}: not the weights that model.json was written for: restore both, or train again")
