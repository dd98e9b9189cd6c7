"""The commands as a stranger uses them: what they answer, and one clear line for each mistake."""

import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from project_copy import write_settings
from warm_commands import run_command

from ser_ops.config.params import load_params
from ser_ops.emotions import EMOTIONS
from ser_ops.models import architectures, model_folder

pytestmark = pytest.mark.slow   # each command is a process

PROJECT = Path(__file__).resolve().parents[2]
RATE = 16000


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with params.yaml, a small untrained model and one corpus to bring in."""
    folder = tmp_path_factory.mktemp("project")
    write_settings(folder)
    (folder / "data").mkdir()
    preset = load_params(folder / "params.yaml").chosen
    model_folder.save(folder / "model", architectures.build("fusion", preset, seed=1), {"preset": "small", "data": {}})
    rng = np.random.default_rng(1)
    for code in range(1, 9):
        name = folder / "given/Actor_01" / f"03-01-{code:02d}-01-01-01-01.wav"
        name.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(name, rng.normal(0, 0.05, RATE), RATE)
    (folder / "given/Actor_01/notes.txt").write_text("x")
    return folder


def ser_ops(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_command(folder, *arguments, environment={**os.environ, **environment})


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The single line of a refused command."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    return lines[0]


def test_help_is_quick(project):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "ser_ops.cli", "--help"], cwd=project, capture_output=True, text=True)
    assert "predict" in done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0  # processor seconds; 0.5 as a rule


def test_a_corpus_comes_in_is_listed_and_checked(project):
    done = ser_ops(project, "corpora", "add", "ravdess", "given", "--name", "voices")
    assert done.returncode == 0, done.stderr
    assert "8 of 1440" in done.stdout and "PARTIAL" in done.stdout
    assert (project / "given/Actor_01/03-01-01-01-01-01-01.wav").exists(), "copied, never moved"
    listed = [json.loads(line) for line in ser_ops(project, "corpora", "list", "--json").stdout.splitlines()]
    assert [(corpus["name"], corpus["found"], corpus["complete"]) for corpus in listed] == [("voices", 8, False)]
    tsv = project / "published.tsv"
    tsv.write_text("path\tsize\tsha256\nActor_01/03-01-01-01-01-01-01.wav\t1\t" + "0" * 64
                   + "\nActor_02/03-01-01-01-01-01-02.wav\t1\t" + "0" * 64 + "\n")
    checked = ser_ops(project, "corpora", "check", "voices", "--checksums", str(tsv))
    assert "1 altered" in checked.stdout and "1 missing" in checked.stdout and "7 extra" in checked.stdout
    assert "already there" in one_line(ser_ops(project, "corpora", "add", "ravdess", "given", "--name", "voices"))


def test_noise_comes_in_and_is_listed(project):
    (project / "market").mkdir()
    soundfile.write(project / "market/a.wav", np.random.default_rng(2).normal(0, 0.1, 3 * RATE), RATE)
    done = ser_ops(project, "noise", "add", "fish_market", "market")
    assert done.returncode == 0, done.stderr
    assert (project / "data/noise/recorded/fish_market/a.wav").exists() and (project / "market/a.wav").exists()
    assert "fish_market" in ser_ops(project, "noise", "list", "--json").stdout


@pytest.mark.parametrize("seconds", [0.5, 2.5, 11.0])
def test_a_recording_of_any_length_is_answered_in_json(project, tmp_path, seconds):
    file = tmp_path / "speech.wav"
    soundfile.write(file, np.random.default_rng(3).normal(0, 0.1, int(seconds * RATE)), RATE)
    done = ser_ops(project, "predict", str(file), "--model", "model", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["path"] == str(file) and set(answer["probabilities"]) == set(EMOTIONS)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert answer["seconds"] == pytest.approx(seconds, abs=0.01) and answer["emotion"] in EMOTIONS


def test_telephone_speech_is_answered_with_a_warning(project, tmp_path):
    file = tmp_path / "call.wav"
    soundfile.write(file, np.random.default_rng(4).normal(0, 0.1, 8000 * 2), 8000)
    done = ser_ops(project, "predict", str(file), "--model", "model", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)
    assert "warning" in done.stderr and "8000 Hz" in done.stderr


def test_bad_recordings_are_named_and_the_good_one_is_answered(project, tmp_path):
    good = tmp_path / "good.wav"
    soundfile.write(good, np.random.default_rng(5).normal(0, 0.1, RATE), RATE)
    bad = {"empty.wav": b"", "words.wav": b"no audio at all" * 50}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    for name, samples in {"silent.wav": np.zeros(RATE), "one.wav": np.full(1, 0.5),
                          "nan.wav": np.full(RATE, np.nan)}.items():
        soundfile.write(tmp_path / name, samples, RATE, subtype="FLOAT")
    names = ["empty.wav", "words.wav", "silent.wav", "one.wav", "nan.wav", "missing.wav"]
    files = [str(tmp_path / name) for name in [*names, "good.wav"]]
    done = ser_ops(project, "predict", *files, "--model", "model", "--json")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [str(good)]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(names) and all(name in line for name, line in zip(names, errors, strict=True))


@pytest.mark.parametrize(("arguments", "words"), [
    (("corpora", "add", "ravdess", "nowhere"), "nowhere"),
    (("corpora", "add", "ravdess", "market2"), "market2"),
    (("corpora", "add", "iemocap", "given"), "iemocap"),
    (("corpora", "check", "nobody"), "nobody"),
    (("noise", "add", "fish_market", "nowhere"), "nowhere"),
    (("predict", "given/Actor_01/03-01-01-01-01-01-01.wav"), "there is no tracking database"),
    (("predict", "x.wav", "--model", "no/such/model"), "no/such/model"),
    (("promote",), "there is no tracking database"),
    (("demote",), "there is no tracking database"),
])
def test_a_mistake_is_one_line(project, arguments, words):
    (project / "market2").mkdir(exist_ok=True)
    assert words in one_line(ser_ops(project, *arguments))


def test_a_misspelt_key_is_named(project, tmp_path):
    text = (PROJECT / "params.yaml").read_text().replace("\n  epochs:", "\n  epocs:", 1)
    (tmp_path / "params.yaml").write_text(text)
    assert "train.epocs: unknown key, did you mean 'epochs'?" in one_line(ser_ops(tmp_path, "corpora", "list"))


def test_outside_a_project_is_said(tmp_path):
    assert "run from the project's top folder" in one_line(ser_ops(tmp_path, "corpora", "list"))


def test_a_zip_that_points_outside_is_refused(project, tmp_path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(project / "given/Actor_01/03-01-01-01-01-01-01.wav", "../../Actor_01/03-01-01-01-01-01-01.wav")
    assert "outside" in one_line(ser_ops(project, "corpora", "add", "ravdess", str(archive), "--name", "evil"))
    assert not (project / "data/corpora/evil").exists()


def test_a_tracking_server_that_is_down_is_one_line(project):
    said = one_line(ser_ops(project, "promote", MLFLOW_TRACKING_URI="http://user:planted@127.0.0.1:9"))
    assert "127.0.0.1:9" in said and "planted" not in said
