"""ser-ops explain: a page for a recording of the user's own, and one clear line for each mistake."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from project_copy import write_settings

from ser_ops.audio.reading import read_recording
from ser_ops.cli import model as command
from ser_ops.config.params import load_params
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.explain.recording import explain_recording, read_window
from ser_ops.models import architectures, model_folder
from ser_ops.report import listening

pytestmark = pytest.mark.slow   # each command is a process

PROJECT = Path(__file__).resolve().parents[2]
RATE = 16000


def made(path: Path, seconds: float, rate: int = RATE) -> Path:
    """A rising tone whose amplitude steps up every second."""
    moment = np.arange(int(seconds * rate)) / rate
    loud = 0.1 * (1 + np.floor(moment)) / (1 + seconds)
    soundfile.write(path, loud * np.sin(2 * np.pi * (200 + 20 * moment) * moment), rate)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with params.yaml and a small untrained fusion that standardises its features."""
    folder = tmp_path_factory.mktemp("project")
    write_settings(folder)
    preset = load_params(folder / "params.yaml").chosen
    model = architectures.build("fusion", preset, {"mean": [1.0] * 82, "std": [2.0] * 82}, seed=1)
    model_folder.save(folder / "model", model, {"preset": "small", "data": {"synthetic": ["made"], "partial": []}})
    return folder


def test_a_long_recording_gets_its_page(project):
    file = made(project / "long.wav", 6.0, 8000)
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-m", "ser_ops.cli", "explain", file.name, "--model", "model", "--json"],
                          cwd=project, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began < 60
    answer = json.loads(done.stdout)
    assert answer["path"] == "long.wav" and set(answer["probabilities"]) == set(EMOTIONS)
    assert answer["window"]["start"] == pytest.approx(2.0) and answer["window"]["seconds"] == 2.0
    for words in ("SYNTHETIC speech (made)", "was not pretrained", "lasts 6.0 s", "mean of the training features"):
        assert sum(words in note for note in answer["notes"]) == 1, words
    assert "8000 Hz" in done.stderr
    page = (project / "reports/explain/long/index.html").read_text()
    for words in (answer["notes"][0][:45], "Random weights", "Score-CAM", "SHAP", "Occlusion", "data:"):
        assert words in page, words
    report = json.loads((project / "reports/explain/long/explanations.json").read_text())
    (entry,) = report["heard"]
    assert set(entry["traces"]) == {"scorecam", "shap", "occlusion", "attention"} and set(entry["streams"]["phi"]) == {
        "wav2vec", "mfcc", "zcr", "rms"}
    assert {"figure_2", "figure_3e", "figure_4d", "figure_5"} <= set(entry["figures"])
    for name in (entry["audio"], entry["spectrogram"]["file"], *entry["figures"].values()):
        assert (project / "reports/explain/long" / name).is_file()


def test_the_window_is_where_it_is_asked_for(tmp_path):
    file = made(tmp_path / "a.wav", 6.0)
    samples = read_recording(file, RATE).samples
    middle, late, end = (read_window(file, RATE, 2.5, start) for start in (None, 3.0, 5.0))
    np.testing.assert_allclose(middle.samples, samples[28000:68000], atol=1e-6)
    np.testing.assert_allclose(late.samples, samples[48000:88000], atol=1e-6)
    np.testing.assert_allclose(end.samples, samples[80000:], atol=1e-6)
    assert (middle.start, middle.total) == (1.75, 6.0)
    np.testing.assert_allclose(read_window(made(tmp_path / "b.wav", 1.0), RATE, 2.5).samples,
                               read_recording(tmp_path / "b.wav", RATE).samples, atol=1e-6)


def test_mistakes_are_one_line(tmp_path):
    file = made(tmp_path / "a.wav", 6.0)
    for start, words in ((9.0, "lasts 6.0 s, give 0 to 3.5"), (-1.0, "leaves no sound")):
        with pytest.raises(UserError, match=words):
            read_window(file, RATE, 2.5, start)
    quiet = np.concatenate([np.zeros(3 * RATE), np.full(RATE, 0.5) * np.sin(np.arange(RATE))])
    soundfile.write(tmp_path / "quiet.wav", quiet, RATE)
    with pytest.raises(UserError, match=r"nothing rises above -60 dBFS from 0.0 to 2.5 s: give another --start"):
        read_window(tmp_path / "quiet.wav", RATE, 2.5, 0.0)
    (tmp_path / "words.wav").write_bytes(b"no audio at all" * 50)
    with pytest.raises(UserError, match="not readable as audio"):
        read_window(tmp_path / "words.wav", RATE, 2.5)


def test_errors_are_those_of_predict_and_nothing_is_written(project, monkeypatch):
    monkeypatch.chdir(project)
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    for file, model, words in (("missing.wav", "model", "missing.wav"), ("silent.wav", "model", "silent"),
                               ("silent.wav", "nowhere", "no such model folder")):
        with pytest.raises(UserError, match=words):
            command.explain(Path(file), model, Path("none"), None, False)
    assert not Path("none").exists()


@pytest.mark.parametrize("out", ["file", "file/page", "pipe"])
def test_a_page_that_cannot_be_written_is_said_before_the_work(project, monkeypatch, tmp_path, out):
    monkeypatch.chdir(project)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("ser_ops.explain.recording.explain_recording", None)
    with pytest.raises(UserError, match=r"cannot be written .*: a file stands where a folder must be"):
        command.explain(made(tmp_path / "a.wav", 1.0), "model", tmp_path / out, None, None)
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "file", "pipe"]


@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_every_kind_of_model_is_explained(name, tmp_path):
    params = load_params(PROJECT / "params.yaml")
    settings = params.explain.model_copy(update={"shap_samples": 10, "occlusion_hop": 0.5})
    mean_std = {"mean": [1.0] * 187, "std": [2.0] * 187} if name == "cnn" else None
    model = architectures.build(name, params.chosen, mean_std, seed=1).eval()
    model_folder.save(tmp_path / "model", model, {"data": {}})
    model, card = model_folder.load(tmp_path / "model")
    report = explain_recording(model, card, torch.device("cpu"), made(tmp_path / "a.wav", 1.0), settings,
                               tmp_path / "out")
    json.dumps(report, allow_nan=False)
    (entry,) = report["heard"]
    assert set(entry["traces"]) == {"gradcam", "occlusion"} | ({"shap"} if name == "cnn" else set())
    assert (entry["streams"] is None) == (name == "vit") and entry["valid_seconds"] == 1.0
    assert "synthesiser" not in " ".join(report["notes"])
    assert ("mean of the training features" in " ".join(report["notes"])) == (name == "cnn")
    assert listening.build(tmp_path / "out", report, ".").is_file()
