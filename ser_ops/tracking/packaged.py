"""What a packaged model answers when a stranger loads it: fresh interpreter, its own code, pickle forbidden."""

import csv
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ser_ops.audio.window import fit
from ser_ops.config import Params, input_of, read_model_json
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.shards import Shards
from ser_ops.tracking.package import package_model

PATIENCE = 900  # seconds
COMPARED = 32  # test utterances, spread evenly over the partition
# All of the environment that a foreign package's code gets to see: no credential is among it.
_HARMLESS = re.compile(r"PATH|LANG|TZ|TMPDIR|VIRTUAL_ENV|(LC|OMP|MKL|OPENBLAS|NUMBA|CUDA|NVIDIA|LD)_.*")
_PICKLED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".dill", ".cloudpickle"}


def pickled_files(folder: Path) -> list[str]:
    """Files of a folder that are pickles, by name or by their first bytes, torch's zip archives among them."""
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        with path.open("rb") as file:
            start = file.read(2)
        pickled = start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")
        if start == b"PK" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickled = any(name.endswith(".pkl") for name in archive.namelist())
        if pickled or path.suffix.lower() in _PICKLED:
            found.append(str(path.relative_to(folder)))
    return found


def packaged_answers(package: Path, waveforms: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
    """Probabilities, float64 of shape (n, 7), of a packaged model for mono float waveforms of any length.

    The package's own code runs in a process of its own, with pickle forbidden, without the credentials of this one's
    environment and with an empty home folder; no ser_ops but the package's own is imported.
    Raises UserError in one line when it does not load or does not answer so.
    """
    package = package.absolute()
    with TemporaryDirectory(prefix="ser-ops-answers-") as holder:
        inputs, outputs = Path(holder) / "inputs.npz", Path(holder) / "outputs.json"
        stored: dict[str, Any] = {f"{number:06d}": np.asarray(one, np.float32) for number, one in enumerate(waveforms)}
        np.savez(inputs, **stored)
        environment = {key: value for key, value in os.environ.items() if _HARMLESS.fullmatch(key)}
        environment |= {"HOME": holder, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_LOGGING_LEVEL": "ERROR",
                        "MLFLOW_TRACKING_URI": f"sqlite:///{holder}/none.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        again = "package it again"
        script = Path(__file__).with_name("isolated.py")
        try:
            done = subprocess.run([sys.executable, "-P", str(script), str(package), str(inputs), str(sample_rate),
                                   str(outputs)], cwd=holder, env=environment, capture_output=True, text=True,
                                  timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise UserError(f"{package.name}: the packaged model did not answer within {PATIENCE} s: package it "
                            "again") from None
        if done.returncode != 0:
            said = (done.stderr.strip() or "no message").splitlines()[-1]
            raise UserError(f"{package.name}: the packaged model does not load and answer with pickle forbidden "
                            f"({said}): package it again")
        found = read_json(outputs, again, again)
    if not Path(found["code"]).is_relative_to(package):
        raise UserError(f"{package.name}: the packaged model brings no code of its own: package it again")
    return np.array(found["answers"], np.float64).reshape(len(waveforms), len(EMOTIONS))


def _clean_rows(predictions: Path, model: str) -> list[tuple[str, list[float]]]:
    """Utterance and probabilities of up to COMPARED clean rows of predictions.csv."""
    try:
        with predictions.open(newline="", encoding="utf-8") as file:
            rows = sorted((row["utterance"], [float(row[f"p_{emotion}"]) for emotion in EMOTIONS])
                          for row in csv.DictReader(file) if row["model"] == model and row["noise"] == "clean")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{predictions}: no table of predictions ({error}): run the stage evaluate") from error
    return rows if len(rows) <= COMPARED else [rows[place * len(rows) // COMPARED] for place in range(COMPARED)]


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
                   (fit(store[utterance], length) for utterance, _ in rows if utterance in store)]
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
