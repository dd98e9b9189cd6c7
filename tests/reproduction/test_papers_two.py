"""Paper 2's tables and figures: printed numbers, hand-computed scores, what is missing, and the stage as a whole."""

import dataclasses
import html
import io
import json
import re
from contextlib import contextmanager, redirect_stdout
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from made_folds import make

from reproduction import paper2
from reproduction import paper2_tables as printed
from reproduction.paper2 import layers_of
from reproduction.paper_page import Cell, build_page
from reproduction.settings import load_settings
from ser_ops.config.params import load_params, load_preset
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import bootstrap
from ser_ops.features.index_map import shape_of
from ser_ops.models import architectures

TEXT = sorted((Path(__file__).resolve().parents[2].parent / "shared" / "papers").glob("003_*.txt"))
ALL = ("table_1", "table_2", "table_3", "table_4")


# What the paper prints

@pytest.mark.skipif(not TEXT, reason="the paper's text in ../shared/papers is not here")
def test_every_printed_figure_is_in_the_papers_text():
    text = TEXT[0].read_text(encoding="utf-8")
    wanted = [figure for table in (printed.TABLE_1, printed.TABLE_2, printed.TABLE_3, printed.TABLE_4)
              for row in table.values() for name, figure in row.items() if figure and name != "layers"]
    for metrics in printed.FIGURES_7_TO_13.values():
        wanted += [metrics.confidence, metrics.max_activation, metrics.activated_area_pct, metrics.entropy,
                   *metrics.probabilities,
                   *filter(None, [metrics.mean_activation, metrics.confidence_drop]),
                   f"{metrics.time_focus_range[0]}, {metrics.time_focus_range[1]}",
                   f"{metrics.freq_focus_range[0]}, {metrics.freq_focus_range[1]}"]
    assert len(wanted) > 100
    assert [figure for figure in wanted if figure not in text] == []


def test_the_text_and_the_figures_agree_where_both_print_a_number():
    for emotion, metrics in printed.FIGURES_7_TO_13.items():
        confidence = printed.printed_number(metrics.confidence) / 100
        assert float(metrics.probabilities[EMOTIONS.index(emotion)]) == pytest.approx(confidence)
        assert sum(map(float, metrics.probabilities)) == pytest.approx(1, abs=2e-4)
    assert sorted(metrics.figure for metrics in printed.FIGURES_7_TO_13.values()) == list(range(7, 14))


def test_the_axes_of_the_grad_cam_figures_are_linear_with_109_cells():
    seconds, hertz = 3 / printed.AXIS_CELLS, 8000 / printed.AXIS_CELLS
    for metrics in printed.FIGURES_7_TO_13.values():
        for end in map(float, metrics.time_focus_range):
            assert end == pytest.approx(round(end / seconds) * seconds, abs=0.0051)
        for end in map(float, metrics.freq_focus_range):
            assert end == pytest.approx(round(end / hertz) * hertz, abs=0.051)
        cells = printed.AXIS_CELLS**2 * printed.printed_number(metrics.activated_area_pct) / 100
        assert abs(cells - round(cells)) <= printed.AXIS_CELLS**2 * 0.005 / 100


def test_figure_3_admits_four_errors_alone():
    rows = [printed.FIGURE_3[emotion] for emotion in EMOTIONS]
    ways = [[errors for errors in range(row.support) if f"{(row.support - errors) / row.support:.2f}" == row.recall]
            for row in rows]
    totals = {sum(counts) for counts in product(*ways)}
    assert totals == {4} and sum(row.support for row in rows) == 563
    assert f"{559 / 563:.4f}" == printed.FIGURE_3["weighted average"].recall != "0.9901"


def test_f1_above_both_parts_is_marked_and_only_that():
    for key, table in (("table_2", printed.TABLE_2), ("table_4", printed.TABLE_4)):
        for model, row in table.items():
            above = printed.printed_number(row["f1"]) > max(printed.printed_number(row["precision"]),
                                                            printed.printed_number(row["recall"]))
            assert above == (printed.MARKS.get(key, {}).get(f"{model}.f1") == printed.ABOVE_BOTH), model
    confidence = sorted(printed.printed_number(metrics.confidence) for metrics in printed.FIGURES_7_TO_13.values())
    assert confidence[1] == printed.printed_number(printed.FIGURES_7_TO_13["fear"].confidence)


# Scores, checked by hand

def rows(*answers):
    return [{"model": "cnn", "protocol": "random", "fold": str(fold), "utterance": f"u{number}",
             "speaker": f"s{number % 2}", "corpus": "made", "emotion": emotion, "predicted": predicted}
            for number, (fold, emotion, predicted) in enumerate(answers)]


FIVE = rows((1, "angry", "angry"), (1, "angry", "angry"), (1, "angry", "sad"), (2, "sad", "sad"), (2, "sad", "sad"))


def test_scores_over_folds_and_pooled_by_hand():
    scores = paper2.cross_validation_scores(load_params(), ("cnn", "random"), FIVE)
    assert (scores.model, scores.protocol, scores.folds, scores.utterances, scores.speakers) == ("cnn", "random", 2, 5,
                                                                                                 2)
    assert scores.mean["accuracy"] == pytest.approx(5 / 6)                     # 2 of 3, 2 of 2
    assert scores.deviation["accuracy"] == pytest.approx((1 / 3) / np.sqrt(2))
    assert scores.mean["recall"] == pytest.approx(5 / 6)                       # a class each
    assert scores.pooled["accuracy"] == pytest.approx(0.8)
    assert scores.pooled["precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.weighted == pytest.approx({"precision": (3 * 1 + 2 * 2 / 3) / 5, "recall": 0.8, "f1": 0.8})
    assert scores.per_class["angry"] == pytest.approx({"precision": 1, "recall": 2 / 3, "f1": 0.8, "support": 3})
    assert np.array(scores.confusion)[[0, 0, 5], [0, 5, 5]].tolist() == [2, 1, 2]


def test_intervals_are_those_of_the_bootstrap_and_order_does_not_matter():
    params = load_params()
    scores, other = (paper2.cross_validation_scores(params, ("cnn", "random"), each) for each in (FIVE, FIVE[::-1]))
    assert scores == other
    true, right = np.array([0, 0, 0, 5, 5]), np.array([1.0, 1, 0, 1, 1])
    drawn = bootstrap.resample_utterances(true, params.evaluate.resamples, params.evaluate.bootstrap_seed)
    for name, values in (("accuracy", drawn.accuracy(right)), ("recall", drawn.uar(right))):
        low, high = bootstrap.percentile_interval(values, params.evaluate.confidence)
        assert (scores.low[name], scores.high[name]) == pytest.approx((low, high))
    assert all(scores.low[name] <= scores.pooled[name] <= scores.high[name] for name in paper2.SCORES)


def test_by_speaker_people_are_resampled_and_two_make_no_interval():
    params = load_params()
    answers = [row | {"speaker": f"s{number % 4}", "protocol": "speaker"} for number, row in enumerate(FIVE * 4)]
    answers = [row | {"utterance": f"u{number:02d}"} for number, row in enumerate(answers)]
    scores = paper2.cross_validation_scores(params, ("cnn", "speaker"), answers)
    true = np.array([EMOTIONS.index(row["emotion"]) for row in answers])
    right = np.array([row["emotion"] == row["predicted"] for row in answers], float)
    drawn = bootstrap.resample_speakers(true, [row["speaker"] for row in answers], params.evaluate.resamples,
                                        params.evaluate.bootstrap_seed)
    bounds = bootstrap.percentile_interval(drawn.accuracy(right), params.evaluate.confidence)
    assert (scores.low["accuracy"], scores.high["accuracy"]) == pytest.approx(bounds)
    few = paper2.cross_validation_scores(params, ("cnn", "speaker"), FIVE)
    assert few.speakers == 2 and not few.low and not few.high
    assert (few.lowest, few.highest) == pytest.approx((2 / 3, 1.0))
    assert few.tested == {}         # each fold tests both


@pytest.mark.parametrize("voices", [("OAF", "YAF"), ("YAF", "OAF"), ("DC", "JE", "JK", "KL")])
def test_a_fold_of_one_speaker_is_named_by_that_speaker(voices):
    answers = [row | {"protocol": "speaker", "speaker": voice, "utterance": f"{voice}_{number}",
                      "predicted": "sad" if number < fold else "fear"}
               for fold, voice in enumerate(voices, 1) for number, row in enumerate(rows(*[(fold, "sad", "")] * 5))]
    scores = paper2.cross_validation_scores(load_params(), ("cnn", "speaker"), answers)
    assert list(scores.tested) == sorted(voices)
    for fold, voice in enumerate(voices, 1):
        assert scores.tested[voice]["accuracy"] == scores.tested[voice]["recall"] == pytest.approx(fold / 5)
    assert not paper2.cross_validation_scores(load_params(), ("cnn", "random"), answers).tested


def test_a_page_of_two_speakers_names_both_and_has_no_interval():
    made = results(("cnn",), ("random", "word", "speaker"))
    by_name = {"low": {}, "high": {}, "tested": {"OAF": {"accuracy": 0.8, "recall": 0.7},
                                                 "YAF": {"accuracy": 0.4, "recall": 0.3}}}
    two = {key: dataclasses.replace(each, speakers=2, **(by_name if key[1] == "speaker" else {}))
           for key, each in made.scores.items()}
    page = paper2.page(dataclasses.replace(made, scores=two))
    cell = table(page, "table_1").rows[0][-1]
    assert (cell.low, cell.high, cell.spread) == (None, None, pytest.approx(5))
    notes = " ".join(table(page, "table_1").notes)
    assert "over utterances." in notes and "make no interval" in notes
    assert "accuracy of CNN 80.0 % on OAF, 40.0 % on YAF" in notes.replace("\N{NO-BREAK SPACE}", " ")
    directions = {speaker: (model, *(cell.ours for cell in cells))
                  for model, speaker, *cells in table(page, "tested_speakers").rows}
    assert directions == {"OAF": ("CNN", 80, 70, "YAF"), "YAF": ("CNN", 40, 30, "OAF")}
    assert "CNN, by speaker: 60.0\N{NO-BREAK SPACE}%, 80.0\N{NO-BREAK SPACE}% on OAF" in str(printed.glance(
        dataclasses.replace(made, scores=two), ("cnn",)))


def test_folds_of_several_speakers_keep_their_summary():
    page = paper2.page(results())
    assert "tested_speakers" not in [each.key for each in page.tables]
    assert "by speaker: 60.0\N{NO-BREAK SPACE}%, interval" in str(page.sections[0]["svg"])


def test_one_fold_has_no_deviation():
    scores = paper2.cross_validation_scores(load_params(), ("cnn", "random"), FIVE[:3])
    assert scores.deviation["accuracy"] is None and scores.folds == 1


def test_grad_cam_takes_recognised_utterances_first_by_a_keyed_choice():
    own = [row | {"model": "cnn_lstm", "protocol": "speaker", "fold": "1"} for row in rows(
        (1, "angry", "sad"), (1, "angry", "angry"), (1, "angry", "angry"), (1, "angry", "angry"), (1, "sad", "fear"))]
    other = [row | {"utterance": f"x{number}", "fold": "2"} for number, row in enumerate(own)]
    chosen = paper2.grad_cam_utterances(load_settings(), own + other, "cnn_lstm", "speaker")
    assert chosen == paper2.grad_cam_utterances(load_settings(), (own + other)[::-1], "cnn_lstm", "speaker")
    assert len(chosen) == 2 and chosen[0] in ("u1", "u2", "u3") and chosen[1] == "u4"


# The tables

def scores(model, protocol, accuracy=0.8):
    flat = dict.fromkeys(paper2.SCORES, accuracy)
    return paper2.Scores(model, protocol, 5, 100, 10, flat, dict.fromkeys(paper2.SCORES, 0.05),
                         dict.fromkeys(paper2.SCORES, accuracy - 0.1), dict.fromkeys(paper2.SCORES, accuracy + 0.1),
                         accuracy - 0.2, accuracy + 0.2, flat,
                         dict.fromkeys(paper2.SCORES[1:], accuracy),
                         {emotion: {"precision": 0.1, "recall": 0.2, "f1": 0.3, "support": 4} for emotion in EMOTIONS},
                         np.eye(7, dtype=int).tolist())


def results(wanted=("cnn", "lstm", "cnn_lstm", "vit", "beit"), protocols=("random", "speaker"), corpora=("tess",),
            synthetic=(), missing=(), cams=(), counts=None):
    by_key = {(model, protocol): scores(model, protocol, {"random": 0.9, "word": 0.8, "speaker": 0.6}[protocol])
              for model in wanted for protocol in protocols}
    groups = [{"model": model, "protocol": protocol, "run_id": "r", "backbone": "random weights" if model in
               ("vit", "beit") else "none", "seconds": 60} for model, protocol in by_key]
    provenance = {"corpora": list(corpora), "synthetic": list(synthetic), "partial": [], "missing": list(missing),
                  "preset": "small", "seed": 1, "confidence": 0.95, "counts": counts or {"word": 0},
                  "resamples": 1000, "bootstrap_seed": 7, "partition_seed": 3}
    return paper2.Results(by_key, groups, provenance,
                          {model: {"learning_rate": 0.001, "epochs": 50} for model in wanted},
                          "cnn_lstm", {model: (paper2.Layer("Conv1d(1)", "3", 7),) for model in wanted},
                          {"cnn_lstm": paper2.Pictures(cams=cams, protocol="speaker" if cams else "")})


def table(page, key):
    return next(table for table in page.tables if table.key == key)


def test_table_1_in_the_papers_shape():
    accuracy = table(paper2.page(results()), "table_1")
    assert accuracy.columns == ("Model", "Layers", "Learning rate", "Accuracy, random split", "Accuracy, by speaker")
    name, layers, rate, random, speaker = accuracy.rows[2]
    assert name == "Hybrid of CNN and LSTM" and layers.ours == "Conv1d" and "LSTM layer" in layers.paper
    assert (rate.ours, rate.paper) == ("0.001", "0.001")
    assert (random.ours, random.low, random.high, random.spread) == pytest.approx((90, 80, 100, 5))
    assert speaker.ours == pytest.approx(60) and random.paper == speaker.paper == "99.01%"
    assert random.mark == printed.HYBRID and random.unit == "percent"
    assert accuracy.missing == "" and accuracy.protocols == ("random", "speaker")
    assert "on tess" in accuracy.notes[0] and "5 random split, 5 by speaker" in accuracy.notes[0]


def test_tables_2_and_4_have_precision_recall_and_f1_under_both_protocols():
    page = paper2.page(results())
    for key, number in (("table_2", 3), ("table_4", 2)):
        quality = table(page, key)
        assert len(quality.rows) == number and len(quality.columns) == 7
        assert [cell.ours for cell in quality.rows[0][1:]] == pytest.approx([90] * 3 + [60] * 3)
        assert any("macro averages" in note for note in quality.notes)
    assert table(page, "table_2").rows[0][3].mark == printed.ABOVE_BOTH
    assert [cell.paper for cell in table(page, "table_4").rows[1][1:4]] == ["98.31%", "98.30%", "98.30%"]


def test_figure_3_has_a_report_for_each_protocol_with_weighted_averages():
    page = paper2.page(results())
    report = table(page, "figure_3_speaker")
    named = {row[0]: row[1:] for row in report.rows}
    assert list(named) == [*EMOTIONS, "accuracy", "macro average", "weighted average"]
    assert [cell.ours for cell in named["angry"]] == [0.1, 0.2, 0.3, 4] and named["angry"][3].paper == 82
    assert named["weighted average"][0].paper == "0.9930" and named["weighted average"][0].ours == 0.6
    assert [cell.ours for cell in named["accuracy"]] == [None, None, 0.6, 100]
    assert report.protocols == ("speaker",) and table(page, "figure_3_random")


def test_random_weights_and_absent_tess_are_said_with_what_to_do():
    page = paper2.page(results(corpora=("ravdess",), missing=("tess",)))
    for key in ALL:
        said = table(page, key).missing
        assert "Paper 2 used TESS alone; ours are from ravdess" in said
        assert "ser-ops corpora add tess" in said and "docs/reference/corpora.md" in said
        assert ("vit.checkpoint" in said and "presets/small.yaml" in said) == (key in ("table_3", "table_4"))
        assert all(cell.ours is not None for row in table(page, key).rows for cell in row[1:])
    assert any("RANDOM-WEIGHT BACKBONE" in warning for warning in page.warnings)


@pytest.mark.parametrize(("small", "said"), [
    ((), "ViT and BEiT began from random weights. For"), (("beit",), "weights, BEiT in a small configuration. For"),
    (("vit", "beit"), "ViT and BEiT began from random weights, in a small configuration. For")])
@pytest.mark.parametrize("preset", ["paper", "small"])
def test_random_weights_are_called_small_only_where_they_are(small, said, preset):
    made = results()
    made = dataclasses.replace(made, small=small, provenance={**made.provenance, "preset": preset})
    reason = table(paper2.page(made), "table_3").missing
    assert said in reason and f"presets/{preset}.yaml" in reason
    assert ("preset paper names both" in reason) == (preset != "paper")     # there they were taken out


@pytest.mark.parametrize(("preset", "changes", "small"), [
    ("small", {}, {"vit", "beit"}), ("paper", {}, set()), ("paper", {"checkpoint": None}, set()),
    ("paper", {"layers": 4}, {"vit"}), ("paper", {"hidden": 384}, {"vit"})])
def test_a_transformer_is_small_where_it_is_narrower_or_shallower_than_the_papers(preset, changes, small):
    chosen = load_preset(preset)
    own = chosen.model_copy(update={"vit": chosen.vit.model_copy(update=changes)})
    assert paper2.smaller_than_paper(own, ("cnn", "vit", "beit")) == small


def test_synthetic_speech_in_tess_layout_is_not_tess():
    page = paper2.page(results(corpora=("synthetic_tess",), synthetic=("synthetic_tess",)))
    assert "Only synthesised speech in TESS's layout" in table(page, "table_1").missing
    assert page.warnings[0].startswith("SYNTHETIC SPEECH")


def test_a_model_that_was_not_trained_leaves_dashes_and_a_reason():
    page = paper2.page(results(wanted=("cnn", "vit")))
    accuracy = table(page, "table_1")
    assert [cell.ours for cell in accuracy.rows[1][1:]] == [None] * 4
    assert [cell.paper for cell in accuracy.rows[1][2:]] == ["0.001", "98.57%", "98.57%"]
    assert "name lstm under folds.models in reproduction/params.yaml" in accuracy.missing
    assert "cnn_lstm" in accuracy.missing
    assert "was not trained" in table(page, "figure_3_random").missing
    assert next(figure for figure in page.figures if figure.key == "figure_4").missing
    for key in ("figure_2", "figure_7"):
        assert table(page, key).missing


def test_a_model_without_its_checkpoint_is_named_with_the_reason_and_the_rest_is_filled():
    made = results(wanted=("cnn", "lstm", "cnn_lstm"))
    made = dataclasses.replace(made, provenance={**made.provenance, "lacking": {
        "vit": "its checkpoint google/vit cannot be had, since no hub is in reach"}})
    page = paper2.page(made)
    assert "ViT was not trained: its checkpoint google/vit cannot be had" in table(page, "table_3").missing
    assert table(page, "table_1").filled and "vit" not in table(page, "table_1").missing.lower()


def test_every_figure_of_an_explained_model_without_its_checkpoint_says_so():
    made = results(wanted=("cnn", "vit"))
    made = dataclasses.replace(made, explained="beit", settings={**made.settings, "beit": {"epochs": 20}}, provenance={
        **made.provenance, "lacking": {"beit": "its checkpoint a/beit cannot be had, since no hub is in reach"}})
    page = paper2.page(made)
    shown = [*page.figures, *(each for each in page.tables if each.key.startswith("figure_") and each.key not in (
        "figure_1", "figure_2"))]
    assert len(shown) == 19
    assert {each.missing for each in shown} == {
        "BEiT was not trained: its checkpoint a/beit cannot be had, since no hub is in reach."}


def test_a_model_that_stands_under_folds_models_is_not_to_be_named_there_again():
    made = results(wanted=("cnn",))
    made = dataclasses.replace(made, settings={**made.settings, "cnn_lstm": {"epochs": 50}})
    for each in (table(paper2.page(made), "figure_7"), table(paper2.page(made), "table_1")):
        assert "Hybrid of CNN and LSTM was not trained: run `ser-ops reproduce paper2`." in each.missing


def test_the_basis_says_what_intervals_are_and_names_every_seed():
    basis = dict(paper2.page(results()).facts)
    assert "95" in basis["Bootstrap intervals"] and "1,000 resamples" in basis["Bootstrap intervals"]
    assert basis["What intervals are of"] == (
        "the figure pooled over folds (bootstrap seed 7): by speaker over speakers, none with fewer than 3; else over "
        "utterances")
    assert basis["Seed of the trainings"].startswith("1 (seed in reproduction/params.yaml)")
    assert basis["Seed of the folds"] == "3 (partitions.seed in params.yaml)"


@pytest.mark.parametrize(("protocols", "bounds", "claimed"), [
    (("random", "speaker"), True, True), (("random", "speaker"), False, False), (("random", "word"), True, False)])
def test_a_table_claims_intervals_over_speakers_only_where_it_has_them(protocols, bounds, claimed):
    made = results(protocols=protocols)
    scores = {key: each if bounds else dataclasses.replace(each, low={}, high={}) for key, each in made.scores.items()}
    note = table(paper2.page(dataclasses.replace(made, scores=scores)), "table_1").notes[0]
    assert "95\N{NO-BREAK SPACE}% bootstrap interval" in note and ("over speakers where" in note) == claimed


def test_a_protocol_that_was_not_run_leaves_a_column_of_dashes():
    accuracy = table(paper2.page(results(protocols=("random",))), "table_1")
    assert [row[3].ours is None for row in accuracy.rows] == [False] * 3
    assert [row[4].ours for row in accuracy.rows] == [None] * 3
    assert "under the protocol speaker" in accuracy.missing and accuracy.protocols == ("random",)


def test_nothing_was_run_and_every_table_still_stands_with_the_papers_numbers():
    page = paper2.page(results(wanted=(), corpora=(), missing=("tess",)))
    assert {table.key for table in page.tables} >= {*ALL, "figure_1", "figure_2", "figure_3_random"} | {
        f"figure_{number}" for number in range(7, 14)}
    assert [figure.key for figure in page.figures] == [f"figure_{number}" for number in range(4, 14)]
    for item in (*page.tables, *page.figures):
        assert item.missing, item.key
    assert not any(isinstance(cell, Cell) and cell.ours is not None
                   for table in page.tables for row in table.rows for cell in row)


CAM = {"emotion": "angry", "predicted": "sad", "utterance": "u", "confidence": 0.7, "mean_activation": 0.1,
       "max_activation": 1.0, "activated_area_pct": 3.2, "entropy": 7.5, "time_focus_range": [0.5, 1.25],
       "freq_focus_range": [100.0, 900.04], "confidence_drop": -1.5, "figure": "gradcam_angry_1.png",
       "probabilities": dict.fromkeys(EMOTIONS, 0.1)}


def test_grad_cam_metrics_beside_the_papers():
    page = paper2.page(results(cams=(CAM,)))
    named = {row[0]: row[1] for row in table(page, "figure_7").rows}
    assert (named["Model confidence"].ours, named["Model confidence"].paper) == (pytest.approx(70), "77.49%")
    assert named["Confidence drop after masking, points"].ours == -1.5      # points already
    assert named["Confidence drop after masking, points"].mark == printed.DROP
    assert named["Time focus, seconds"].ours == "0.50 to 1.25"
    assert named["Frequency focus, hertz"].ours == "100.0 to 900.0"
    assert named["Recognised as"].ours == "sad"
    assert named["Probability of surprise"].paper == "0.0511"
    figure = next(drawn for drawn in page.figures if drawn.key == "figure_7")
    assert figure.files == ("gradcam_angry_1.png",) and "taken for sad" in figure.caption
    absent = next(drawn for drawn in page.figures if drawn.key == "figure_12")
    assert "No test utterance of fold 1 is surprise" in absent.missing and not absent.files


def test_an_empty_map_leaves_dashes():
    empty = CAM | {"entropy": None, "time_focus_range": None, "freq_focus_range": None, "confidence_drop": None}
    named = {row[0]: row[1] for row in table(paper2.page(results(cams=(empty,))), "figure_7").rows}
    assert named["Entropy, nats"].ours is None and named["Time focus, seconds"].ours is None


def test_several_examples_stand_side_by_side_and_the_paper_beside_the_first():
    metrics = table(paper2.page(results(cams=(CAM, CAM | {"utterance": "v"}))), "figure_7")
    assert metrics.columns == ("Metric", "Example 1", "Example 2")
    assert metrics.rows[1][1].paper == "77.49%" and metrics.rows[1][2].paper is None


def test_the_gap_between_the_splits_is_said_in_words_and_drawn():
    first, *_, last = paper2.page(results()).sections
    assert first["first"] and "+30.0 points (+30.0 to +30.0)" in first["words"][0]
    assert str(first["svg"]).count("<polygon") == 6 and "28000" in " ".join(last["words"])


def test_tess_alone_has_three_protocols_each_named_as_what_it_is():
    page = paper2.page(results(protocols=tuple(printed.PROTOCOLS), counts={"random": 5, "word": 5, "speaker": 2}))
    accuracy = table(page, "table_1")
    assert accuracy.columns[3:] == ("Accuracy, random split", "Accuracy, by word", "Accuracy, by speaker")
    assert [cell.ours for cell in accuracy.rows[0][3:]] == pytest.approx([90, 80, 60])
    assert accuracy.protocols == ("random", "word", "speaker")
    assert any("By word" in note and "trained on" in note for note in accuracy.notes)
    first = page.sections[0]
    assert ("90.0 % when utterances are dealt out at random, as in the paper; 80.0 % by word, where test words are new "
            "and voices known; 60.0 % for speakers who were not trained on.") in first["words"][0].replace("\xa0", " ")
    assert str(first["svg"]).count("<title>") >= 20 and "by word" in str(first["svg"])
    facts = dict(page.facts)
    assert "speakers are in training and test alike" in facts["Partition protocol word"]
    assert facts["Folds"] == "random: 5, word: 5, speaker: 2"


def test_by_word_without_by_speaker_says_nothing_of_new_people():
    page = paper2.page(results(protocols=("random", "word"), counts={"random": 5, "word": 5, "speaker": 0}))
    said = " ".join(page.sections[0]["words"])
    assert "speakers who were not trained on" not in said and "by speaker" not in str(page.sections[0]["svg"])
    assert not any("speaker" in column for column in table(page, "table_1").columns)


def test_layers_of_a_built_model_add_up_to_its_parameters():
    preset = load_preset("small")
    model = architectures.build("cnn_lstm", preset)
    length = round(preset.stacked.seconds * 16000)
    layers = layers_of(model, torch.zeros(1, length), torch.tensor([length]), torch.zeros(1, *shape_of(preset.stacked)))
    assert sum(layer.parameters for layer in layers) == architectures.count(model)
    kinds = [layer.settings.partition("(")[0] for layer in layers]
    assert kinds[-6:] == ["Conv1d", "ReLU", "MaxPool1d", "Dropout", "LSTM", "Linear"]
    assert layers[-1].output == "7" and model.training


# The stage

@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Settings after the stage over all five models, what it attached, and what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        params, there, out = make(tmp_path_factory.mktemp("whole")), without_store(patch), io.StringIO()
        patch.chdir(params.paths.reports.parent)
        with redirect_stdout(out):
            paper2.main()
    return params, there, out.getvalue()


@pytest.fixture
def attached(monkeypatch):
    """What the stage attaches."""
    return without_store(monkeypatch)


def without_store(patch):
    """Runs without a tracking store: what would be attached, and to which run."""
    there = []

    class Run:
        def artifact(self, path, folder=""):
            assert path.exists()
            there.append((path.name, folder))

    @contextmanager
    def reopen(params, run_json):
        there.append((read_json(run_json)["run_id"], run_json.parent.name))
        yield Run()

    patch.setattr(paper2, "reopen", reopen)
    patch.setattr(paper2, "connect", lambda params: None)
    return there


def test_the_stage_fills_every_table_and_figure(whole):
    params, attached, out = whole
    folder = params.paths.reports / "paper2"
    content = read_json(folder / "tables.json")
    empty = [(table["key"], row[0], column) for table in content["tables"] for row in table["rows"]
             for column, cell in enumerate(row) if isinstance(cell, dict) and cell["ours"] is None]
    assert all(where[0].startswith("figure_3") and where[1] == "accuracy" for where in empty), empty
    accuracy = next(table for table in content["tables"] if table["key"] == "table_1")
    answers = [row for row in paper2.read_csv(params.paths.work / "papers" / "folds" / "predictions.csv")
               if row["model"] == "lstm" and row["protocol"] == "speaker"]
    right = [np.mean([row["emotion"] == row["predicted"] for row in answers if row["fold"] == str(fold)])
             for fold in (1, 2, 3)]
    assert accuracy["rows"][1][4]["ours"] == pytest.approx(100 * np.mean(right))
    assert accuracy["rows"][1][4]["spread"] == pytest.approx(100 * np.std(right, ddof=1))
    assert len(content["figures"]) == 10 and all((folder / name).is_file() for figure in content["figures"]
                                                 for name in figure["files"])
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 10 + 3 * 4        # the four other models, folded away
    assert "<script" not in page and not re.search(r"https?://", page)
    for number in range(1, 5):
        assert f"Table {number}. " in page
    for number in range(1, 14):
        assert f"Figure {number}. " in page
    cams = read_json(folder / "gradcam.json")
    json.dumps(cams, allow_nan=False)
    assert (cams["model"], cams["protocol"], cams["fold"], cams["run_id"]) == ("cnn_lstm", "speaker", 1, "cnn_lstm1")
    assert sorted(utterance["emotion"] for utterance in cams["utterances"]) == sorted(EMOTIONS)
    assert attached[0] == ("cnn_lstm1", "speaker")
    assert {("index.html", "paper2"), ("gradcam.json", "paper2"), ("gradcam_sad_1.png", "paper2/figures"),
            ("tables", "paper2/tables"), ("figure_4.png", "paper2/figures")} <= set(attached)
    assert len(out.splitlines()) == 1
    assert not list(params.paths.reports.rglob(".*"))


def test_every_model_has_its_reports_confusion_and_curves_folded_away(whole):
    params, _, _ = whole
    folder = params.paths.reports / "paper2"
    answers = paper2.read_csv(params.paths.work / "papers" / "folds" / "predictions.csv")
    reports = {(row["model"], row["protocol"], row["class"]): row
               for row in paper2.read_csv(folder / "tables" / "reports.csv")}
    assert len(reports) == 5 * 2 * 10
    page = html.unescape((folder / "index.html").read_text(encoding="utf-8"))
    folded = dict(re.findall(r"<details><summary>([^:]+): [^<]*</summary>(.*?)</details>", page, re.DOTALL))
    assert list(folded) == ["CNN", "LSTM", "ViT", "BEiT"]        # figures 3 to 6 are the hybrid's
    for model, name in (("cnn", "CNN"), ("lstm", "LSTM"), ("vit", "ViT"), ("beit", "BEiT")):
        for what in ("confusion matrix", "accuracy curve", "loss curve"):
            assert f'alt="{name}: {what}"' in folded[name]
        for protocol in ("random", "speaker"):
            title = f"Classification report: {name}, {printed.PROTOCOLS[protocol]}"
            own = re.search(rf"<caption>{title}</caption>.*?</table>", folded[name], re.DOTALL)[0]
            row = reports[model, protocol, "sad"]
            said = [each["predicted"] for each in answers
                    if (each["model"], each["protocol"], each["emotion"]) == (model, protocol, "sad")]
            assert int(row["support"]) == len(said) == 6
            assert float(row["recall"]) == pytest.approx(said.count("sad") / 6)
            assert {label: int(row[f"answered_{label}"]) for label in EMOTIONS} == {
                label: said.count(label) for label in EMOTIONS}
            cells = re.findall(r"<td[^>]*>([^<]*)</td>", re.search(r'<th scope="row">sad</th>(.*?)</tr>', own)[1])
            assert cells == [f"{float(row[column]):.3f}" for column in ("precision", "recall", "f1")] + ["6"]


def test_every_model_that_admits_grad_cam_has_its_metrics(whole):
    params, attached, _ = whole
    folder = params.paths.reports / "paper2"
    cams = next(each["table"] for each in read_json(folder / "tables.json")["sections"]
                if each["title"] == "Grad-CAM of every model")
    assert [row[0] for row in cams["rows"]] == [name for name in ("CNN", "Hybrid of CNN and LSTM", "ViT", "BEiT")
                                                for _ in EMOTIONS]
    assert any("lstm admits no Grad-CAM" in note for note in cams["notes"]) and cams["protocols"] == ["speaker"]
    for model in ("cnn", "vit", "beit"):
        record = read_json(folder / "models" / model / "gradcam.json")
        assert (record["model"], record["run_id"], len(record["utterances"])) == (model, f"{model}1", 7)
        assert all((folder / each["figure"]).is_file() for each in record["utterances"])
    assert ("models", "paper2/models") in attached


def test_a_model_without_a_camera_and_a_class_that_nobody_speaks(tmp_path, monkeypatch, attached, capsys):
    params = make(tmp_path, ("lstm",), ("random",), explained="lstm", emotions=EMOTIONS[:-1], per_class=3)
    monkeypatch.chdir(tmp_path)
    paper2.main()
    content = read_json(params.paths.reports / "paper2" / "tables.json")
    cam = next(figure for figure in content["figures"] if figure["key"] == "figure_7")
    assert not cam["files"] and "lstm admits no Grad-CAM" in cam["missing"]
    report = next(table for table in content["tables"] if table["key"] == "figure_3_random")
    assert report["rows"][6][0] == "surprise" and report["rows"][6][4]["ours"] == 0
    assert not (params.paths.reports / "paper2" / "gradcam.json").exists()
    assert ("gradcam.json", "paper2") not in attached


def test_nothing_is_left_where_the_stage_fails(tmp_path, monkeypatch, attached):
    params = make(tmp_path, ("lstm",), ("random",), explained="lstm", per_class=3)
    before = params.paths.reports / "paper2"
    before.mkdir(parents=True)
    (before / "index.html").write_text("before")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper2, "build_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        paper2.main()
    assert [file.name for file in params.paths.reports.rglob("*")] == ["paper2", "index.html"]
    assert (before / "index.html").read_text() == "before" and not attached


def test_pages_of_plain_results_build_anywhere(tmp_path):
    file = build_page(paper2.page(dataclasses.replace(results(cams=(CAM,)))), tmp_path)
    assert "the picture gradcam_angry_1.png" in file.read_text(encoding="utf-8")
