"""Predictions as a file and back, their summary against direct sums, and the comparison with staging."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from made_predictions import LINES, SETTINGS, made, with_lines

from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation import bootstrap, metrics, published
from ser_ops.evaluation.ablation import ABLATION_FIELDS, ablation_table
from ser_ops.evaluation.predictions import CLEAN, intensity_name, read_predictions
from ser_ops.evaluation.summary import Summary, compare_streams, run_metrics


def test_a_file_holds_what_the_figures_are_computed_from(tmp_path):
    predictions = made(("fusion", "concat"))
    predictions.write(tmp_path / "predictions.csv")
    for model in predictions.models:
        recovered = read_predictions(tmp_path / "predictions.csv", model)
        assert recovered.models == (model,)
        assert (recovered.utterances, recovered.conditions) == (predictions.utterances, predictions.conditions)
        assert recovered.speakers == predictions.speakers
        np.testing.assert_array_equal(recovered.probabilities, predictions.of(model).probabilities)
        np.testing.assert_array_equal(recovered.snr, predictions.snr)
        np.testing.assert_array_equal(recovered.true, predictions.true)
    first = (tmp_path / "predictions.csv").read_text().splitlines()[:2]
    assert first[0] == ("model,utterance,speaker,noise,intensity,seed,emotion,predicted,p_angry,p_disgust,"
                        "p_fear,p_happy,p_neutral,p_sad,p_surprise,snr_db")
    assert first[1].startswith("fusion,corpus/000,corpus/s0,clean,0,,angry,") and first[1].endswith(",")


def test_a_file_from_before_speakers_were_named_is_read(tmp_path):
    made().write(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = [{name: value for name, value in row.items() if name != "speaker"} for row in csv.DictReader(file)]
    with (tmp_path / "old.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    recovered = read_predictions(tmp_path / "old.csv", "fusion")
    assert set(recovered.speakers) == {""} and (recovered.probabilities == made().probabilities).all()
    assert Summary(recovered, SETTINGS).intervals() == {
        "over": "utterances", "instead": "of some recordings the speaker is not known"}


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "predictions.csv"
    with pytest.raises(UserError, match="cannot be read"):
        read_predictions(path, "fusion")
    made().write(path)
    with pytest.raises(UserError, match="no predictions of 'concat'"):
        read_predictions(path, "concat")
    lines = path.read_text().splitlines()
    for text in ("\n".join(lines[:-1]), "\n".join([*lines[:5], *lines[6:]]), "\n".join([*lines[:-1], lines[-2]]),
                 "\n".join([*lines[:-1], lines[-1].replace("0.", "x.", 3)])):
        path.write_text(text + "\n")
        with pytest.raises(UserError, match="incomplete or damaged"):
            read_predictions(path, "fusion")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a table of predictions"):
        read_predictions(path, "fusion")


@pytest.mark.parametrize(("intensity", "shown"), [(0.5, "0.50"), (0.75, "0.75"), (1.0, "1.00"), (0.125, "0.125")])
def test_cells_keep_apart(intensity, shown):
    assert intensity_name(intensity) == shown and float(shown) == intensity


def test_the_summary_is_that_of_direct_sums():
    predictions = made(("fusion", "concat"))
    summary = Summary(predictions, SETTINGS)
    figures = summary.model("concat")
    predicted = predictions.probabilities[1].argmax(-1)
    clean = metrics.scores(predictions.true, predicted[0])
    assert {name: figures["clean"][name] for name in clean} == pytest.approx(clean)
    cell = [metrics.scores(predictions.true, predicted[index]) for index in (4, 5, 6)]
    for name in metrics.SCORES:
        values = [each[name] for each in cell]
        assert figures["cells"]["fish_market@0.75"][name] == pytest.approx(np.mean(values))
        assert figures["cells"]["fish_market@0.75"][f"{name}_std"] == pytest.approx(np.std(values, ddof=1))
    every = [metrics.scores(predictions.true, answers)["uar"] for answers in predicted[1:]]
    assert figures["noisy"]["uar"] == pytest.approx(np.mean(every))
    assert figures["noisy"]["uar_low"] < figures["noisy"]["uar"] < figures["noisy"]["uar_high"]
    worst = min(figures["cells"], key=lambda name: figures["cells"][name]["uar"])
    assert figures["worst_cell"] == {"cell": worst, "uar": figures["cells"][worst]["uar"]}
    assert figures["drop"]["uar"] == pytest.approx(clean["uar"] - figures["cells"][worst]["uar"])
    assert figures["drop"]["mean_uar"] == pytest.approx(clean["uar"] - np.mean(every))
    assert np.array(figures["confusion"]).sum() == 70 and tuple(figures["per_class"]) == EMOTIONS
    assert list(figures["cells"]) == ["fish_market@0.25", "fish_market@0.75", "white@0.25", "white@0.75"]
    json.dumps(figures, allow_nan=False)


def test_intervals_are_those_of_the_bootstrap():
    predictions = made()
    figures = Summary(predictions, SETTINGS).model("fusion")["clean"]
    draws = bootstrap.resample_utterances(predictions.true, 200, 7)
    assert (figures["uar_low_utterances"], figures["uar_high_utterances"]) == bootstrap.percentile_interval(
        draws.uar(predictions.right[0, 0]), 0.95)
    people = bootstrap.resample_speakers(predictions.true, predictions.speakers, 200, 7)
    assert (figures["uar_low"], figures["uar_high"]) == pytest.approx(bootstrap.percentile_interval(
        people.uar(predictions.right[0, 0]), 0.95))


def test_every_score_of_a_cell_has_the_interval_of_resampled_people():
    """Each resample spelt out as the list of utterances that it holds, and scored as any list is."""
    predictions = made()
    cell = Summary(predictions, SETTINGS).cells("fusion")["white@0.75"]
    people = bootstrap.resample_speakers(predictions.true, predictions.speakers, SETTINGS.resamples, 7)
    seeds = predictions.noisy_indices("white@0.75")
    for name in metrics.SCORES:
        drawn = [np.mean([metrics.scores(*(np.repeat(labels, weights.astype(int)) for labels in (
            predictions.true, predictions.predicted[0, index])))[name] for index in seeds])
            for weights in people.weights]
        expected = bootstrap.percentile_interval(np.array(drawn), SETTINGS.confidence)
        assert (cell[f"{name}_low"], cell[f"{name}_high"]) == pytest.approx(expected), name
        assert cell[f"{name}_low"] < cell[f"{name}_high"]


def test_every_bound_of_unseen_people_is_over_speakers():
    """Voices of which two are always recognised and three never: utterances would promise too narrow an interval."""
    predictions = made(("fusion", "shuffled-1"))
    lucky = np.array([speaker in ("corpus/s0", "corpus/s1") for speaker in predictions.speakers])
    answers = np.where(lucky, predictions.true, (predictions.true + 1) % 7)
    unequal = dataclasses.replace(predictions, probabilities=np.broadcast_to(np.eye(7)[answers],
                                                                             predictions.probabilities.shape))
    over_speakers, heard = Summary(unequal, SETTINGS), Summary(unequal, SETTINGS, heard={"corpus/s1"})
    assert over_speakers.intervals() == {"over": "speakers", "instead": ""}
    assert heard.intervals()["over"] == "utterances" and "training heard 1 of the 5" in heard.intervals()["instead"]
    both = [(summary.clean("fusion"), summary.noisy("fusion"), summary.cells("fusion")["white@0.75"])
            for summary in (over_speakers, heard)]
    for people, utterances in zip(*both, strict=True):
        assert people["uar_high"] - people["uar_low"] > 2 * (utterances["uar_high"] - utterances["uar_low"])
    chance, narrow = (summary.shuffled(["shuffled-1"]) for summary in (over_speakers, heard))
    assert chance["uar_high"] > narrow["uar_high"]
    assert chance["worst_cell_uar_high"] > narrow["worst_cell_uar_high"]


def test_snr_bins_hold_every_mixture_once():
    predictions = made()
    rows = Summary(predictions, SETTINGS).by_snr("fusion")
    assert sum(row["n"] for row in rows) == 12 * 70
    for row in rows:
        assert row["high_db"] - row["low_db"] == 5 and row["low_db"] % 5 == 0
        inside = (predictions.snr >= row["low_db"]) & (predictions.snr < row["high_db"])
        assert inside.sum() == row["n"]
        assert row["accuracy"] == pytest.approx(predictions.right[0][inside].mean())
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] and row["uar_low"] <= row["uar_high"]


def test_the_table_has_a_row_for_each_seed():
    predictions = made(("fusion", "concat"))
    rows = Summary(predictions, SETTINGS).table(["concat"])
    assert len(rows) == 12 and {row["model"] for row in rows} == {"concat"}
    scores = metrics.scores(predictions.true, predictions.predicted[1, 1])
    assert rows[0]["uar"] == pytest.approx(scores["uar"], abs=1e-6)
    assert rows[0]["snr_db"] == pytest.approx(predictions.snr[1].mean(), abs=1e-3)


def test_telephone_and_rooms_stand_beside_the_grid_and_change_none_of_its_figures():
    grid, both = made(("fusion", "concat")), with_lines(made(("fusion", "concat")))
    before = Summary(grid, SETTINGS)
    after = Summary(both, SETTINGS)
    figures = after.model("fusion")
    transmission = figures.pop("transmission")
    assert figures == before.model("fusion")
    assert after.shuffled(["concat"]) == before.shuffled(["concat"])
    assert list(transmission["cells"]) == ["mulaw", "gsm", "room_small"]
    uar = {condition.cell: metrics.scores(both.true, both.predicted[0, both.conditions.index(condition)])["uar"]
           for condition in LINES}
    assert {cell: scores["uar"] for cell, scores in transmission["cells"].items()} == pytest.approx(uar)
    assert transmission["telephone"]["uar"] == pytest.approx((uar["mulaw"] + uar["gsm"]) / 2)
    assert transmission["rooms"]["uar"] == pytest.approx(uar["room_small"])
    assert transmission["mean"]["uar"] == pytest.approx(sum(uar.values()) / 3)
    for kind in ("telephone", "rooms", "mean"):
        assert transmission[kind]["uar_low"] < transmission[kind]["uar"] < transmission[kind]["uar_high"]
    rows = after.table(["fusion"])
    assert rows[:12] == before.table(["fusion"])
    assert [(row["noise"], row["intensity"], row["seed"], row["snr_db"]) for row in rows[12:]] == [
        ("mulaw", 0.0, 1, None), ("gsm", 0.0, 1, None), ("room_small", 0.0, 1, None)]
    logged = run_metrics(after.model("fusion"))
    assert logged["telephone/uar"] == transmission["telephone"]["uar"]
    assert logged["transmission/gsm/uar"] == pytest.approx(uar["gsm"]) and "noisy/gsm/uar" not in logged


def test_lines_survive_the_file(tmp_path):
    predictions = with_lines(made())
    predictions.write(tmp_path / "predictions.csv")
    recovered = read_predictions(tmp_path / "predictions.csv", "fusion")
    assert recovered.conditions == predictions.conditions
    assert recovered.noisy_indices() == list(range(1, 13)) and recovered.transmitted_indices() == [13, 14, 15]
    assert recovered.transmitted_indices("rooms") == [15]
    np.testing.assert_array_equal(recovered.probabilities, predictions.probabilities)


def test_one_seed_has_no_deviation():
    predictions = made()
    keep = [0, 1, 4]
    single = dataclasses.replace(predictions, conditions=tuple(predictions.conditions[index] for index in keep),
                                 probabilities=predictions.probabilities[:, keep], snr=predictions.snr[keep])
    assert Summary(single, SETTINGS).cells("fusion")["fish_market@0.25"]["uar_std"] == 0


def test_clean_alone_is_legal():
    predictions = made()
    clean = dataclasses.replace(predictions, conditions=(CLEAN,), probabilities=predictions.probabilities[:, :1],
                                snr=predictions.snr[:1])
    figures = Summary(clean, SETTINGS).model("fusion")
    assert "cells" not in figures and figures["clean"]["uar"] > 0


def test_shuffled_models_give_the_highest_of_their_bounds():
    predictions = made(("fusion", "shuffled-1", "shuffled-2"), skill=0.2)
    summary = Summary(predictions, SETTINGS)
    shuffled = summary.shuffled(["shuffled-1", "shuffled-2"])
    both = [summary.clean("shuffled-1"), summary.clean("shuffled-2")]
    assert shuffled["uar_high"] == max(each["uar_high"] for each in both) and shuffled["models"] == 2
    assert shuffled["worst_cell_uar_high"] == max(shuffled["cells"].values())
    assert summary.shuffled([])["uar_high"] is None


def test_streams_are_measured_against_chance():
    predictions = made(("fusion", "wav2vec", "shuffled-1"), skill=0.7)
    summary = Summary(predictions, SETTINGS)
    chance = summary.shuffled([]) | {"uar_high": 0.2}
    report = compare_streams(summary, ["wav2vec", "spectral"], {"wav2vec": "wav2vec"}, chance)
    assert report["wav2vec"]["beats_shuffled"] is True and report["spectral"]["beats_shuffled"] is None
    assert compare_streams(summary, ["wav2vec"], {"wav2vec": "wav2vec"}, chance | {"uar_high": 0.9}
                   )["wav2vec"]["beats_shuffled"] is False


def test_table_vi_has_the_papers_figures_beside_ours():
    predictions = made(("fusion", "spectral"))
    summary = Summary(predictions, SETTINGS)
    speeds = {"clean": 100.0, "noisy": 90.0}
    models = {name: summary.model(name) | {"row": row, "parameters_millions": 1.5, "samples_per_second": speeds}
              for name, row in (("fusion", "D"), ("spectral", "A"))}
    rows = ablation_table(models)
    assert [(row["row"], row["model"]) for row in rows] == [("A", "spectral"), ("D", "fusion")]
    assert tuple(rows[0]) == ABLATION_FIELDS
    first = rows[0]
    assert first["clean_gap_to_d"] == pytest.approx(
        models["fusion"]["clean"]["accuracy"] - models["spectral"]["clean"]["accuracy"], abs=1e-6)
    assert first["clean_to_noisy_drop"] == pytest.approx(first["clean_accuracy"] - first["noisy_accuracy"], abs=2e-6)
    assert first["paper_clean_accuracy_percent"] == 93.94 and first["paper_noisy_gap_to_d_points"] == 5.55
    assert rows[1]["clean_gap_to_d"] == 0 and rows[1]["paper_clean_gap_to_d_points"] is None
    assert first["paper_parameters_millions"] == published.TABLE_VI["A"]["parameters_millions"]
    assert ablation_table({"spectral": models["spectral"]})[0]["clean_gap_to_d"] is None


def test_models_that_table_vi_does_not_have_stand_below_it():
    predictions = made(("cnn", "fusion", "vit", "spectral"))
    summary = Summary(predictions, SETTINGS)
    models = {name: summary.model(name) | {"row": row, "parameters_millions": 1.5,
                                           "samples_per_second": {"clean": 100.0, "noisy": 90.0}}
              for name, row in (("cnn", ""), ("fusion", "D"), ("vit", ""), ("spectral", "A"))}
    rows = ablation_table(models)
    assert [row["row"] for row in rows] == ["A", "D", "", ""]
    assert [row["model"] for row in rows] == ["spectral", "fusion", "cnn", "vit"]
    for row in rows[2:]:
        assert {row[name] for name in ABLATION_FIELDS if name.startswith("paper_")} == {None}
        assert row["clean_gap_to_d"] == pytest.approx(
            models["fusion"]["clean"]["accuracy"] - models[row["model"]]["clean"]["accuracy"], abs=1e-6)
