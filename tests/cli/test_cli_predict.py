"""ser-ops predict outside of a project: many recordings, tables, a timeline, standard input, sets."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import ser_ops
from ser_ops.cli import app
from ser_ops.config.params import load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.inference.recogniser import Recogniser
from ser_ops.models import architectures, model_folder
from ser_ops.speech.detector import Segment, copy_weights

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model_folder.save(folder, architectures.build("spectral", load_preset("demo"), seed=1), {
        "speech_sha256": copy_weights(folder), "conformal_scores": list(range(100, 10_000, 100))})
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with noise in two recordings, a bad one, and no project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls").mkdir()
    for number in (1, 2):
        samples = np.random.default_rng(number).normal(0, 0.1, 3 * RATE)
        soundfile.write(tmp_path / f"calls/{number}.wav", samples, RATE)
    (tmp_path / "calls/bad.wav").write_bytes(b"no audio at all" * 50)
    return tmp_path


def predict(model, *arguments: str):
    return CliRunner().invoke(app, ["predict", *arguments, "--model", str(model)], catch_exceptions=False)


def test_a_folder_is_answered_and_its_bad_recording_is_named(model, here):
    done = predict(model, "calls", "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 1 and [record["path"] for record in records] == ["calls/1.wav", "calls/2.wav"]
    assert {record["emotion"] for record in records} == {"no speech"} and records[0]["speech"] == []
    assert done.stderr.count("error: calls/bad.wav") == 1


def test_tables_hold_every_recording_and_why_one_is_not_answered(model, here):
    done = predict(model, "calls/*.wav", "--csv", "a.csv")
    with open("a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert done.stdout == "" and "2 of 3 recordings answered: a.csv" in done.stderr
    assert [(row["path"], row["emotion"], bool(row["error"])) for row in rows] == [
        ("calls/1.wav", "no speech", False), ("calls/2.wav", "no speech", False), ("calls/bad.wav", "", True)]
    predict(model, "calls/1.wav", "--csv", "b.csv", "--timeline")
    with open("b.csv", newline="", encoding="utf-8") as file:
        assert [row["end"] for row in csv.DictReader(file)] == ["2.0", "3.0"]


def test_a_table_of_windows_holds_every_recording(model, here):
    soundfile.write("calls/quiet.wav", np.random.default_rng(0).normal(0, 1e-5, 3 * RATE), RATE)
    soundfile.write("calls/silent.wav", np.zeros(RATE), RATE)
    done = predict(model, "calls", "--csv", "-", "--timeline")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    names = ["1", "2", "bad", "quiet", "silent"]
    assert sorted({row["path"] for row in rows}) == [f"calls/{name}.wav" for name in names]
    quiet, silent = rows[-2:]
    assert [quiet[name] for name in ("start", "end", "emotion", "speech_seconds")] == ["0.0", "3.0", "no speech", "0.0"]
    assert silent["end"] == "1.0" and "4 of 5 recordings answered" in done.stderr


def never(*_):
    raise AssertionError("a recording was answered before the outputs were looked at")


@pytest.mark.parametrize(("arguments", "words"), [
    (("--csv", "pipe"), "pipe: no file may take the place of a pipe or a device"),
    (("--parquet", "pipe"), "pipe: no file may take the place of a pipe or a device"),
    (("--csv", "calls"), "calls: is a folder: give the name of a file"),
    (("--parquet", "calls"), "calls: is a folder: give the name of a file"),
    (("--csv", "file/a.csv"), "a file stands where a folder must be"),
    (("--csv", "a", "--parquet", "a"), "a: --csv and --parquet name the same file"),
    (("--csv", "a", "--parquet", "calls/../a"), "a: --csv and --parquet name the same file"),
    (("--csv", "calls/1.wav"), "calls/1.wav: is the name of a recording"),
    (("--parquet", "new.MP3"), "new.MP3: is the name of a recording"),
    (("--parquet", "-"), "-: Parquet is not written to standard output"),
    (("--csv", "-", "--json"), "-: --csv and --json both write to standard output")])
def test_what_cannot_be_written_is_said_before_a_recording_is_answered(model, here, monkeypatch, arguments, words):
    os.mkfifo("pipe")
    Path("file").touch()
    monkeypatch.setattr(Recogniser, "answer_file", never)
    before = {path: os.lstat(path).st_ino for path in here.rglob("*")}
    with pytest.raises(UserError) as raised:
        predict(model, "calls/1.wav", *arguments)
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert {path: os.lstat(path).st_ino for path in here.rglob("*")} == before


def test_a_table_goes_to_standard_output(model, here):
    done = predict(model, "calls", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["path"] for row in rows] == ["calls/1.wav", "calls/2.wav", "calls/bad.wav"] and done.exit_code == 1
    assert "2 of 3 recordings answered" in done.stderr and not Path("-").exists()


def test_the_timeline_has_a_line_for_each_window(model, here):
    lines = predict(model, "calls/1.wav", "--timeline").stdout.splitlines()
    assert lines[0].startswith("calls/1.wav: no speech (") and len(lines) == 3
    assert lines[1].startswith("  0.00 to 2.00 s: no speech") and lines[2].startswith("  1.00 to 3.00 s: ")


def test_a_recording_comes_through_standard_input(model, here, monkeypatch):
    content = (here / "calls/1.wav").read_bytes()
    done = CliRunner().invoke(app, ["predict", "-", "--json", "--model", str(model)], input=content)
    record = json.loads(done.stdout)
    assert done.exit_code == 0 and record["path"] == "-" and record["seconds"] == 3
    done = CliRunner().invoke(app, ["predict", "-", "--model", str(model)], input=b"")
    assert done.exit_code == 1 and done.stderr.startswith("error: -: "), "not the name of a temporary file"


def test_a_coverage_gives_sets_where_somebody_speaks(model, here, monkeypatch):
    assert json.loads(predict(model, "calls/1.wav", "--json", "--coverage", "0.9").stdout)["emotions"] is None
    assert "one of" not in predict(model, "calls/1.wav", "--coverage", "0.9").stdout
    monkeypatch.setattr("ser_ops.inference.recogniser.segments", lambda *_: (Segment(0.0, 3.0),))
    record = json.loads(predict(model, "calls/1.wav", "--json", "--coverage", "0.9").stdout)
    assert set(record["emotions"]) <= set(EMOTIONS) and record["emotions"]
    assert "calls/1.wav: not sure (" in predict(model, "calls/1.wav", "--coverage", "0.9").stdout
    with pytest.raises(UserError, match="is a share between 0 and 1"):
        predict(model, "calls/1.wav", "--coverage", "90")


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "name one with --model"), (("--model", "models:/ser-fusion@staging"), "set MLFLOW_TRACKING_URI")])
def test_without_a_project_a_model_must_be_named(here, monkeypatch, arguments, words):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=words):
        CliRunner().invoke(app, ["predict", "calls/1.wav", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("arguments", [
    ("predict", "calls/1.wav"), ("score", "calls", "--out", "out"), ("watch", "calls"), ("export", "onnx"),
    ("voices", "enrol", "anna", "calls/1.wav")])
def test_an_empty_address_of_a_model_is_one_line(here, arguments):
    with pytest.raises(UserError, match=r"^'': the address of the model is empty: give a folder, or an address as"):
        CliRunner().invoke(app, [*arguments, "--model", ""], catch_exceptions=False)


def test_the_package_takes_the_addresses_that_the_command_takes(model, here, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert ser_ops.Recogniser(ser_ops.model_folder(str(model)), "cpu").answer_file("calls/1.wav").emotion == "no speech"
    for address, words in (("models:/ser-fusion@staging", "set MLFLOW_TRACKING_URI"), (None, "name one with --model"),
                           ("", "is empty"), ("nowhere", "no such model folder")):
        with pytest.raises(UserError, match=words):
            ser_ops.model_folder(address)


def test_many_recordings_have_a_bar_on_a_terminal_alone(model, here, monkeypatch):
    from ser_ops.cli.predict import _bar

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    names = [str(number) for number in range(12)]
    for stream, wanted in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with _bar(names) as passed:
            assert list(passed) == names
        assert ("12/12" in stream.getvalue()) is wanted
