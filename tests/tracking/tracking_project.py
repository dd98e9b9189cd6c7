"""Small models with the reports that a pipeline would have written for them, and servers to wait for."""

import csv
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from ser_ops import shards
from ser_ops.audio.signal import fit_window
from ser_ops.config.models import Preset
from ser_ops.config.params import Params, load_params, load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.files import write_json
from ser_ops.gate.rules import Rule, decide
from ser_ops.inference.recogniser import Recogniser
from ser_ops.models.architectures import build
from ser_ops.models.model_folder import save

SETTINGS = Path(__file__).resolve().parents[2] / "params.yaml"
PARAMS = load_params(SETTINGS)
UTTERANCES = 12
# Without its job runner, seven processes that nothing here needs, a server starts in half the time.
SERVER = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def wait_for(url: str, process: subprocess.Popen, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def tiny(**features: object) -> Preset:
    """The small preset with windows of half a second and few channels: fractions of a second a step."""
    small = load_preset("small", SETTINGS)
    image = {"hidden": 16, "layers": 1, "heads": 2}
    return small.model_copy(update={
        "features": small.features.model_copy(update={"seconds": 0.5, "mfcc": 13, **features}),
        "stacked": small.stacked.model_copy(update={"seconds": 0.5}),
        "image": small.image.model_copy(update={"seconds": 0.5, "hop": 258, "mels": 32}),
        "wav2vec": small.wav2vec.model_copy(update={"hidden": 16, "layers": 1, "heads": 2,
                                                    "convolutions": ((8, 20, 10), (16, 8, 4), (16, 8, 4), (16, 4, 2))}),
        "spectral": small.spectral.model_copy(update={"channels": (8,) * 4, "embedding": 8}),
        "vit": small.vit.model_copy(update=image), "beit": small.beit.model_copy(update=image)})


class Project:
    """Work, reports and a model folder in the current folder, as a pipeline leaves them."""

    def __init__(self, params: Params, model: str = "spectral", seed: int = 0) -> None:
        self.params = params
        self.folder = params.paths.work / "models" / model
        self.reports = params.paths.reports
        self.model = model
        draw = np.random.default_rng(7)
        speech = {f"synthetic_ravdess/{number:02d}":
                  draw.normal(0, 0.1, int(draw.integers(5000, 20000))).astype(np.float32)
                  for number in range(UTTERANCES)}
        waveforms = params.paths.work / "ingest" / "waveforms"
        if not waveforms.is_dir():
            waveforms.mkdir(parents=True)
            shards.write_index(waveforms, shards.write_shard(waveforms, 0, speech.items()))
            write_json(params.paths.work / "ingest" / "corpora.json", {"synthetic_ravdess": {
                "licence": "CC BY-NC-SA 4.0", "synthetic": True, "complete": False}})
        self.train(seed)
        self.evaluate(speech)
        self.judge()

    def train(self, seed: int) -> None:
        """Random weights stand for a trained model; its run is real."""
        from ser_ops.tracking.runs import open_run
        preset = tiny()
        save(self.folder, build(self.model, preset, seed=seed), {
            "preset": "tiny", "best_epoch": 1, "validation_uar": 0.5, "data": {
                "corpora": ["synthetic_ravdess"], "synthetic": ["synthetic_ravdess"], "partial": ["synthetic_ravdess"],
                "protocol": "speaker", "train_rows": 10}})
        with open_run(self.params, f"train {self.model}", {"stage": "train"}) as run:
            run.metrics({"validation/uar": 0.5}, step=1)
            run.write(self.folder / "run.json")

    def evaluate(self, speech: dict[str, np.ndarray]) -> None:
        """predictions.csv as evaluation writes it: of the middle window."""
        recogniser = Recogniser(self.folder, "cpu")
        rows = []
        for number, (utterance, samples) in enumerate(speech.items()):
            window, valid = fit_window(samples, recogniser.window)
            answer = recogniser.answer(window[:valid], 16000, cleaned=True)
            rows.append({"model": self.model, "utterance": utterance,
                         "speaker": utterance[:-1], "noise": "clean", "intensity": "0", "seed": "",
                         "emotion": EMOTIONS[number % 7], "predicted": answer.emotion, "snr_db": "",
                         **{f"p_{emotion}": f"{value:.6f}" for emotion, value
                            in zip(EMOTIONS, answer.probabilities, strict=True)}})
        self.reports.mkdir(exist_ok=True)
        fields = ["model", "utterance", "speaker", "noise", "intensity", "seed", "emotion", "predicted",
                  *(f"p_{emotion}" for emotion in EMOTIONS), "snr_db"]
        with (self.reports / "predictions.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        write_json(self.reports / "metrics.json", {
            "provenance": {"protocol": "speaker", "test_utterances": UTTERANCES, "test_speakers": 2},
            "models": {self.model: {"clean": {"uar": 0.61, "uar_low": 0.55, "uar_high": 0.66, "accuracy": 0.6},
                                    "noisy": {"uar": 0.5, "uar_low": 0.45, "uar_high": 0.55},
                                    "worst_cell": {"cell": "fish_market@0.75", "uar": 0.41}}}})

    def judge(self, verdict: str = "passed: UAR 0.61 >= 0.40") -> None:
        """gate.json with one rule."""
        write_gate(self.reports / "gate.json", self.model, verdict)


def write_gate(path: Path, model: str, verdict: str) -> None:
    """gate.json with one rule and its verdict."""
    passed = verdict.startswith("passed")
    write_json(path, {
        "passed": passed, "verdict": "passed" if passed else verdict, "model": model, "notes": [],
        "rules": [{"rule": "clean_uar", "figure": 0.61, "limit": 0.4, "passed": passed, "verdict": verdict,
                   "reason": "nobody is served below", "applies": True}]})


def not_worse(params: Params, alias: str, candidate: tuple[Path, str],
              current: tuple[Path, str] | None) -> Rule:
    """Stands for `ser_ops.gate.comparison.compare_with_current`: passes, and says with what it was called."""
    words = "no model yet" if current is None else f"compared with {current[1]}"
    return decide("not_worse_than_staging", True, words, "not worse", None, 0.95)


def post(url: str, content: object) -> tuple[int, dict]:
    """Status and JSON of a POST; NaN goes out as NaN."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
