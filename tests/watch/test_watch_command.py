"""ser-ops watch as a command: verdicts, exit codes, the page, corrections, and a model that is not the records'."""

import json
import shutil
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from made_records import made, reference
from typer.testing import CliRunner

from ser_ops import cli
from ser_ops.config.model_json import fingerprint, read_model_json
from ser_ops.config.params import load_preset
from ser_ops.config.services import Watch
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.models import architectures, model_folder
from ser_ops.watch.periods import watched
from ser_ops.watch.records import FIGURES, PROBABILITIES, Records, table_of
from ser_ops.watch.reference import read_reference, write_reference

PROJECT = Path(__file__).resolve().parents[2]
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
    (folder / "b.jsonl").write_bytes(b"\0\0\n\xff\n")
    done = run(str(folder), "--model", str(model), "--out", str(tmp_path / "out"))
    assert "2 damaged lines of logs are left out." in done.output
    assert "2 damaged lines of logs are left out" in (tmp_path / "out/index.html").read_text()
    assert done.exit_code == 3 and "changed: " in done.output and "Level: -35" in done.output
    assert "alarm" in (tmp_path / "out/index.html").read_text()


def test_an_exported_model_and_its_source_have_the_same_records(model, tmp_path):
    exported = Path(shutil.copytree(model, tmp_path / "exported"))
    card = read_model_json(model)
    write_json(exported / "model.json", card | {"onnx_sha256": "0" * 64, "exported_from": fingerprint(model)})
    assert fingerprint(exported) != fingerprint(model)
    folder, _ = heard(tmp_path / "heard", model)
    for each in (model, exported):
        done = run(str(folder), "--model", str(each), "--out", str(tmp_path / "out"), "--json")
        assert done.exit_code == 0 and json.loads(done.stdout)["records"] == 80, done.output


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


def in_project(folder: Path, monkeypatch) -> Path:
    """The folder as one of a project, with the settings of this one."""
    for name in ("params.yaml", "presets"):
        (folder / name).symlink_to(PROJECT / name)
    (folder / "work").mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_reference_of_the_last_evaluation_is_named_where_it_is_the_models(model, tmp_path, monkeypatch):
    heard(tmp_path / "heard", model)
    bare = Path(shutil.copytree(model, tmp_path / "bare", ignore=shutil.ignore_patterns("reference.parquet")))
    other = tmp_path / "other"
    model_folder.save(other, architectures.build("spectral", load_preset("demo"), seed=2), {})
    in_project(tmp_path, monkeypatch)
    shutil.copy(model / "reference.parquet", "work")
    done = run("heard", "--model", str(bare))
    assert "give --reference work/reference.parquet" in str(done.exception)
    assert run("heard", "--model", str(bare), "--reference", "work/reference.parquet").exit_code == 0
    said = str(run("heard", "--model", str(other)).exception)
    assert "reference.parquet: is missing: name labelled records" in said and "work/" not in said


@pytest.mark.parametrize("store", [None, "sqlite:///mlflow.db", "http://127.0.0.1:9"])
def test_figures_go_to_the_experiment_of_a_project_alone(model, tmp_path, monkeypatch, store):
    folder, _ = heard(tmp_path / "heard", model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store) if store else monkeypatch.delenv("MLFLOW_TRACKING_URI", False)
    done = run(str(folder), "--model", str(model), "--track")
    assert isinstance(done.exception, UserError) and str(done.exception).startswith("--track: no project is here")
    assert [path.name for path in tmp_path.iterdir()] == ["heard"]
    assert run(str(folder), "--model", str(model)).exit_code == 0 and (tmp_path / "watch/index.html").is_file()


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


def joined(*several) -> Records:
    return Records(*(np.concatenate([getattr(records, field.name) for records in several])
                     for field in fields(Records)))


def at(day: int, hour: int = 12) -> datetime:
    """A moment of a November whose Mondays are the 2nd, 9th, 16th, 23rd and 30th."""
    return datetime(2026, 11, day, hour, tzinfo=UTC)


@pytest.mark.parametrize("now", [at(17), at(24)])
@pytest.mark.parametrize("usual", [0, 120])
@pytest.mark.parametrize(("count", "alive"), [(2000, 0.0), (60, 0.0), (200, 0.2)])
def test_a_dead_microphone_is_a_change(now, usual, count, alive):
    """Whether its week is over or not, and whether any recording held speech before."""
    dead = silent(made(count, 3, day="2026-11-16")[0], alive)
    report = watched(joined(made(usual, 2, day="2026-11-09")[0], dead), "a" * 64, reference(400), QUICK, now=now)
    assert report["verdict"] == "changed" and report["alarm"]
    period, words = report["periods"][-1], report["words"]
    assert f"{count} recordings, {round(count * alive)} of them with speech" in words[0]
    assert any(line.startswith("Share of speech: 0.0 %, before") for line in words), words
    assert any("answers, embeddings and the UAR to expect are left out" in line for line in words), words
    assert {test["name"] for test in period["drifts"]}.isdisjoint({"answers", "embedding", "confidence"})
    assert period["by_confidence"] is period["by_snr"] is period["measured"] is None and period["spoken"] == round(
        count * alive)


def test_nearly_enough_speech_is_no_change_and_is_not_called_quiet():
    report = watched(silent(made(51, 3)[0], 48.5 / 51), "a" * 64, reference(400), QUICK)
    assert report["verdict"] == "too few records" and not report["alarm"]
    assert report["periods"][0]["spoken"] == 49 and "Sound is as it was." in report["words"]


def test_a_dead_microphone_ends_with_3_and_has_its_page(model, tmp_path):
    folder = kept(tmp_path / "heard", fingerprint(model), made(120, 2, day="2026-11-09")[0],
                  silent(made(300, 3, day="2026-11-16")[0]))
    done = run(str(folder), "--model", str(model), "--out", str(tmp_path / "out"))
    assert done.exit_code == 3 and done.output.startswith("changed: From 2026-11-16 to 2026-11-23"), done.output
    page = (tmp_path / "out/index.html").read_text()
    assert "share of speech: 0.0 %" in page and "What changed, 2026-11-16 to 2026-11-23" in page


LOUD = {"level": -5.0}


@pytest.mark.parametrize(("whole", "running", "verdict", "judged"), [
    ((300, LOUD), (60, {}), "changed", ["16", "23"]),       # a good Monday hides no bad week
    ((300, {}), (60, LOUD), "changed", ["23", "16"]),       # nor does a good week hide a bad Monday
    ((300, {}), (60, {}), "quiet", ["16", "23"]),
    ((300, {}), (10, LOUD), "quiet", ["16"]),               # of a few hours nothing is said
    ((300, LOUD), (10, {}), "changed", ["16"]),
    ((10, {}), (60, {}), "too few records", ["16", "23"]),
    ((10, {}), (60, LOUD), "changed", ["23", "16"]),
    ((0, {}), (10, {}), "too few records", ["23"]),
    ((0, {}), (60, LOUD), "changed", ["23"])])
def test_the_last_whole_week_and_the_running_one_are_judged(whole, running, verdict, judged):
    older = made(300, 1, day="2026-11-09", **LOUD)[0]       # an alarm that the Monday before has told
    records = joined(*(() if not whole[0] else (older, made(whole[0], 2, day="2026-11-16", **whole[1])[0])),
                     made(running[0], 3, day="2026-11-23", **running[1])[0])
    report = watched(records, "a" * 64, reference(400), QUICK, now=at(23, 6))
    assert report["verdict"] == verdict and report["alarm"] == (verdict == "changed")
    starts = [line for line in report["words"] if line.startswith("From ")]
    assert [line[len("From 2026-11-"):][:2] for line in starts] == judged
    assert all((", in part (until " in line) == line.startswith("From 2026-11-23") for line in starts)
    assert [period["whole"] for period in report["periods"]] == [True] * 2 * bool(whole[0]) + [False]


def test_the_whole_week_is_judged_where_one_period_alone_is_shown():
    records = joined(made(300, 2, day="2026-11-16", **LOUD)[0], made(60, 3, day="2026-11-23")[0])
    report = watched(records, "a" * 64, reference(400), QUICK.model_copy(update={"periods": 1}), now=at(23, 6))
    assert report["verdict"] == "changed" and len(report["periods"]) == 2


@pytest.mark.parametrize(("now", "said"), [(at(9), False), (at(15), False), (at(17), True), (at(30), True)])
def test_records_that_ended_are_judged_as_when_they_ended(now, said):
    """A bad week is not hidden by a good Monday whenever somebody looks at them, and that no more came is said."""
    records = joined(made(300, 2, day="2026-11-02", **LOUD)[0], made(60, 3, day="2026-11-09")[0])
    report = watched(records, "a" * 64, reference(400), QUICK, now=now)
    assert report["verdict"] == "changed" and len(report["judged"]) == 2
    assert report["words"][0].startswith("From 2026-11-02")
    assert ("No record is newer than 2026-11-09 00:00." in report["words"]) == said


def test_a_whole_week_is_judged_alone_where_monday_has_no_records_yet():
    records = joined(made(300, 2, day="2026-11-09", **LOUD)[0], made(60, 3, day="2026-11-20")[0])
    report = watched(records, "a" * 64, reference(400), QUICK, now=at(23, 6))
    assert report["verdict"] == "quiet" and len(report["judged"]) == 1 and report["periods"][-1]["whole"]


@pytest.mark.parametrize("own", [0, 10])
def test_records_of_other_models_are_counted_by_model(own):
    others = [replace(made(count, 5)[0], models=np.full(count, letter * 64))
              for letter, count in (("b", 20), ("c", 300), ("d", 7), ("e", 1), ("f", 1))]
    report = watched(joined(made(own, 2)[0], *others), "a" * 64, reference(300), QUICK, now=at(25))
    said = report["words"][-1]
    assert said.startswith(f"{own} of {329 + own} records are of this model (aaaaaaaaaaaa), 300 of cccccccccccc, 20 of "
                           "bbbbbbbbbbbb, 7 of dddddddddddd, the rest of 2 more: name the model")
    assert report["verdict"] == "too few records" and report["other_models"] == 329
    assert len(report["words"]) == 1 + bool(own)
    assert not any("--model" in line for line in watched(joined(made(60, 2)[0], *others), "a" * 64, reference(300),
                                                         QUICK)["words"])


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
