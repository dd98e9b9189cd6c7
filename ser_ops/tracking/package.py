"""A trained model as an MLflow model without pickle: code, safetensors, JSON, signature, example and card."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ser_ops.config import Params, Predict, read_model_json
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing, sha256
from ser_ops.imports import SOURCE, closure
from ser_ops.tracking.licences import sources
from ser_ops.tracking.model_card import model_card
from ser_ops.tracking.server import quiet

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

WEIGHTS, CARD, MODEL_CARD = "weights.safetensors", "model.json", "model_card.md"
# What loading and answering import; pinned to the versions with which the model was packaged.
REQUIREMENTS = ("av", "filelock", "huggingface-hub", "mlflow", "numpy", "pandas", "pydantic", "pyyaml",
                "safetensors", "soundfile", "soxr", "torch", "tqdm", "transformers")


def fingerprint(model_folder: Path) -> str:
    """SHA-256 over weights.safetensors and model.json: the same for the same model, wherever it lies.

    Raises UserError when the folder holds no trained model.
    """
    for name in (WEIGHTS, CARD):
        if not (model_folder / name).is_file():
            raise UserError(f"{model_folder / name}: is missing: train the model, or name a folder that holds one")
    both = sha256(model_folder / WEIGHTS) + sha256(model_folder / CARD)
    return hashlib.sha256(both.encode()).hexdigest()


def signature() -> "ModelSignature":
    """waveform (array of double, any length) and sample_rate (long) in; emotion, probabilities, windows out.

    The parameter `cleaned` says that a waveform has come through the door already, as those that evaluation heard.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property
    probabilities = Object([Property(emotion, DataType.double) for emotion in EMOTIONS])
    window = Object([Property("start", DataType.double), Property("end", DataType.double),
                     Property("emotion", DataType.string), Property("probabilities", probabilities)])
    return ModelSignature(
        inputs=Schema([ColSpec(Array(DataType.double), "waveform"), ColSpec(DataType.long, "sample_rate")]),
        outputs=Schema([ColSpec(DataType.string, "emotion"), ColSpec(probabilities, "probabilities"),
                        ColSpec(DataType.double, "seconds"), ColSpec(Array(window), "windows"),
                        ColSpec(Array(DataType.string), "warnings"), ColSpec(Array(DataType.string), "caveats")]),
        params=ParamSchema([ParamSpec("cleaned", DataType.boolean, False)]))


def input_example() -> Any:
    """A quarter of a second of a falling tone, as a data frame of one row."""
    import numpy as np
    import pandas
    time = np.arange(4000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * (220 - 200 * time) * time) * np.exp(-4 * time)
    return pandas.DataFrame({"waveform": [tone.round(4).tolist()], "sample_rate": [16000]})


def requirements() -> list[str]:
    """Pinned requirements; a local tag such as +cpu is left out, so that a GPU machine finds its own build."""
    return [f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS]


def _code(target: Path) -> Path:
    """ser_ops as far as answering needs it: the files that the served model uses."""
    for file in closure("ser_ops.tracking.served_model"):
        for package in file.parents[:-1]:
            (target.parent / package).mkdir(exist_ok=True, parents=True)
            shutil.copyfile(SOURCE / package / "__init__.py", target.parent / package / "__init__.py")
        shutil.copyfile(SOURCE / file, target.parent / file)
    return target


@contextmanager
def parts(model_folder: Path, card: str, predict: Predict) -> Iterator[dict[str, Any]]:
    """What `mlflow.pyfunc.save_model` and `log_model` take, from a model folder and its card in Markdown."""
    fingerprint(model_folder)
    with TemporaryDirectory(prefix="ser-ops-package-") as holder:
        staged = Path(holder) / "model"
        staged.mkdir()
        for name in (WEIGHTS, CARD):
            shutil.copyfile(model_folder / name, staged / name)
        (staged / MODEL_CARD).write_text(card, encoding="utf-8")
        quiet()
        yield {
            "python_model": str(Path(__file__).with_name("served_model.py")),
            "artifacts": {"model": str(staged)},
            "code_paths": [str(_code(Path(holder) / "ser_ops"))],
            "model_config": {"device": "auto", "batch_size": predict.batch_size, "window_hop": predict.window_hop},
            "pip_requirements": requirements(), "signature": signature(), "input_example": input_example(),
        }


def card_of(params: Params, model_folder: Path, reports: Path) -> str:
    """The model card of a model folder, with the figures of reports/metrics.json where it is there."""
    fingerprint(model_folder)
    card = read_model_json(model_folder)
    metrics = reports / "metrics.json"
    return model_card(card, sources(params, card.get("data", {}).get("corpora", [])),
                      read_json(metrics) if metrics.is_file() else None)


def package_model(params: Params, model_folder: Path, out: Path) -> Path:
    """Write the packaged model to the folder `out`, whole or not at all, and return it.

    It loads with MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false and needs no ser_ops installed.
    Raises UserError when `model_folder` holds no trained model.
    """
    card = card_of(params, model_folder, params.paths.reports)
    with replacing(out) as temporary, parts(model_folder, card, params.predict) as what:
        import mlflow.pyfunc
        mlflow.pyfunc.save_model(str(temporary), **what)
    return out
