"""ser-ops watch as a command: verdicts, exit codes, the page, corrections, and a model that is not the records'."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from made_records import made, reference
from typer.testing import CliRunner

from ser_ops import cli
from ser_ops.config.model_json import fingerprint
from ser_ops.config.params import load_preset
from ser_ops.config.services import Watch
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.models import architectures, model_folder
from ser_ops.watch.periods import watched
from ser_ops.watch.records import FIGURES, PROBABILITIES, table_of
from ser_ops.watch.reference import read_reference, write_reference

QUICK = Watch(resamples=100, sample=100)


def rows(records, model):
    return [{"id": name, "time": int(time.astype(int)), "model": model,
             **dict(zip(FIGURES, figures, strict=True)), **dict(zip(PROBABILITIES, chances, strict=True)),
             "embedding": embedding}
            for name, time, figures, chances, embedding in zip(
                records.ids.tolist(), records.times, records.figures.tolist(), records.probabilities.tolist(),
                records.embeddings.tolist(), strict=True)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A folder of a model with random weights, and a made reference beside them."""
    folder = tmp_path_factory.mktemp("watch") / "model"
    model_folder.save(folder, architectures.build("spectral", load_preset("demo"), seed=1), {})
    known = reference(400)
    write_reference(folder / "reference.parquet", [
        row | {"emotion": EMOTIONS[emotion], "clip": number, "speaker": number % 12, "condition": "clean@0.00",
               "true_snr_db": float("nan")}
        for number, (row, emotion) in enumerate(zip(rows(known.records, fingerprint(folder)),
                                                    known.true.tolist(), strict=True))])
    return folder


def heard(folder: Path, model: Path, **given) -> tuple[Path, np.ndarray]:
    records, true = made(80, 2, **given)
    folder.mkdir()
    pyarrow.parquet.write_table(table_of(rows(records, fingerprint(model))), folder / "a.parquet")
    return folder, true


def run(*arguments: str):
    return CliRunner().invoke(cli.app, ["watch", *arguments])


def test_a_reference_is_read_as_it_was_written(model):
    known, again = reference(400), read_reference(model / "reference.parquet")
    order = np.argsort(again.clips)
    assert again.true[order].tolist() == known.true.tolist()
    assert again.speakers[order].tolist() == known.speakers.tolist()
    assert np.allclose(again.records.probabilities[order], known.records.probabilities, atol=1e-6)
    assert len(again.one_of_each_clip(1)) == 400


def test_a_quiet_week_ends_well_and_a_change_with_3(model, tmp_path):
    folder, true = heard(tmp_path / "quiet", model)
    table = tmp_path / "corrections.csv"
    table.write_text("record,emotion\n" + "".join(f"2-{number},{EMOTIONS[emotion]}\n"
                                                  for number, emotion in enumerate(true[:40].tolist())) + "other,sad\n")
    done = run(str(folder), "--model", str(model), "--out", str(tmp_path / "out"), "--corrections", str(table),
               "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["verdict"] == "quiet" and report["corrections"] == {"given": 41, "known": 40}
    assert report["periods"][0]["measured"]["records"] == 40
    assert report == json.loads((tmp_path / "out/watch.json").read_text())
    page = (tmp_path / "out/index.html").read_text()
    assert "Its card does not say what the model learnt from." in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "") and "Quiet" in page

    folder, _ = heard(tmp_path / "changed", model, level=-35.0)
    done = run(str(folder), "--model", str(model), "--out", str(tmp_path / "out"))
    assert done.exit_code == 3 and "changed: " in done.output and "Level: -35" in done.output
    assert "alarm" in (tmp_path / "out/index.html").read_text()


def test_what_cannot_be_compared_is_one_line(model, tmp_path):
    folder, _ = heard(tmp_path / "heard", model)
    other = tmp_path / "other"
    model_folder.save(other, architectures.build("spectral", load_preset("demo"), seed=2), {})
    for options, words in (
            (["--model", str(other)], "reference.parquet: is missing"),
            (["--model", str(other), "--reference", str(model / "reference.parquet")], "of another model")):
        done = run(str(folder), *options, "--out", str(tmp_path / "out"))
        assert isinstance(done.exception, UserError) and words in str(done.exception)
    table = tmp_path / "corrections.csv"
    table.write_text("record,emotion\n2-0,bored\n")
    done = run(str(folder), "--model", str(model), "--corrections", str(table), "--out", str(tmp_path / "out"))
    assert "line 2: 'bored' is none of" in str(done.exception)


def test_periods_are_weeks_of_one_model_and_few_records_say_nothing():
    known = reference(300)
    first, second = made(60, 5, day="2026-11-22")[0], made(20, 6, day="2026-11-23")[0]   # a Sunday and a Monday
    several = first.of(np.arange(60))
    for week in (several, second):
        report = watched(week, "a" * 64, known, QUICK)
        assert [period["start"] for period in report["periods"]] == ["2026-11-16" if week is several else "2026-11-23"]
    assert report["verdict"] == "too few records" and not report["alarm"]
    assert watched(several, "b" * 64, known, QUICK)["other_models"] == 60


def test_a_drop_is_said_by_confidence_and_by_corrections():
    known, (now, true) = reference(600), made(300, 8, sharpness=2.0)
    report = watched(now, "a" * 64, known, QUICK, dict(zip(now.ids.tolist(), true.tolist(), strict=True)))
    assert report["verdict"] == "worse"
    words = [alarm["words"] for alarm in report["periods"][0]["alarms"] if alarm["kind"] == "worse"]
    assert any("by confidence" in line for line in words) and any("by corrections" in line for line in words)


def test_a_baseline_takes_the_place_of_the_reference():
    known, (usual, _), (now, _) = reference(300), made(300, 3, level=-40.0), made(100, 4, level=-40.0)
    assert watched(now, "a" * 64, known, QUICK)["verdict"] == "changed"
    assert watched(now, "a" * 64, known, QUICK, baseline=usual)["verdict"] == "quiet"
