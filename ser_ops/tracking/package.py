"""A trained model as an MLflow model without pickle: code, safetensors, JSON, signature, example and card.

The card says what the model was made from, what it is for and not for, how good it is and where it ends. A package is
tried as a stranger would load it: in a fresh interpreter, by its own code, with pickle forbidden.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_ops.audio.signal import fit_window
from ser_ops.caveats import DUTIES, FORBIDDEN_USES, INTENDED_USES, caveats, heard_in_training
from ser_ops.config.model_json import GRAPH, MODEL_JSON, REFERENCE, WEIGHTS, fingerprint, input_of, read_model_json
from ser_ops.config.params import Params
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.imports import SOURCE, closure
from ser_ops.shards import Shards
from ser_ops.speech.detector import WEIGHTS as SPEECH
from ser_ops.tracking.licences import Source, sources
from ser_ops.tracking.server import quiet_mlflow

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LONGEST_CARD = 5000  # characters that every registry database takes as a description
_USES = "\n".join(["## Intended uses", *INTENDED_USES, "", "## Uses that it must not be put to",
                   *(f"- {use}" for use in FORBIDDEN_USES), "", *DUTIES, ""])
MODEL_CARD = "model_card.md"
# What loading and answering import; pinned to the versions with which the model was packaged.
REQUIREMENTS = ("av", "filelock", "huggingface-hub", "mlflow", "numpy", "pandas", "pydantic", "pyyaml",
                "safetensors", "soundfile", "soxr", "torch", "tqdm", "transformers")
ANSWER_SECONDS = 900  # a packaged model has so many for all of its answers
COMPARED_UTTERANCES = 32  # test utterances, spread evenly over the partition
# All of the environment that a foreign package's code gets to see: no credential is among it.
_HARMLESS = re.compile(r"PATH|LANG|TZ|TMPDIR|VIRTUAL_ENV|(LC|OMP|MKL|OPENBLAS|NUMBA|CUDA|NVIDIA|LD)_.*")
_PICKLED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".dill", ".cloudpickle"}


def package_model(params: Params, model_folder: Path, out: Path) -> Path:
    """Write the packaged model to the folder `out`, whole or not at all, and return it.

    It loads with MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false and needs no ser_ops installed.
    Raises UserError when `model_folder` holds no trained model.
    """
    card = written_model_card(params, model_folder, params.paths.reports)
    with replacing(out) as temporary, package_arguments(params, model_folder, card) as arguments:
        import mlflow.pyfunc
        mlflow.pyfunc.save_model(str(temporary), **arguments)
    return out


@contextmanager
def package_arguments(params: Params, model_folder: Path, card: str,
                      reference: Path | None = None) -> Iterator[dict[str, Any]]:
    """What `mlflow.pyfunc.save_model` and `log_model` take, from a model folder and its card in Markdown.

    reference: records with which `ser-ops watch` compares; left out where the file is not there.
    """
    fingerprint(model_folder)
    with TemporaryDirectory(prefix="ser-ops-package-") as holder:
        staged = Path(holder) / "model"
        staged.mkdir()
        for name in (WEIGHTS, MODEL_JSON, *(name for name in (SPEECH, GRAPH) if (model_folder / name).is_file())):
            shutil.copyfile(model_folder / name, staged / name)
        if reference is not None and reference.is_file():
            shutil.copyfile(reference, staged / REFERENCE)
        (staged / MODEL_CARD).write_text(card, encoding="utf-8")
        quiet_mlflow()
        yield {
            "python_model": str(Path(__file__).with_name("served_model.py")),
            "artifacts": {"model": str(staged)},
            "code_paths": [str(_copy_code(Path(holder) / "ser_ops"))],
            "model_config": {"device": "auto", "batch_size": params.predict.batch_size,
                             "window_hop": params.predict.window_hop, "recordings": params.serve.recordings,
                             "seconds": params.serve.seconds, "megabytes": params.serve.body_megabytes},
            "pip_requirements": requirements(), "signature": signature(), "input_example": input_example(),
        }


def _copy_code(target: Path) -> Path:
    """ser_ops as far as answering needs it: the files that the served model uses."""
    for file in closure("ser_ops.tracking.served_model"):
        for package in file.parents[:-1]:
            (target.parent / package).mkdir(exist_ok=True, parents=True)
            shutil.copyfile(SOURCE / package / "__init__.py", target.parent / package / "__init__.py")
        shutil.copyfile(SOURCE / file, target.parent / file)
    return target


def signature() -> "ModelSignature":
    """waveform (array of double, any length) and sample_rate (long) in; emotion, probabilities, windows, speech out.

    A row that has no answer has `error` alone.
    The parameter `cleaned` says that a waveform was read and cleaned already, as those of the evaluation are.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property
    probabilities = Object([Property(emotion, DataType.double) for emotion in EMOTIONS])
    window = Object([Property("start", DataType.double), Property("end", DataType.double),
                     Property("emotion", DataType.string), Property("probabilities", probabilities)])
    segment = Object([Property("start", DataType.double), Property("end", DataType.double)])
    return ModelSignature(
        inputs=Schema([ColSpec(Array(DataType.double), "waveform"), ColSpec(DataType.long, "sample_rate")]),
        outputs=Schema([ColSpec(kind, name, required=False) for name, kind in (
            ("emotion", DataType.string), ("probabilities", probabilities), ("seconds", DataType.double),
            ("windows", Array(window)), ("speech", Array(segment)), ("emotions", Array(DataType.string)),
            ("warnings", Array(DataType.string)), ("caveats", Array(DataType.string)), ("error", DataType.string))]),
        params=ParamSchema([ParamSpec("cleaned", DataType.boolean, False)]))


def input_example() -> Any:
    """A quarter of a second of a falling tone, as a data frame of one row."""
    import pandas
    time = np.arange(4000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * (220 - 200 * time) * time) * np.exp(-4 * time)
    return pandas.DataFrame({"waveform": [tone.round(4).tolist()], "sample_rate": [16000]})


def requirements() -> list[str]:
    """Pinned requirements; a local tag such as +cpu is left out, so that a GPU machine finds its own build."""
    return [f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS]


def written_model_card(params: Params, model_folder: Path, reports: Path) -> str:
    """The model card of a model folder, with the figures of reports/metrics.json where it is there."""
    fingerprint(model_folder)
    card = read_model_json(model_folder)
    metrics = reports / "metrics.json"
    return model_card(card, sources(params, card.get("data", {}).get("corpora", [])),
                      read_json(metrics) if metrics.is_file() else None)


def model_card(card: Mapping[str, Any], sources: Sequence[Source], metrics: Mapping[str, Any] | None) -> str:
    """Markdown of at most 5,000 characters from model.json, the data's sources and reports/metrics.json.

    Figures stand there with their intervals; what is missing is said to be missing.
    """
    data = card.get("data", {})
    licences = {source.name: source.licence for source in sources} | data.get("licences", {})
    warnings = [caveat.sentence for caveat in caveats({**card, "data": {**data, "licences": licences}})]
    limits = ["Seven classes only; every recording gets one, whatever is said. Windows of "
              f"{input_of(card).seconds:g} s, mono, {card['sample_rate']} Hz.",
              "Languages, accents, ages and microphones beyond those of the data are untested."]
    text = "\n".join([
        f"# {card['model']}, preset {card['preset']}", "",
        f"Speech emotion recognition ({', '.join(card['emotions'])}). {card.get('parameters', 0):,} parameters; "
        f"backbone: {card.get('backbone', 'not stated')}.", "",
        "## To know before relying on it", *(f"- {line}" for line in warnings or ["Nothing that is known."]), "",
        "## Data and licences", *(f"- {source.sentence}" for source in sources), *_detector(card),
        *(f"- {heard}" for heard in [heard_in_training(data)] if heard), "",
        "## Figures", *_figures(card["model"], metrics), "", _USES,
        "## Limits", *(f"- {limit}" for limit in limits), ""])
    return text if len(text) <= LONGEST_CARD else text[:LONGEST_CARD - 4].rstrip() + " ..."


def _detector(card: Mapping[str, Any]) -> list[str]:
    return ["- speech is told from noise by Silero VAD: MIT, Copyright (c) 2020-present Silero Team"] \
        if card.get("speech_sha256") else []


def _figures(model: str, metrics: Mapping[str, Any] | None) -> list[str]:
    own = (metrics or {}).get("models", {}).get(model)
    if own is None or metrics is None:
        return ["Not evaluated."]
    made = metrics.get("provenance", {})
    drawn = made.get("intervals", {})
    why = f" ({drawn['instead']})" if drawn.get("instead") else ""
    lines = [f"Test partition: {made.get('test_utterances', '?')} utterances of {made.get('test_speakers', '?')} "
             f"speakers, protocol {made.get('protocol', '?')}; intervals by bootstrap over "
             f"{drawn.get('over', '?')}{why}. Chance is 0.143.",
             f"- UAR clean: {_figure(own.get('clean', {}), 'uar')}; in noise: {_figure(own.get('noisy', {}), 'uar')}",
             f"- accuracy clean: {_figure(own.get('clean', {}), 'accuracy')}"]
    worst = own.get("worst_cell") or {}
    if worst:
        lines.append(f"- worst noise and intensity: {worst.get('cell')} with UAR {_figure(worst, 'uar')}")
    if own.get("calibration_error") is not None:
        lines.append(f"- calibration error: {own['calibration_error']:.3f}")
    return lines


def _figure(values: Mapping[str, Any], name: str) -> str:
    value, low, high = (values.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "not evaluated"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def try_package(params: Params, model_folder: Path) -> dict[str, Any]:
    """Package a trained model and compare its answers, as `compare_answers` says, with reports/predictions.csv."""
    with TemporaryDirectory(prefix="ser-ops-try-") as holder:
        package = package_model(params, model_folder, Path(holder) / "package")
        return compare_answers(package, params.paths.reports / "predictions.csv",
                               str(read_model_json(model_folder)["model"]),
                               params.paths.work / "ingest" / "waveforms")


def compare_answers(package: Path, predictions: Path, model: str, waveforms: Path) -> dict[str, Any]:
    """Try a packaged model as a stranger and compare it with what evaluation wrote into predictions.csv.

    waveforms: the store of 16 kHz utterances that evaluation read (work/ingest/waveforms). Returns loads (bool),
    pickles (file names), utterances (how many were compared), largest_difference (of a probability, or None) and
    error (words, '' when all went well). Never raises for a bad package: the gate blocks it, in words.
    """
    tried: dict[str, Any] = {"loads": False, "pickles": pickled_files(package), "utterances": 0,
                             "largest_difference": None, "error": ""}
    try:
        card = read_model_json(package / "artifacts" / "model")
        length = round(input_of(card).seconds * card["sample_rate"])
        rows = _clean_rows(predictions, model)
        store = Shards(waveforms) if rows else {}
        windows = [samples[:valid] for samples, valid in
                   (fit_window(store[utterance], length) for utterance, _ in rows if utterance in store)]
        expected = np.array([row for utterance, row in rows if utterance in store]).reshape(-1, len(EMOTIONS))
        if not windows:  # a tone still tells whether the package loads
            windows = [0.1 * np.sin(np.arange(length, dtype=np.float32))]
        answers = packaged_answers(package, windows, card["sample_rate"])
        tried["loads"] = True
        if len(expected) == 0:
            raise UserError(f"{waveforms}: none of the utterances of {model} in {predictions.name} is there: run dvc "
                            "repro on the data that it was evaluated on")
    except UserError as error:
        tried["error"] = str(error)
        return tried
    return tried | {"utterances": len(expected), "largest_difference": float(np.abs(answers - expected).max())}


def _clean_rows(predictions: Path, model: str) -> list[tuple[str, list[float]]]:
    """Utterance and probabilities of up to COMPARED_UTTERANCES clean rows of predictions.csv."""
    try:
        with predictions.open(newline="", encoding="utf-8") as file:
            rows = sorted((row["utterance"], [float(row[f"p_{emotion}"]) for emotion in EMOTIONS])
                          for row in csv.DictReader(file) if row["model"] == model and row["noise"] == "clean")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{predictions}: not a table of predictions ({error}): run the stage evaluate") from error
    count = min(len(rows), COMPARED_UTTERANCES)
    return [rows[number * len(rows) // count] for number in range(count)]


def packaged_answers(package: Path, waveforms: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
    """Probabilities, float64 of shape (n, 7), of a packaged model for mono float waveforms of any length.

    The package's own code runs in a process of its own, with pickle forbidden, without the credentials of this one's
    environment and with an empty home folder; no ser_ops but the package's own is imported.
    Raises UserError in one line when it does not load or does not answer so.
    """
    package = package.absolute()
    with TemporaryDirectory(prefix="ser-ops-answers-") as holder:
        inputs, outputs = Path(holder) / "inputs.npz", Path(holder) / "outputs.json"
        stored: dict[str, Any] = {f"{number:06d}": np.asarray(waveform, np.float32)
                                  for number, waveform in enumerate(waveforms)}
        np.savez(inputs, **stored)
        environment = {key: value for key, value in os.environ.items() if _HARMLESS.fullmatch(key)}
        environment |= {"HOME": holder, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_LOGGING_LEVEL": "ERROR",
                        "MLFLOW_TRACKING_URI": f"sqlite:///{holder}/none.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        script = Path(__file__).with_name("isolated.py")
        try:
            done = subprocess.run([sys.executable, "-P", str(script), str(package), str(inputs), str(sample_rate),
                                   str(outputs)], cwd=holder, env=environment, capture_output=True, text=True,
                                  timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            raise UserError(f"{package.name}: the packaged model did not answer within {ANSWER_SECONDS} s: package it "
                            "again") from None
        if done.returncode != 0:
            said = (done.stderr.strip() or "no message").splitlines()[-1]
            raise UserError(f"{package.name}: the packaged model does not load and answer with pickle forbidden "
                            f"({said}): package it again")
        answered = read_json(outputs, "package it again", "package it again")
    if not Path(answered["code"]).is_relative_to(package):
        raise UserError(f"{package.name}: the packaged model brings no code of its own: package it again")
    return np.array(answered["answers"], np.float64).reshape(len(waveforms), len(EMOTIONS))


def pickled_files(folder: Path) -> list[str]:
    """Files of a folder that are pickles, by name or by their first bytes, torch's zip archives among them."""
    pickles = []
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        with path.open("rb") as file:
            start = file.read(2)
        pickled = start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")
        if start == b"PK" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickled = any(name.endswith(".pkl") for name in archive.namelist())
        if pickled or path.suffix.lower() in _PICKLED:
            pickles.append(str(path.relative_to(folder)))
    return pickles
