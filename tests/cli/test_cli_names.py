"""Files of every name that a file system takes: each is answered or one printable line, and so is the next."""

import io
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project_copy import write_settings
from typer.testing import CliRunner

from ser_ops.cli import app, corpora, model, noise, predict
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.models import architectures, model_folder
from ser_ops.terminal import printable

PROJECT = Path(__file__).resolve().parents[2]
RATE = 16000
NOT_UTF8 = os.fsdecode(b"Gr\xf6\xdfe.wav")
ODD = (NOT_UTF8, "new\nline.wav", "\x1b[2Jescape.wav", "\u202egnp.wav", "c1\x9b31m.wav", "a" * 251 + ".wav",
       "ü" * 120 + ".wav", "-x.wav", " .wav", "...wav", "..wav", ".hidden.wav", "#?%&\"'<b>.wav", "$a$\\frac.wav",
       "[ab]*.wav", "con.wav", "日本 語.wav", "con.aux.wav", "double  space.wav")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with params.yaml, a quick untrained model and a recording that is as it should be."""
    folder = tmp_path_factory.mktemp("project")
    write_settings(folder)
    small = load_preset("small", folder / "params.yaml")
    preset = small.model_copy(update={
        "features": small.features.model_copy(update={"seconds": 0.5}),
        "spectral": small.spectral.model_copy(update={"channels": (8,) * 4, "embedding": 8})})
    model_folder.save(folder / "model", architectures.build("spectral", preset, seed=1), {"preset": "tiny", "data": {
        "corpora": ["made"], "synthetic": ["made"], "protocol": "speaker", "licences": {"made": "CC BY-NC 4.0"}}})
    soundfile.write(folder / "good.wav", np.random.default_rng(1).normal(0, 0.1, RATE // 2), RATE)
    return folder


@pytest.fixture
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    return project


def ser_ops(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "ser_ops.cli", *map(os.fsencode, arguments)], cwd=folder,
                          capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120)


def answers(files: Sequence[str | Path]) -> tuple[list[dict], list[str]]:
    """What predict --json writes for files in the current folder: answers, and lines beside them."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), suppress(SystemExit):
        predict.predict(list(map(str, files)), "model", None, True)
    said = out.getvalue() + err.getvalue()
    assert all(line.isprintable() for line in said.split("\n")), said
    return [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue().splitlines()


def copied(project: Path, name: str) -> Path:
    path = Path("named") / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(project / "good.wav", path)
    return path


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=251).filter(lambda name: not set(name) & {0, 47}), min_size=1,
                max_size=4))
def test_any_name_is_answered_and_so_is_the_next(inside, stems):
    files = [copied(inside, os.fsdecode(stem + b".wav")) for stem in stems]
    answered, beside = answers([*files, Path("good.wav")])
    assert [answer["path"] for answer in answered] == [*map(str, files), "good.wav"] and not beside


def test_names_that_people_have(inside):
    files = [copied(inside, name) for name in ODD]
    answered, beside = answers(files)
    assert [answer["path"] for answer in answered] == list(map(str, files)) and not beside
    assert answered[0]["caveats"] == [
        "The model learnt from SYNTHETIC speech (made): answers and figures say nothing about people.",
        "Commercial use is not allowed, or not known to be, by the licences of: made."]


def test_what_is_no_recording_is_one_line_each_and_the_batch_goes_on(inside):
    os.mkfifo("pipe.wav")
    Path("folder.wav").mkdir()
    Path("loop.wav").symlink_to("loop.wav")
    bad = ["pipe.wav", "folder.wav", "loop.wav", "", "/dev/zero", "a" * 300 + ".wav", "gone\n\x1b[2J.wav",
           os.fsdecode(b"gone\xff.wav"), "good.wav/under.wav"]
    answered, beside = answers([*bad, "good.wav"])
    assert [answer["path"] for answer in answered] == ["good.wav"] and len(beside) == len(bad)
    for name, line in zip(bad, beside, strict=True):
        assert line.startswith(f"error: {printable(name)}") and line.count(": ") >= 2


@pytest.mark.parametrize("arguments", [
    ("explain", "", "--model", "model"), ("evaluate", "--manifest", "", "--model", "model"),
    ("corpora", "add", "ravdess", ""), ("noise", "add", "rain", "")])
def test_an_empty_name_is_called_that(inside, arguments):
    done = CliRunner().invoke(app, [*arguments])
    assert "name is empty" in str(done.exception) and isinstance(done.exception, UserError)
    _, (line,) = answers([""])
    assert line == "error: '': the name is empty: give the name of a file or folder"


def test_both_spellings_of_an_accent_are_one_name(inside):
    composed, apart = (unicodedata.normalize(form, "früh.wav") for form in ("NFC", "NFD"))
    copied(inside, apart)
    (answer,), beside = answers([Path("named") / composed])
    assert answer["path"] == f"named/{composed}" and not beside


@pytest.mark.slow
def test_words_for_people_name_the_caveats(inside):
    copied(inside, "new\nline.wav")
    done = ser_ops(inside, "predict", "named/new\nline.wav", "--model", "model")
    (line,) = done.stdout.decode().splitlines()
    assert line.startswith("named/new\\nline.wav: ") and line.endswith(
        "; 0.5 s) [learnt from synthetic speech; non-commercial]") and done.returncode == 0


def test_evaluate_names_the_caveats(inside):
    Path("one.csv").write_text("path,emotion,speaker\ngood.wav,sad,a\n")
    said = {}
    for as_json in (False, True):
        with redirect_stdout(io.StringIO()) as out:
            model.evaluate(Path("one.csv"), model="model", json=as_json)
        said[as_json] = out.getvalue()
    assert said[False].splitlines()[0].endswith("[learnt from synthetic speech; non-commercial]")
    assert "SYNTHETIC speech (made)" in json.loads(said[True])["caveats"][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", [NOT_UTF8, "...wav", "#?%<img src=x>\"'$a$\\frac$" + "a" * 225 + ".wav"])
def test_a_recording_of_any_name_is_explained(inside, name):
    file, out = copied(inside, name), io.StringIO()
    with redirect_stdout(out):
        model.explain(file, "model", None, None, json=True)
    answer = json.loads(out.getvalue())
    page = Path(answer["page"])
    assert answer["path"] == str(file) and page.parent.parent == Path("reports/explain")
    assert "<img src=x>" not in page.read_text() and answer["caveats"][0] in page.read_text()
    assert answer["notes"][:2] == answer["caveats"]


def test_what_no_table_could_name_is_left_out_and_said(inside):
    """DVC and the pipeline's tables are UTF-8; the recordings beside it come in."""
    (inside / "data").mkdir(exist_ok=True)
    for folder in ("market", "voices/Actor_01"):
        Path(folder).mkdir(parents=True)
        shutil.copy(inside / "good.wav", Path(folder) / NOT_UTF8)
    shutil.copy(inside / "good.wav", "market/esc\x1b[2J\n.wav")
    shutil.copy(inside / "good.wav", "voices/Actor_01/03-01-05-01-01-01-01.wav")
    said = []
    for add in (lambda: noise.add("fish_market", "market", json=True), lambda: corpora.add("ravdess", "voices")):
        with redirect_stdout(io.StringIO()) as out:
            add()
        said.append(out.getvalue())
    answered = json.loads(said[0])
    assert answered["added"] == ["esc\x1b[2J\n.wav"]
    assert answered["skipped"] == {NOT_UTF8: "its name is not UTF-8: rename it"}
    assert "1 of 1440" in said[1] and "skipped 1: its name is not UTF-8: rename it" in said[1]


def test_a_page_of_another_recording_is_never_overwritten(tmp_path):
    explained, recordings = tmp_path / "explain", ["a/x.wav", "b/x.wav", "a/x.flac", "a/..wav", "a/...wav", "a/.x.wav"]
    folders = []
    for recording in recordings:
        folder = model._page_folder(explained, Path(recording))
        folder.mkdir(parents=True)      # a second one of the same name fails
        (folder / "explanations.json").write_text(json.dumps({"recording": recording}))
        folders.append(folder)
        assert model._page_folder(explained, Path(recording)) == folder
    assert folders[0] == explained / "x" and {folder.parent for folder in folders} == {explained}
    assert not any(folder.name.startswith(".") for folder in folders)
