"""model.json: what a model folder says of itself, checked before anybody relies on it."""

import hashlib
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ser_ops.config.models import Preset, Window
from ser_ops.config.section import MOST_PARAMETERS, ModelName
from ser_ops.config.services import Predict
from ser_ops.documents import read_json, validated_model
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.model_table import MODELS

FORMAT = 4
MODEL_JSON = "model.json"
WEIGHTS = "weights.safetensors"     # beside it
GRAPH = "model.onnx"        # beside it, where the model was exported
SCHEMES = ("models:/", "runs:/")     # of a model's address in a registry; anything else is a folder
REFERENCE = "reference.parquet"     # in a packaged model: what `ser-ops watch` compares with
LACKING = "lacking.json"    # beside the folders of models: those that were left out, with why
_RESTORE = "restore the folder, or train the model again"
_Channels = Annotated[list[float], Field(max_length=1024)]
_Scores = Annotated[list[Annotated[int, Field(ge=0, le=10_000)]], Field(max_length=2**20)]


class _Part(BaseModel):
    """What others added to it stays and is not judged."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Standardisation(_Part):
    mean: _Channels
    std: _Channels


class _Data(_Part):
    corpora: list[str] = []
    synthetic: list[str] | bool = []
    partial: list[str] = []
    protocol: str | None = None
    licences: dict[str, str] = {}


class _ModelJson(_Part):
    model: ModelName
    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    preset_settings: Annotated[Preset, Field(strict=False)]
    standardisation: _Standardisation | None
    backbone: str
    backbone_revision: str | None = None
    backbone_config: dict[str, Any] | None
    parameters: Annotated[int, Field(ge=1, le=MOST_PARAMETERS)]
    stream_weights: dict[str, float] | None = None
    weights_sha256: str | None = None
    preset: str = "unknown"
    training: dict[str, Any] = {}
    shuffled_labels: bool = False
    best_epoch: int | None = None
    validation_uar: float | None = None
    validation_clean_uar: float | None = None
    validation_noisy_uar: float | None = None
    temperature: float = 1.0
    predict: Annotated[Predict, Field(strict=False)] = Predict()
    speech_sha256: str | None = None
    onnx_sha256: str | None = None
    exported_from: str | None = None
    conformal_scores: _Scores | None = None
    data: _Data = _Data()


def read_model_json(folder: Path) -> dict[str, Any]:
    """The content of a model folder's model.json, with the type of every value that is used checked.

    Raises UserError in one line where it is missing, of another format or model, or where a value is out of range.
    """
    path = folder / MODEL_JSON
    card = read_json(path, "train the model, or name a folder that holds one")
    version = card.get("format") if isinstance(card, dict) else None
    if not isinstance(version, int) or version != FORMAT:
        raise UserError(f"{path}: format {reprlib.repr(version)}, this version reads {FORMAT}: train the model again, "
                        "or read it with the version of ser-ops that wrote it")
    if card.get("model") not in list(MODELS):
        raise UserError(f"{path}: unknown model {reprlib.repr(card.get('model'))}: expected one of {', '.join(MODELS)}")
    if card.get("emotions") != list(EMOTIONS):
        raise UserError(f"{path}: its emotions are not {', '.join(EMOTIONS)}: train the model again")
    validated_model(_ModelJson, card, str(path), _RESTORE)
    return card


def fingerprint(model_folder: Path) -> str:
    """SHA-256 over weights.safetensors and model.json: the same for the same model, wherever it lies.

    Raises UserError when the folder holds no trained model.
    """
    for name in (WEIGHTS, MODEL_JSON):
        if not (model_folder / name).is_file():
            raise UserError(f"{model_folder / name}: is missing: train the model, or name a folder that holds one")
    both = sha256(model_folder / WEIGHTS) + sha256(model_folder / MODEL_JSON)
    return hashlib.sha256(both.encode()).hexdigest()


def recorded_as(card: Mapping[str, Any], digest: str) -> str:
    """What records call the model of a card, whose fingerprint is `digest`.

    An exported model has another model.json and the same weights: its records are those of the model that it came from.
    """
    return str(card.get("exported_from") or digest)


def predict_of(card: Mapping[str, Any]) -> Predict:
    """The settings by which the model of a card answers recordings."""
    return Predict(**card.get("predict", {}))


def input_of(card: Mapping[str, Any]) -> Window:
    """What the model of a card (model.json) reads: the section of its preset, with its window."""
    section = MODELS[card["model"]].reads
    return Preset.model_fields[section].annotation(**card["preset_settings"][section])  # type: ignore[misc]


def window_of(card: Mapping[str, Any]) -> int:
    """Samples, at the card's rate, of the window that the model of a card hears at once."""
    return round(input_of(card).seconds * int(card["sample_rate"]))
