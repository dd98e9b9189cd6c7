"""ser-ops evaluate on a manifest of anybody's: what it counts, what it leaves out, and what it says of both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from evaluation_world import settings
from project_copy import write_settings
from typer.testing import CliRunner

from ser_ops.cli import app
from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.evaluation.labelled_audio import evaluate_manifest
from ser_ops.inference.recogniser import Recogniser
from ser_ops.models import architectures, model_folder

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
RATE = 16000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a small untrained model, four recordings, one of silence and one that is too short."""
    folder = tmp_path_factory.mktemp("world")
    write_settings(folder, settings(seeds=[1], intensities=[0.5]))
    preset = load_params(folder / "params.yaml").chosen
    model_folder.save(folder / "model", architectures.build("spectral", preset, seed=1), {"preset": "tiny", "data": {}})
    rng = np.random.default_rng(5)
    for name in ("a", "b", "c", "d"):
        soundfile.write(folder / f"{name}.wav", rng.normal(0, 0.1, RATE), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "short.wav", rng.normal(0, 0.1, 200), RATE)
    soundfile.write(folder / "shorter.wav", rng.normal(0, 0.1, 100), RATE)
    (folder / "noise/kitchen").mkdir(parents=True)
    soundfile.write(folder / "noise/kitchen/pan.flac", rng.normal(0, 0.1, 2 * RATE), RATE)
    (folder / "noise/kitchen/words.wav").write_bytes(b"no audio")
    return folder


def evaluated(world: Path, manifest: str, *, noise: bool = False, **labels: str) -> dict[str, Any]:
    (world / "list.csv").write_text(manifest)
    network, card = model_folder.load(world / "model")
    params = load_params(world / "params.yaml")
    return evaluate_manifest(network, card, world / "list.csv", world / "noise" if noise else None, params, labels)


def test_what_is_left_out_is_counted_by_reason_and_named(world: Path) -> None:
    metrics = evaluated(world, "path,emotion,speaker\na.wav,sad,1\nb.wav,Joy,2\nc.wav,bored,3\nsilent.wav,sad,1\n"
                      "short.wav,sad,1\nshorter.wav,sad,1\ngone.wav,sad,1\n", noise=True, joy="happy", Bored="drop")
    assert (metrics["used"], metrics["of"], metrics["utterances"]) == (2, 7, 2)
    assert sum(metrics["left_out"].values()) == 5 and metrics["left_out"]["label 'bored' is dropped"] == 1
    assert {reason.split(",")[0] for reason in metrics["left_out"]} >= {"silent", "… s are shorter than 0.1 s"}
    assert [Path(entry["path"]).name for entry in metrics["skipped"]] == [
        "gone.wav", "short.wav", "shorter.wav", "silent.wav", "words.wav"]
    assert metrics["noise"]["used"] == 1 and metrics["noise"]["of"] == 2
    assert metrics["chance_uar"] == 0.5 and list(metrics["cells"]) == ["kitchen@0.50", "white@0.50"]
    json.dumps(metrics, allow_nan=False)


def test_parts_of_a_recording_are_judged_by_themselves(world: Path) -> None:
    whole = evaluated(world, "path,emotion,speaker\na.wav,sad,1\n")
    parts = evaluated(world, "path,start,end,emotion,speaker\na.wav,0,0.4,sad,1\na.wav,0.5,,sad,1\na.wav,0.2,7,sad,1\n"
                      "a.wav,3,4,sad,1\n")
    assert (whole["used"], parts["used"], parts["of"]) == (1, 3, 4)
    assert parts["calibration_error"] != whole["calibration_error"]
    assert "after its end" in parts["skipped"][0]["reason"] and parts["skipped"][0]["name"] == "manifest/a@3-4"
    assert ["after the end of the recording" in entry["warning"] for entry in parts["warnings"]].count(True) == 1


def test_evaluate_warns_of_the_rate_where_predict_does(world: Path) -> None:
    samples = np.random.default_rng(6).normal(0, 0.1, 12000)
    for rate in (8000, 11025, RATE, 48000):
        soundfile.write(world / f"at{rate}.wav", samples, rate)
    network, card = model_folder.load(world / "model")
    recogniser = Recogniser((network, card), "cpu")
    lines = "".join(f"at{rate}.wav,sad,1\n" for rate in (8000, 11025, RATE, 48000))
    metrics = evaluated(world, f"path,emotion,speaker\n{lines}")
    for rate, telephone in ((8000, True), (11025, True), (RATE, False), (48000, False)):
        warnings = [entry["warning"] for entry in metrics["warnings"] if entry["name"] == f"manifest/at{rate}"]
        assert warnings == recogniser.answer_file(world / f"at{rate}.wav").warnings
        assert any("telephone bandwidth" in warning for warning in warnings) == telephone


def test_a_warning_is_shown_whole_and_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    speech = np.random.default_rng(7).normal(0, 0.1, RATE)
    for name, channels in (("one", [speech, -speech]), ("two", [speech, -0.9 * speech]), ("three", [speech, speech])):
        soundfile.write(f"{name}.wav", np.stack(channels, 1), RATE)
    Path("list.csv").write_text("path,emotion,speaker\none.wav,sad,1\ntwo.wav,sad,1\nthree.wav,sad,2\n")
    result = CliRunner().invoke(app, ["evaluate", "--manifest", "list.csv", "--model", "model"])
    (warning,) = [line for line in result.stderr.splitlines() if "channels" in line]
    assert warning.startswith("warning: 2 of 3 recordings: the mean of its 2 channels is … dB below ")
    assert ": only channel 1, " in warning and warning.endswith("is used (--channel chooses another)")


def test_a_manifest_of_which_nothing_can_be_used_is_one_line(world: Path) -> None:
    with pytest.raises(UserError, match=r"none of its 3 recordings can be used \(cannot be .*\(2\), silent.*\(1\)\)"):
        evaluated(world, "path,emotion,speaker\ngone.wav,sad,1\naway.wav,sad,1\nsilent.wav,sad,1\n")


def test_a_label_without_a_map_names_the_option(world: Path) -> None:
    with pytest.raises(UserError, match=r"'joy' .1.: .*with --labels, as in --labels joy=happy,bored=drop"):
        evaluated(world, "path,emotion,speaker\na.wav,joy,1\n")


def test_the_command_says_it_beside_every_figure(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    Path("list.csv").write_text("Path;Emotion;Speaker;Split\n;;;\na.wav;joy;1;test\nb.wav;SAD;2;train\nsilent.wav;sad;2;\n"
                                "d.wav;bored;2;\n")
    Path("labels.yaml").write_text("Joy: happy\nbored: drop\n")
    arguments = ["evaluate", "--manifest", "list.csv", "--model", "model", "--noise", "noise", "--labels"]
    result = CliRunner().invoke(app, [*arguments, "joy=happy,bored=drop"])
    first, *cells = result.stdout.splitlines()
    assert first.startswith("2 of 4 recordings: clean UAR ") and "(chance 0.500)" in first
    assert "; 2 of 4 recordings not used: label 'bored' is dropped (1), silent, nothing" in first
    assert "; 1 of 2 noise recordings not used: " in first
    assert len(cells) == 2 and all("(chance 0.500)" in cell and "; 2 of 4 recordings" in cell for cell in cells)
    assert "warning: list.csv: columns not used: split" in result.stderr
    assert "every line counts alike; the values of split are ignored" in result.stderr
    answer = json.loads(CliRunner().invoke(app, [*arguments, "labels.yaml", "--json"]).stdout)
    assert (answer["used"], answer["of"], answer["chance_uar"]) == (2, 4, 0.5) and len(answer["oddities"]) == 2
    assert [entry["reason"] for entry in answer["skipped"]] and answer["left_out"]["label 'bored' is dropped"] == 1


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not at hand")
@pytest.mark.parametrize(("case", "used", "of"), [
    ("half_unreadable", 3, 3), ("labels_of_others", 1, 2), ("segments", 1, 2), ("semicolon_excel", 1, 2),
    ("excel_empty_rows", 1, 2), ("refused_by_predict", 1, 5), ("gsm", 2, 2)])
def test_tables_of_others_are_answered(world: Path, case: str, used: int, of: int) -> None:
    network, card = model_folder.load(world / "model")
    metrics = evaluate_manifest(network, card, CASES / f"{case}.csv", None, load_params(world / "params.yaml"),
                              {"happiness": "happy"})
    assert (metrics["used"], metrics["of"]) == (used, of) and sum(metrics["left_out"].values()) == of - used
