"""ser-ops watch as a command: verdicts, exit codes, the page, corrections, and a model that is not the records'."""

import json
from dataclasses import replace
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


def silent(records, share=0.0):
    """The same records where a share of the first ones alone holds speech: a dead microphone writes the others."""
    figures, dead = records.figures.copy(), np.arange(len(records)) >= share * len(records)
    for name, value in (("speech_share", 0.0), ("level_dbfs", -90.0), ("snr_db", np.nan)):
        figures[dead, FIGURES.index(name)] = value
    return replace(records, figures=figures,
                   embeddings=np.where(dead[:, None], np.float32("nan"), records.embeddings))


def kept(folder: Path, model: str, *several) -> Path:
    """A folder with the records of each period, as of a model."""
    folder.mkdir(exist_ok=True)
    for number, records in enumerate(several):
        pyarrow.parquet.write_table(table_of(rows(records, model)), folder / f"{model[:6]}-{number}.parquet")
    return folder


@pytest.mark.parametrize(("own", "others", "alive", "words"), [
    (0, 60, 1.0, "0 records of this model in which somebody speaks, of 0 of it, and 60 of other models;"),
    (60, 0, 0.0, "0 records of this model in which somebody speaks, of 60 of it;"),
    (49, 9, 1.0, "49 records of this model in which somebody speaks, of 49 of it, and 9 of other models;"),
    (98, 0, 0.5, "49 records of this model in which somebody speaks, of 98 of it;")])
def test_a_baseline_holds_enough_speech_heard_by_this_model(model, tmp_path, own, others, alive, words):
    folder, _ = heard(tmp_path / "heard", model)
    for number, count in ((fingerprint(model), own), ("b" * 64, others)):
        if count:
            kept(tmp_path / "usual", number, silent(made(count, 7)[0], alive))
    done = run(str(folder), "--model", str(model), "--baseline", str(tmp_path / "usual"), "--out",
               str(tmp_path / "out"))
    assert isinstance(done.exception, UserError) and words in str(done.exception)
    assert "a baseline needs 50 (watch.least_records)" in str(done.exception) and not (tmp_path / "out").exists()


def test_the_least_baseline_is_compared_with(model, tmp_path):
    folder, _ = heard(tmp_path / "heard", model)
    usual = kept(tmp_path / "usual", fingerprint(model), silent(made(100, 7)[0], 0.5))
    kept(usual, "b" * 64, made(300, 9)[0])
    done = run(str(folder), "--model", str(model), "--baseline", str(usual), "--out", str(tmp_path / "out"), "--json")
    assert json.loads(done.stdout)["reference"]["records"] == 100
