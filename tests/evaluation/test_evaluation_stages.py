"""The stages evaluate and judge over a small finished pipeline, with a real tracking store and a real package."""

import csv
import json
import os

import numpy as np
import pytest
from evaluation_world import FOLDERS, PROJECT, build, reports

from ser_ops.config.model_json import LACKING
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import read_predictions
from ser_ops.files import write_json
from ser_ops.models import model_folder

FIGURES = ["figures/explanations/a.png", "figures/explanations/shap.png"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A workspace in which evaluate has run."""
    from ser_ops.stages import evaluate
    from ser_ops.tracking.runs import open_run
    folder = tmp_path_factory.mktemp("project")
    before = os.getcwd()
    os.chdir(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        params = build(folder, transmission=["gsm", "loss_15"])
        for name, path in FOLDERS.items():
            with open_run(params, name, {}) as run:
                run.write(folder / "work" / path / "run.json")
        write_json(folder / "work/ablations" / LACKING, {"concat": "no hub is in reach"})
        evaluate.main()
        reports(folder / "reports", FIGURES)
        yield folder, params
    finally:
        os.chdir(before)


@pytest.mark.slow
def test_evaluate_writes_every_report(evaluated):
    folder, _ = evaluated
    metrics = json.loads((folder / "reports" / "metrics.json").read_text())
    assert list(metrics) == ["provenance", "models", "shuffled", "streams"]
    made = metrics["provenance"]
    assert (made["protocol"], made["synthetic"], made["test_utterances"], made["test_speakers"]) == (
        "speaker", ["made"], 13, 2)
    assert made["lacking"] == {"concat": "no hub is in reach"}
    assert made["noise"] == ["fish_market", "white"] and made["noise_without_test_recordings"] == ["railway_engine"]
    models = list(metrics["models"])
    assert models[0] == "fusion" and set(models) == {"fusion", "spectral", "wav2vec", "cnn", "vit"}
    assert metrics["shuffled"]["models"] == 1
    assert metrics["models"]["cnn"]["row"] == "" and metrics["models"]["vit"]["streams"] == ["image"]
    own = metrics["models"]["fusion"]
    assert list(own["cells"]) == ["fish_market@0.25", "fish_market@0.75", "white@0.25", "white@0.75"]
    assert own["streams"] == ["wav2vec", "spectral"] and own["row"] == "D"
    assert own["samples_per_second"]["clean"] > 0 and own["parameters_millions"] > 0
    assert set(metrics["streams"]) == {"wav2vec", "spectral"}
    with (folder / "reports" / "robustness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["model", "noise", "intensity", "seed", "accuracy", "precision", "recall", "f1", "uar",
                             "snr_db"]
    assert len(rows) == 5 * (2 * 2 * 2 + 2)
    assert [row["noise"] for row in rows[8:10]] == ["gsm", "loss_15"]
    assert list(own["transmission"]) == ["mean", "telephone", "cells"] and made["transmission"] == ["gsm", "loss_15"]
    with (folder / "reports" / "ablation.csv").open(newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["A", "B", "D", "", ""]
    for name in ("confusion.png", "confusion_spectral.png", "confusion_vit.png", "robustness.png"):
        assert (folder / "reports" / "figures" / "evaluation" / name).stat().st_size > 5000
    answers = read_predictions(folder / "reports" / "predictions.csv", "shuffled_1")
    assert answers.probabilities.shape == (1, 11, 13, 7)


@pytest.mark.slow
def test_the_same_figures_stand_on_every_run(evaluated):
    from ser_ops.tracking.server import connect
    folder, params = evaluated
    client = connect(params)
    metrics = read_json(folder / "reports" / "metrics.json")
    logged = {}
    for name, path in FOLDERS.items():
        run = client.get_run(read_json(folder / "work" / path / "run.json")["run_id"])
        logged[name] = run.data.metrics
    wanted = {"clean/uar", "noisy/uar", "noisy/fish_market:0.25/uar", "worst_cell/uar", "drop/uar", "telephone/uar",
              "transmission/gsm/uar"}
    assert all(wanted <= set(entry) for entry in logged.values())
    assert logged["fusion"]["clean/uar"] == pytest.approx(metrics["models"]["fusion"]["clean"]["uar"])
    assert {"samples_per_second", "parameters_millions"} <= logged["fusion"].keys()
    for name in ("spectral", "wav2vec", "cnn", "vit"):
        assert logged[name].keys() == logged["fusion"].keys(), "the comparison needs the same names"
    files = {entry.path for entry in client.list_artifacts(
        read_json(folder / "work" / FOLDERS["fusion"] / "run.json")["run_id"], "evaluation")}
    assert {"evaluation/metrics.json", "evaluation/confusion.png", "evaluation/robustness.png"} <= files


@pytest.mark.slow
def test_a_random_model_fails_the_gate_though_its_answers_stay(evaluated):
    """Whoever always says the same is steady and fair: beside the rules on behaviour stands the floor on clean UAR."""
    from ser_ops.stages import behave, judge
    folder, _ = evaluated
    behave.main()
    report = read_json(folder / "reports" / "behaviour.json")
    assert list(report["changes"]) == ["all", "gain", "white_noise", "crop_start", "crop_end", "high_pass", "low_pass",
                                       "tilt_up", "tilt_down", "offset", "polarity",
                                       "level", "resampling"]
    assert report["changes"]["gain"]["of"] == 13 and report["changes"]["all"]["of"] == 12 * 13
    assert report["groups"]["sex"]["classes"] == 0, "five utterances of a class in each group are needed"
    assert report["calibration"]["validation_utterances"] == 7 and report["calibration"]["temperature"] > 0
    before = (folder / "reports" / "behaviour.json").read_bytes()
    behave.main()
    assert (folder / "reports" / "behaviour.json").read_bytes() == before
    judge.main()
    rules = {rule["rule"]: rule for rule in read_json(folder / "reports" / "gate.json")["rules"]}
    assert not rules["clean_uar"]["passed"] and not rules["beats_shuffled"]["passed"]
    assert rules["alike_by_sex"]["verdict"].startswith("does not apply: ")
    assert rules["transmission_uar"]["verdict"].startswith("blocked: mean over gsm, loss_15: UAR 0.")
    assert rules["robustness_table"]["passed"]
    assert rules["unchanged_labels"]["figure"] == report["changes"]["all"]["unchanged"]


@pytest.mark.slow
def test_judge_writes_a_verdict_and_exits_well_for_a_blocked_model(evaluated, capsys):
    from ser_ops.stages import judge
    folder, _ = evaluated
    judge.main()
    gate = read_json(folder / "reports" / "gate.json")
    rules = {rule["rule"]: rule for rule in gate["rules"]}
    assert not gate["passed"] and gate["verdict"].startswith("blocked: clean: UAR ")
    for name in ("protocol", "validation", "leak_audit", "robustness_table", "shap", "score_cam", "faithful",
                 "loads_without_pickle", "same_answers"):
        assert rules[name]["passed"], rules[name]["verdict"]
    assert rules["same_answers"]["figure"] < 1e-5
    assert "gate: fusion is blocked" in capsys.readouterr().out


@pytest.mark.slow
def test_a_damaged_report_blocks_and_raises_nothing(evaluated, capsys, monkeypatch):
    from ser_ops.stages import judge
    folder, _ = evaluated
    audit = folder / "reports" / "leak_audit.json"
    words = audit.read_text()
    audit.write_text("{")
    monkeypatch.setattr(judge, "_answers", lambda params: {"loads": False, "pickles": [], "error": "no such thing"})
    try:
        judge.main()
    finally:
        audit.write_text(words)
    rules = {rule["rule"]: rule for rule in read_json(folder / "reports" / "gate.json")["rules"]}
    assert not any(rules[name]["passed"] for name in ("leak_audit", "protocol", "loads_without_pickle", "same_answers"))
    assert "is not JSON" in capsys.readouterr().out


@pytest.mark.slow
def test_a_registered_model_can_be_evaluated_on_todays_partition(evaluated, monkeypatch):
    from ser_ops.gate import comparison
    from ser_ops.tracking import models
    folder, params = evaluated
    monkeypatch.setattr(models, "fetch_model", lambda params, uri: folder / "work" / uri.replace(
        "models:/ser-fusion@staging", FOLDERS["wav2vec"]))
    today = comparison.evaluate_current(params, "staging")
    kept = read_predictions(folder / "reports" / "predictions.csv", "wav2vec")
    assert comparison.why_not_comparable(kept, today) == ""
    np.testing.assert_allclose(today.probabilities, kept.probabilities, atol=2e-6)


@pytest.mark.slow
def test_any_labelled_audio_can_be_evaluated(evaluated, tmp_path):
    import soundfile

    from ser_ops.evaluation.labelled_audio import evaluate_manifest
    folder, params = evaluated
    rng = np.random.default_rng(0)
    lines = ["path,emotion,speaker"]
    for number, emotion in enumerate(["angry", "sad", "happy", "joy"]):
        soundfile.write(tmp_path / f"{number}.wav", 0.3 * np.sin(np.arange(9000) * (0.1 + 0.05 * number)), 8000)
        lines.append(f"{number}.wav,{emotion},s{number % 2}")
    soundfile.write(tmp_path / "quiet.wav", np.zeros(9000), 16000)
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    lines += ["quiet.wav,sad,s1", "broken.wav,sad,s1"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "noise" / "kitchen").mkdir(parents=True)
    soundfile.write(tmp_path / "noise" / "kitchen" / "pan.flac", 0.1 * rng.standard_normal(40000), 22050)
    model, card = model_folder.load(folder / "work" / "models" / "fusion")
    metrics = evaluate_manifest(model, card, tmp_path / "list.csv", tmp_path / "noise", params, {"joy": "happy"})
    assert (metrics["utterances"], metrics["speakers"]) == (4, 2)
    assert list(metrics["cells"]) == ["kitchen@0.25", "kitchen@0.75", "white@0.25", "white@0.75"]
    assert sorted(entry["path"].split("/")[-1] for entry in metrics["skipped"]) == ["broken.wav", "quiet.wav"]
    json.dumps(metrics, allow_nan=False)
    clean = evaluate_manifest(model, card, tmp_path / "list.csv", None, params, {"joy": "happy"})
    assert "cells" not in clean and clean["clean"] == metrics["clean"]
    with pytest.raises(UserError, match="labels with no map: 'joy'"):
        evaluate_manifest(model, card, tmp_path / "list.csv", None, params)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no noise"):
        evaluate_manifest(model, card, tmp_path / "list.csv", tmp_path / "empty", params, {"joy": "happy"})
    with pytest.raises(UserError, match="no such folder"):
        evaluate_manifest(model, card, tmp_path / "list.csv", tmp_path / "none", params, {"joy": "happy"})


@pytest.mark.slow
def test_a_test_partition_without_utterances_is_one_line(evaluated, tmp_path):
    from ser_ops.manifest import VariantRow, unaltered, write_rows
    write_rows(tmp_path / "augmented" / "variants.csv", [VariantRow("a#noisy", "a", "noisy", "test", "sad", "s", "c")],
               VariantRow)
    with pytest.raises(UserError, match="no unaltered utterance"):
        unaltered(tmp_path, "test")


SHARED = PROJECT.parent / "shared"


@pytest.mark.slow
@pytest.mark.real_speech
@pytest.mark.skipif(not (SHARED / "corpora" / "ravdess").is_dir(), reason="no recordings in ../shared")
def test_real_speech_in_real_noise(evaluated, tmp_path):
    from ser_ops.evaluation.labelled_audio import evaluate_manifest
    folder, params = evaluated
    codes = dict(zip(("01", "03", "04", "05", "06", "07", "08"),
                     ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"), strict=True))
    files = [path for path in sorted((SHARED / "corpora" / "ravdess").rglob("*-01-01-01-0[12].flac"))
             if path.name.split("-")[2] in codes][:14]
    (tmp_path / "list.csv").write_text("path,emotion,speaker\n" + "".join(
        f"{path},{codes[path.name.split('-')[2]]},{path.stem[-2:]}\n" for path in files))
    few = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={
        "intensities": (0.5,), "seeds": (1,)})})
    model, card = model_folder.load(folder / "work" / "models" / "fusion")
    metrics = evaluate_manifest(model, card, tmp_path / "list.csv", SHARED / "noise", few)
    assert metrics["utterances"] == len(files) >= 7 and not metrics["skipped"]
    assert list(metrics["cells"]) == ["children@0.50", "fish_market@0.50", "railway_engine@0.50", "white@0.50"]
    assert all(-10 < entry["snr_db"] < 30 for entry in metrics["cells"].values())
