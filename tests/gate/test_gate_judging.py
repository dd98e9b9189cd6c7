"""The gate against planted failures: each rule blocks alone, in words, and a missing figure blocks."""

import copy
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_ops.config.evaluation import Gate
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.bootstrap import percentile_interval, resample_speakers
from ser_ops.evaluation.groups import compare_by_group
from ser_ops.evaluation.predictions import Condition
from ser_ops.gate import judging
from ser_ops.methods import METHODS, admitted
from ser_ops.model_table import MODELS

sys.path.append(str(Path(__file__).resolve().parents[1] / "evaluation"))
from simulated_speakers import SETTINGS, simulated

LIMITS = Gate(
    clean_uar={"limit": 0.40, "reason": "below it nobody is served"},
    worst_cell_uar={"limit": 0.45, "reason": "useless in that room otherwise"},
    largest_drop={"limit": 0.20, "reason": "cannot be relied on otherwise"},
    transmission_uar={"limit": 0.45, "reason": "a caller is not served below it"},
    beats_shuffled={"limit": 0.10, "reason": "must clear chance by a margin"},
    coverage_missed={"limit": 0.05, "reason": "a promise that is not kept misleads"},
    unchanged_labels={"limit": 0.95, "reason": "what nobody hears must not change the answer"},
    alike_by_sex={"limit": 0.01, "reason": "as good for everybody, up to chance"},
    alike_by_pitch={"limit": 0.01, "reason": "as good for everybody, up to chance"},
    group_difference={"limit": 0.1, "reason": "a smaller one is much the same"},
    calibration_error={"limit": 0.25, "reason": "as sure as it is right"},
    not_worse_than_staging={"limit": 0.95, "reason": "not worse than today's model"},
    same_answers={"limit": 1e-4, "reason": "the package must be what was evaluated"},
    registered_answers={"limit": 1e-4, "reason": "the package must be what was evaluated"})
GRID = [Condition(noise, intensity, seed) for noise in ("fish_market", "white") for intensity in (0.25, 0.75)
        for seed in (1, 2)]
UAR = {"fish_market@0.25": 0.60, "fish_market@0.75": 0.50, "white@0.25": 0.62, "white@0.75": 0.55}


def faithful(*methods):
    """What the gate reads of "faithfulness", of methods that beat random rankings."""
    away = {"deletion": {"difference": -0.2, "low": -0.3, "high": -0.1},
            "insertion": {"difference": 0.2, "low": 0.1, "high": 0.3}}
    return {"fills": ["silence", "noise"],
            "words": [f"{METHODS[name].title} beats a random ranking." for name in methods],
            "methods": {name: {"beats_random": True, "against_random": {
                mode: {fill: dict(figures) for fill in ("silence", "noise")} for mode, figures in away.items()}}
                for name in methods}}


def held(share, half=0.01):
    """How often sets hold the truth, with its interval."""
    return {"held": share, "held_low": share - half, "held_high": share + half}


def _files(*names):
    return {f"figures/explanations/{name}.png" for name in names}


def good():
    """Everything that the gate reads, of a model that passes."""
    cells = {cell: {"uar": uar} for cell, uar in UAR.items()}
    return {
        "reports": {
            "metrics": {
                "provenance": {"protocol": "speaker", "synthetic": ["synthetic_tess"], "partial": [],
                               "backbone": "random weights, small configuration",
                               "intervals": {"over": "speakers", "instead": ""}},
                "models": {"fusion": {"clean": {"uar": 0.65, "uar_low": 0.58}, "cells": cells,
                                      "streams": ["wav2vec", "spectral"], "selective": {"sets": [
                                          {"coverage": 0.8, "place": "clean", **held(0.83)},
                                          {"coverage": 0.9, "place": "clean", **held(0.88)},
                                          {"coverage": 0.9, "place": "noisy", "held": 0.5}]}}},
                "shuffled": {"uar": 0.14, "uar_high": 0.20, "models": 2, "cells": dict.fromkeys(UAR, 0.21)},
                "streams": {"wav2vec": {"beats_shuffled": True, "uar_low": 0.3},
                            "spectral": {"beats_shuffled": True, "uar_low": 0.5}}},
            "robustness": [{"model": "fusion", "noise": cell.noise, "intensity": str(cell.intensity),
                            "seed": str(cell.seed), "uar": str(UAR[cell.cell] + (0.01 if cell.seed == 1 else -0.01))}
                           for cell in GRID],
            "behaviour": {
                "model": "fusion",
                "changes": {"all": {"unchanged": 0.97, "of": 400}, "gain": {"unchanged": 1.0, "of": 200},
                            "low_pass": {"unchanged": 0.94, "of": 200}},
                "groups": {name: {"groups": list(names), "uar": dict(zip(names, (0.66, 0.52), strict=True)),
                                  "speakers": dict.fromkeys(names, 6), "unknown": 0, "corpora": ["a"], "classes": 7,
                                  "difference": 0.14, "exchanges": 924, "chance": 0.4, "smallest_chance": 2 / 924}
                           for name, names in (("sex", ("female", "male")), ("pitch", ("lower", "higher")))},
                "calibration": {"error": 0.11, "temperature": 1.3, "error_with_temperature": 0.05}},
            "leak_audit": {"protocol": "speaker", "clean": True, "declared": [], "findings": []},
            "data_validation": {"success": True, "rules": []},
            "explanations": {
                "model": "fusion", "methods": ["scorecam", "shap", "occlusion"],
                "heard": [{"utterance": "a/1", "traces": {"scorecam": {}, "shap": {}, "occlusion": {}}}],
                "faithfulness": faithful("scorecam", "shap", "occlusion"),
                "clips": [{"utterance": "a/1", "scorecam": {"times": [0.0, 0.1], "values": [0.2, 0.9],
                                                            "figure": "figures/explanations/a.png"},
                           "occlusion": {"times": [0.0, 0.1], "values": [0.2, -0.9],
                                         "figure": "figures/explanations/b.png"}}],
                "shap": {"top": [{"feature": "MFCC 3 at 0.5 s", "per_class": dict.fromkeys(EMOTIONS, 0.1)}],
                         "figure": "figures/explanations/shap.png"}}},
        "files": _files("a", "b", "shap"),
        "answers": {"loads": True, "pickles": [], "utterances": 14, "largest_difference": 4e-7, "error": ""},
    }


LINES = [Condition("gsm", seed=1), Condition("room_large", seed=1)]


def called(gsm=0.56, room=0.48):
    """A model that passes, with a telephone line and a room."""
    case = good() | {"grid": [*GRID, *LINES]}
    uar = {"gsm": gsm, "room_large": room}
    figures = case["reports"]["metrics"]["models"]["fusion"]
    figures["transmission"] = {"cells": {cell: {"uar": value} for cell, value in uar.items()}}
    case["reports"]["robustness"] += [{"model": "fusion", "noise": cell, "intensity": "0.0", "seed": "1",
                                       "uar": str(value)} for cell, value in uar.items()]
    return case


def judged(case):
    model, grid = case.get("model", "fusion"), case.get("grid", GRID)
    return judging.judge(case["reports"], LIMITS, model, grid, case["files"], case["answers"])


def plant(path, value):
    """A case with one fault; `value` may be a function of the value before; None removes it."""
    case = good()
    parent = parent_of(case, path)
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value(parent[path[-1]]) if callable(value) else value
    return case


def parent_of(case, path):
    for name in path[:-1]:
        case = case[name]
    return case


def test_a_good_model_passes_every_rule():
    verdict = judged(good())
    assert verdict["passed"] is True and verdict["verdict"] == "passed" and verdict["model"] == "fusion"
    assert [rule["rule"] for rule in verdict["rules"]] == [
        "protocol", "validation", "leak_audit", "clean_uar", "worst_cell_uar", "largest_drop",
        "transmission_uar", "beats_shuffled", "coverage_missed", "streams", "robustness_table", "unchanged_labels",
        "alike_by_sex", "alike_by_pitch", "calibration_error",
        "score_cam", "grad_cam", "shap", "occlusion", "faithful", "loads_without_pickle", "same_answers"]
    for rule in verdict["rules"]:
        assert set(rule) == {"rule", "figure", "limit", "passed", "verdict", "reason", "applies"}
        assert rule["passed"] and rule["reason"]
        idle = rule["rule"] in ("grad_cam", "transmission_uar")
        assert rule["verdict"].startswith("does not apply: " if idle else "passed: ")
    json.dumps(verdict, allow_nan=False)


METRICS = ("reports", "metrics")
FUSION = (*METRICS, "models", "fusion")
SETS = (*FUSION, "selective", "sets")
BEHAVIOUR = ("reports", "behaviour")
CHANGES = (*BEHAVIOUR, "changes")
FAITHFUL = ("reports", "explanations", "faithfulness")
PLANTED = [
    # what is wrong, the only rule that it may block, and what must be said
    ((*METRICS, "provenance", "protocol"), "random", {"protocol"}, "protocol random"),
    (("reports", "leak_audit", "protocol"), "paper", {"protocol"}, "protocol paper"),
    ((*METRICS, "provenance"), None, {"protocol"}, "no protocol"),
    (("reports", "data_validation", "success"), False, {"validation"}, "data validation failed"),
    (("reports", "data_validation"), None, {"validation"}, "data_validation.json is missing"),
    (("reports", "leak_audit", "clean"), False, {"leak_audit"}, "not clean"),
    (("reports", "leak_audit", "findings"), [{"kind": "speaker", "declared": True}], {"leak_audit"}, "speaker"),
    (("reports", "leak_audit"), {"protocol": "speaker"}, {"leak_audit"}, "missing"),
    ((*FUSION, "clean", "uar"), 0.38, {"clean_uar"}, "clean: UAR 0.38 < 0.40"),
    ((*FUSION, "clean", "uar"), 0.3999, {"clean_uar"}, "clean: UAR 0.3999 < 0.4000"),
    ((*FUSION, "cells", "fish_market@0.75", "uar"), 0.41, {"worst_cell_uar", "largest_drop", "robustness_table"},
     "fish_market at 0.75: UAR 0.41 < 0.45"),
    ((*METRICS, "shuffled", "cells", "white@0.75"), 0.56, {"worst_cell_uar"},
     "white at 0.75: UAR 0.55 < 0.56 (upper bound of label-shuffled models there)"),
    ((*FUSION, "clean", "uar"), 0.75, {"largest_drop"}, "fish_market at 0.75: UAR 0.25 > 0.20"),
    ((*FUSION, "clean", "uar_low"), 0.29, {"beats_shuffled"}, "lower bound of clean UAR over speakers 0.29 < 0.30"),
    ((*FUSION, "clean", "uar_low"), None, {"beats_shuffled"}, "missing"),
    ((*METRICS, "shuffled"), None, {"beats_shuffled"}, "ablations.shuffled"),
    ((*METRICS, "shuffled", "uar_high"), math.nan, {"beats_shuffled"}, "label-shuffled"),
    ((*SETS, 1), {"coverage": 0.9, "place": "clean", **held(0.84)}, {"coverage_missed"},
     "sets that promise 0.9 hold the truth in 0.840 of clean clips [0.830, 0.850 over speakers], 0.060 > 0.05 less: "
     "beyond chance"),
    ((*SETS, 0, "held_high"), None, {"coverage_missed"}, "on clean speech is missing"),
    ((*SETS, 1, "held"), math.nan, {"coverage_missed"}, "on clean speech is missing"),
    (SETS, lambda rows: rows[2:], {"coverage_missed"}, "on clean speech is missing"),
    ((*FUSION, "selective"), None, {"coverage_missed"}, "on clean speech is missing"),
    ((*METRICS, "streams", "wav2vec", "beats_shuffled"), None, {"streams"}, "wav2vec"),
    ((*METRICS, "streams"), None, {"streams"}, "wav2vec and the spectral"),
    (("reports", "robustness"), None, {"robustness_table"}, "robustness.csv is missing"),
    (("reports", "robustness"), lambda rows: rows[1:], {"robustness_table"}, "lacks 1 of 8 rows, fish_market at 0.25"),
    (("reports", "robustness"), lambda rows: [{**rows[0], "uar": "nan"}, *rows[1:]], {"robustness_table"}, "lacks 1"),
    (("reports", "robustness"), lambda rows: [{**row, "model": "concat"} for row in rows], {"robustness_table"},
     "lacks 8"),
    (("reports", "robustness"), lambda rows: [{**rows[0], "uar": "0.9"}, *rows[1:]], {"robustness_table"}, "disagree"),
    ((*CHANGES, "all", "unchanged"), 0.949, {"unchanged_labels"}, "leave: 0.949 < 0.950 (least under low pass: 0.94)"),
    ((*CHANGES, "gain", "unchanged"), math.nan, {"unchanged_labels"}, "missing"),
    ((*CHANGES, "all"), None, {"unchanged_labels"}, "missing"),
    ((*BEHAVIOUR, "changes"), {"all": {"unchanged": 1.0}}, {"unchanged_labels"}, "missing"),
    ((*BEHAVIOUR, "groups", "sex", "chance"), 4 / 924, {"alike_by_sex"},
     "UAR by sex: female 0.66 and male 0.52; 0.43% of exchanges of 6 female and 6 male speakers differ as much: beyond "
     "chance, and 0.140 > 0.1"),
    ((*BEHAVIOUR, "groups", "sex", "smallest_chance"), None, {"alike_by_sex"}, "UAR by sex is missing"),
    ((*BEHAVIOUR, "groups", "sex", "difference"), math.nan, {"alike_by_sex"}, "UAR by sex is missing"),
    ((*BEHAVIOUR, "groups", "pitch", "chance"), None, {"alike_by_pitch"}, "UAR by pitch is missing"),
    ((*BEHAVIOUR, "groups", "pitch", "uar", "lower"), math.nan, {"alike_by_pitch"}, "UAR by pitch is missing"),
    ((*BEHAVIOUR, "calibration", "error"), 0.26, {"calibration_error"}, "0.26 > 0.25"),
    ((*BEHAVIOUR, "calibration"), None, {"calibration_error"}, "missing"),
    (BEHAVIOUR, None, {"unchanged_labels", "alike_by_sex", "alike_by_pitch", "calibration_error"}, "missing"),
    ((*BEHAVIOUR, "model"), "concat", {"unchanged_labels", "alike_by_sex", "alike_by_pitch", "calibration_error"},
     "missing"),
    (("reports", "explanations", "shap"), None, {"shap"}, "no SHAP"),
    (("reports", "explanations", "shap", "top"), [], {"shap"}, "no SHAP"),
    (("reports", "explanations", "shap", "top", 0, "per_class", "sad"), math.nan, {"shap"}, "MFCC 3"),
    (("reports", "explanations", "clips"), [], {"score_cam", "occlusion"}, "no Score-CAM"),
    (("reports", "explanations", "clips", 0, "scorecam", "values"), [0.1, math.nan], {"score_cam"}, "a/1"),
    (("reports", "explanations", "clips", 0, "scorecam", "values"), [0.1], {"score_cam"}, "a/1"),
    (("files",), _files("b", "shap"), {"score_cam"}, "a.png is not in reports/"),
    (("files",), _files("a", "b"), {"shap"}, "shap.png is not in reports/"),
    ((*FAITHFUL,), None, {"faithful"}, "no faithfulness of fusion"),
    ((*FAITHFUL, "methods"), {}, {"faithful"}, "Score-CAM is shown and was not compared with random rankings"),
    ((*FAITHFUL, "methods", "occlusion"), None, {"faithful"}, "Occlusion is shown and was not compared with"),
    ((*FAITHFUL, "methods", "shap", "beats_random"), False, {"faithful"}, "SHAP is shown, beats no random ranking"),
    ((*FAITHFUL, "methods", "shap", "beats_random"), "yes", {"faithful"}, "SHAP is shown and was not compared with"),
    ((*FAITHFUL, "methods", "shap", "against_random", "deletion", "noise", "high"), 0.001, {"faithful"},
     "its own figures do not show it"),
    ((*FAITHFUL, "methods", "shap", "against_random", "insertion", "silence", "low"), 0.0, {"faithful"}, "not show it"),
    ((*FAITHFUL, "methods", "shap", "against_random", "insertion", "noise", "low"), math.nan, {"faithful"}, "show it"),
    ((*FAITHFUL, "methods", "shap", "against_random", "deletion", "noise"), None, {"faithful"}, "not show it"),
    (("answers", "loads"), False, {"loads_without_pickle"}, "does not load"),
    (("answers", "pickles"), ["data/model.pkl"], {"loads_without_pickle"}, "data/model.pkl"),
    (("answers", "pickles"), None, {"loads_without_pickle"}, "was not searched"),
    (("answers", "largest_difference"), 2e-4, {"same_answers"}, "2.0e-04 > 0.0001"),
    (("answers", "largest_difference"), None, {"same_answers"}, "missing"),
    (("answers", "largest_difference"), math.nan, {"same_answers"}, "missing"),
    (("answers", "utterances"), 7, {"same_answers"}, "only 7"),
]


@pytest.mark.parametrize(("path", "value", "rules", "words"), PLANTED,
                         ids=[f"{number}-{sorted(case[2])[0]}" for number, case in enumerate(PLANTED)])
def test_planted_failures_block_alone_and_in_words(path, value, rules, words):
    verdict = judged(plant(path, value))
    blocked = {rule["rule"]: rule["verdict"] for rule in verdict["rules"] if not rule["passed"]}
    assert set(blocked) == rules and not verdict["passed"]
    assert all(verdict.startswith("blocked: ") for verdict in blocked.values())
    assert verdict["verdict"].startswith("blocked: ")
    assert any(words in verdict for verdict in blocked.values()) and words in verdict["verdict"]


def test_the_verdict_of_the_issue():
    case = good()
    case["reports"]["metrics"]["models"]["fusion"]["cells"]["fish_market@0.75"]["uar"] = 0.41
    rule = next(rule for rule in judged(case)["rules"] if rule["rule"] == "worst_cell_uar")
    assert rule["verdict"] == "blocked: fish_market at 0.75: UAR 0.41 < 0.45"
    assert (rule["figure"], rule["limit"], rule["reason"]) == (0.41, 0.45, "useless in that room otherwise")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "0.9", True, [0.9]])
@pytest.mark.parametrize(("path", "rules"), [
    ((*FUSION, "clean", "uar"), {"clean_uar", "largest_drop"}),
    ((*FUSION, "cells", "white@0.25", "uar"), {"worst_cell_uar", "largest_drop", "robustness_table"})])
def test_what_is_no_figure_fails(path, rules, value):
    case = good()
    parent_of(case, path)[path[-1]] = value
    assert {rule["rule"] for rule in judged(case)["rules"] if not rule["passed"]} == rules


def test_nothing_at_all_is_blocked_by_every_rule_but_raises_nothing():
    verdict = judging.judge({}, LIMITS, "fusion", GRID, set(), None)
    assert not any(rule["passed"] for rule in verdict["rules"] if rule["applies"])
    verdict = judging.judge(dict.fromkeys(good()["reports"], "rubbish"), LIMITS, "fusion", GRID, set(), {})
    assert not any(rule["passed"] for rule in verdict["rules"] if rule["applies"])
    json.dumps(verdict, allow_nan=False)


def test_an_empty_grid_is_no_robustness():
    case = good() | {"grid": []}
    assert {rule["rule"] for rule in judged(case)["rules"] if not rule["passed"]} == {
        "worst_cell_uar", "largest_drop", "robustness_table"}


def test_another_models_explanations_do_not_count():
    blocked = {rule["rule"] for rule in judged(plant(("reports", "explanations", "model"), "concat"))["rules"]
               if not rule["passed"]}
    assert blocked == {"shap", "score_cam", "occlusion", "faithful"}


def alike(speech, by="sex"):
    """The rule on groups, of the answers to simulated speakers; a note says so when it does not apply."""
    verdict = judged(plant((*BEHAVIOUR, "groups"), compare_by_group(**speech, settings=SETTINGS)))
    rule = next(rule for rule in verdict["rules"] if rule["rule"] == f"alike_by_{by}")
    assert any(f"alike by {by} is not known" in note for note in verdict["notes"]) is not rule["applies"]
    return rule


def test_a_model_that_serves_men_worse_is_blocked():
    """Six women and six men, each man recognised worse by 0.3; the lower voices are the men's."""
    speech = simulated(6, 6, effect=0.3, spread=0.05, seed=1)
    for by in ("sex", "pitch"):
        rule = alike(speech, by)
        assert not rule["passed"] and rule["applies"] and "beyond chance" in rule["verdict"]
        assert rule["reason"] == "as good for everybody, up to chance; a smaller one is much the same"
        assert rule["figure"] <= 0.01 == rule["limit"]


def test_an_effect_beyond_chance_that_is_too_small_to_matter_passes():
    rule = alike(simulated(6, 6, effect=0.06, spread=0.0, repeats=100, seed=1))
    assert rule["passed"] and rule["applies"] and rule["figure"] <= 0.01
    assert "beyond chance, and 0.0" in rule["verdict"] and rule["verdict"].endswith("<= 0.1")


def test_a_large_difference_within_chance_passes():
    """People differ: the luckier six are women here, by more than the limit on the difference."""
    rule = next(rule for seed in range(100) if (rule := alike(simulated(6, 6, spread=0.25, seed=seed)))["figure"] > 0.05
                and float(rule["verdict"].split("female ")[1][:4]) - float(rule["verdict"].split("male ")[2][:4]) > 0.1)
    assert rule["passed"] and "beyond chance" not in rule["verdict"]


def test_two_women_recognised_better_than_two_men_are_too_few_to_tell():
    """0.82 for two women and 0.60 for two men: no exchange of four people could be beyond chance."""
    speech = simulated(2, 2, seed=1, repeats=50)
    sayings = np.tile(np.arange(50), 28)
    speech["right"] = sayings < np.where(speech["sexes"] == "female", 41, 30)
    rule = alike(speech)
    assert rule["passed"] and not rule["applies"] and rule["figure"] is None
    assert rule["verdict"] == ("does not apply: too few voices to tell: 2 female and 2 male speakers, the smallest "
                               "possible chance is 0.33, the limit 0.01 (UAR by sex: female 0.82 and male 0.60)")


@pytest.mark.parametrize(("women", "men"), [(3, 0), (0, 2)])
def test_an_empty_group_is_not_judged(women, men):
    rule = alike(simulated(women, men))
    assert rule["passed"] and not rule["applies"]
    assert rule["verdict"] == ("does not apply: no corpus has enough test utterances of both groups to compare by sex "
                               f"(speakers: {women} female and {men} male, 0 unknown)")


def test_intervals_over_utterances_are_noted():
    intervals = {"over": "utterances", "instead": "of 2 speakers there is no interval over speakers (3 are needed)"}
    verdict = judged(plant((*METRICS, "provenance", "intervals"), intervals))
    assert "intervals are over utterances, which says nothing of other people: of 2 speakers there is no interval " \
        "over speakers (3 are needed)" in verdict["notes"]
    assert not any("intervals" in note for note in judged(good())["notes"])


def test_a_stream_that_adds_nothing_is_said_and_passes():
    verdict = judged(plant((*METRICS, "streams", "wav2vec"), {"beats_shuffled": False, "uar_low": 0.15}))
    assert verdict["passed"]
    assert any("wav2vec stream alone (lower bound of clean UAR 0.15)" in note and "adds nothing" in note
               for note in verdict["notes"])
    assert "adds nothing" in next(rule["verdict"] for rule in verdict["rules"] if rule["rule"] == "streams")


CURVE = {"times": [0.0, 0.1], "values": [0.0, 1.0]}
TABLE = {"confidence": 0.7, "mean_activation": 0.1, "max_activation": 0.9, "activated_area_pct": 3.0, "entropy": 8.1,
         "time_focus_range": [0.2, 0.4], "freq_focus_range": [300.0, 900.0], "confidence_drop": -1.2, "empty": False,
         "probabilities": dict.fromkeys(EMOTIONS, 1 / 7)}
EMPTY = TABLE | {"empty": True, "mean_activation": 0.0, "max_activation": 0.0, "activated_area_pct": 0.0} | \
    dict.fromkeys(("entropy", "confidence_drop", "time_focus_range", "freq_focus_range"))
STREAMS = {"wav2vec": ["wav2vec"], "cnn": ["stacked"], "lstm": ["stacked"], "cnn_lstm": ["stacked"], "vit": ["image"],
           "beit": ["image"]}


def admits(model):
    return admitted(MODELS[model].streams, MODELS[model].has_cam_layer, MODELS[model].attends)


def other(model):
    """What the gate reads of a model without a spectral stream that passes."""
    case = good() | {"model": model}
    metrics, explanations = case["reports"]["metrics"], case["reports"]["explanations"]
    case["reports"]["behaviour"]["model"] = model
    metrics["models"] = {model: metrics["models"]["fusion"] | {"streams": STREAMS[model]}}
    for row in case["reports"]["robustness"]:
        row["model"] = model
    methods = admits(model)
    clip = {"utterance": "a/1"}
    for method in methods:
        if method != "shap":
            file = f"figures/explanations/{method}.png"
            clip[method] = {"gradcam": TABLE, "occlusion": CURVE}[method] | {"figure": file}
            case["files"].add(file)
    explanations |= {"model": model, "methods": list(methods), "heard": [], "faithfulness": faithful(*methods)}
    explanations |= {"clips": [clip], "shap": explanations["shap"] if "shap" in methods else None}
    return case


@pytest.mark.parametrize("model", STREAMS)
def test_each_architecture_passes_with_what_it_admits_and_no_more(model):
    verdict = judged(other(model))
    rules = {rule["rule"]: rule for rule in verdict["rules"]}
    assert verdict["passed"], verdict["verdict"]
    for method in (each for each in METHODS.values() if each.rule):
        assert rules[method.rule]["applies"] == (method.name in admits(model))
        assert rules[method.rule]["applies"] or rules[method.rule]["verdict"].startswith("does not apply: ")
    assert not rules["streams"]["applies"]


@pytest.mark.parametrize("model", STREAMS)
def test_each_method_that_an_architecture_admits_is_missed(model):
    for method in admits(model):
        rule = METHODS[method].rule
        gone = other(model)
        report = gone["reports"]["explanations"]
        if method == "shap":
            report["shap"] = None
        else:
            del report["clips"][0][method]
        hidden = other(model)
        hidden["files"].discard(f"figures/explanations/{method}.png")
        for case in (gone, hidden):
            assert {rule["rule"] for rule in judged(case)["rules"] if not rule["passed"]} == {rule}
        absent = other(model)
        absent["reports"]["explanations"] = None
        assert rule in {rule["rule"] for rule in judged(absent)["rules"] if not rule["passed"]}


def test_a_picture_counts_for_its_own_method_alone():
    case = other("vit")
    del case["reports"]["explanations"]["clips"][0]["occlusion"]["figure"]
    case["reports"]["explanations"]["clips"][0]["figure"] = "figures/explanations/gradcam.png"
    assert {rule["rule"] for rule in judged(case)["rules"] if not rule["passed"]} == {"occlusion"}


@pytest.mark.parametrize("sentence", [
    "Occlusion does not beat a random ranking in deletion under noise (+0.010 [-0.020, +0.040]).",
    "occlusion does not beat a random ranking in insertion under silence."])
def test_a_method_that_fails_passes_when_the_report_says_so(sentence):
    case = plant((*FAITHFUL, "methods", "occlusion", "beats_random"), False)
    case["reports"]["explanations"]["faithfulness"]["words"][2] = sentence
    verdict = judged(case)
    words = next(rule["verdict"] for rule in verdict["rules"] if rule["rule"] == "faithful")
    assert verdict["passed"] and words == (
        "passed: Score-CAM and SHAP beat random rankings in deletion and insertion; of Occlusion the report says that "
        "it does not")


@pytest.mark.parametrize("sentence", [
    "SHAP does not beat a random ranking in deletion under noise.",                     # another method
    "Loudness, which asks no model, does not beat a random ranking.",                   # no method at all
    "Occlusion is no better than a ranking by loudness in deletion under silence.",     # another ranking
    "Occlusion does not show what two moments do together.", "", None, 3])
def test_other_words_do_not_excuse_a_method(sentence):
    case = plant((*FAITHFUL, "methods", "occlusion", "beats_random"), False)
    case["reports"]["explanations"]["faithfulness"]["words"][2] = sentence
    assert {rule["rule"] for rule in judged(case)["rules"] if not rule["passed"]} == {"faithful"}


def test_what_a_report_shows_is_what_must_be_faithful():
    case = good()
    report = case["reports"]["explanations"]
    del report["faithfulness"]["methods"]["occlusion"], report["heard"][0]["traces"]["occlusion"]
    report["methods"].remove("occlusion")
    assert judged(case)["passed"]
    report["methods"], report["heard"] = [], "rubbish"
    assert {rule["rule"] for rule in judged(case)["rules"] if not rule["passed"]} == {"faithful"}


@pytest.mark.parametrize(("name", "value"), [
    ("entropy", None), ("entropy", math.nan), ("confidence_drop", None), ("mean_activation", None),
    ("time_focus_range", [0.4, 0.2]), ("freq_focus_range", None), ("freq_focus_range", [1.0]),
    ("probabilities", {"angry": 1.0}), ("empty", True)])
def test_a_metric_table_with_a_hole_blocks(name, value):
    case = other("cnn_lstm")
    case["reports"]["explanations"]["clips"][0]["gradcam"][name] = value
    blocked = [rule for rule in judged(case)["rules"] if not rule["passed"]]
    assert [rule["rule"] for rule in blocked] == ["grad_cam"] and "a/1" in blocked[0]["verdict"]


def test_a_map_that_is_zero_everywhere_is_an_answer():
    case = other("vit")
    case["reports"]["explanations"]["clips"][0]["gradcam"] |= EMPTY
    assert judged(case)["passed"]


def test_notes_say_what_training_heard():
    case = good()
    case["reports"]["metrics"]["provenance"]["heard"] = {"variants": ["original", "noisy"], "noise": ["white"],
                                                         "intensity": [0.01, 0.75]}
    assert "training heard original, noisy, with white at 0.01 to 0.75 of the speech's peak" in judged(case)["notes"]


def test_notes_name_models_that_were_left_out():
    case = good()
    assert not any("was not trained" in note for note in judged(case)["notes"])
    case["reports"]["metrics"]["provenance"]["lacking"] = {"wav2vec": "no hub is in reach"}
    assert "wav2vec was not trained beside it: no hub is in reach" in judged(case)["notes"]


def test_notes_say_what_the_figures_come_from():
    notes = " | ".join(judged(good())["notes"])
    assert "synthetic speech: synthetic_tess" in notes and "random weights" in notes and "at promotion" in notes


def test_a_cell_within_chance_is_said():
    case = good()
    case["reports"]["metrics"]["shuffled"]["cells"]["white@0.75"] = 0.56
    assert any("white@0.75" in note for note in judged(case)["notes"])


def test_judging_changes_nothing():
    case = good()
    before = copy.deepcopy(case)
    judged(case)
    assert case == before


@pytest.mark.parametrize(("model", "methods", "known"), [
    ("perceptron", ["scorecam"], "fusion, concat"), ("fusion", ["guesswork"], "scorecam, gradcam")])
def test_unknown_names_are_an_error_that_lists_the_known_ones(model, methods, known):
    report = good()["reports"]["explanations"] | {"model": model, "methods": methods}
    with pytest.raises(UserError, match=f"unknown .*: expected one of {known}"):
        judging.explanation_rules(report, model, [])


def rule_of(case, name):
    return next(rule for rule in judged(case)["rules"] if rule["rule"] == name)


def covered(speakers, short, spread, seed):
    """The rule on coverage, where each speaker's sets hold the truth in 0.9 less `short` of 60 clips, give or take."""
    draw = np.random.default_rng(seed)
    skill = np.clip(0.9 - short + draw.normal(0, spread, speakers), 0, 1)
    right = draw.random((speakers, 60)) < skill[:, None]
    names = [f"{speaker:02d}" for speaker in range(speakers) for _ in range(60)]
    shares = resample_speakers(np.zeros(speakers * 60, int), names, 500, seed).accuracy(right.ravel())
    low, high = percentile_interval(shares, 0.95)
    row = {"coverage": 0.9, "place": "clean", "held": right.mean(), "held_low": low, "held_high": high}
    return rule_of(plant(SETS, [row]), "coverage_missed")


def test_a_coverage_that_no_speaker_gets_is_blocked_and_one_that_speakers_get_on_average_is_not():
    missed = [covered(8, 0.15, 0.03, seed)["passed"] for seed in range(40)]
    kept = [covered(8, 0.0, 0.08, seed)["passed"] for seed in range(40)]
    assert sum(missed) <= 2 and sum(kept) >= 38


def test_a_coverage_missed_within_chance_passes_and_so_does_one_missed_by_too_little_to_matter():
    wide = rule_of(plant((*SETS, 0), {"coverage": 0.8, "place": "clean", **held(0.7, 0.11)}), "coverage_missed")
    assert wide["passed"] and wide["verdict"].endswith("0.100 > 0.05 less: within chance")
    many = covered(400, 0.02, 0.0, 1)
    assert many["passed"] and many["applies"] and 0 < many["figure"] < many["limit"] == 0.05


def test_without_an_evaluated_coverage_nothing_is_promised():
    rule = rule_of(plant(SETS, []), "coverage_missed")
    assert rule["passed"] and not rule["applies"] and "evaluate.coverages is empty" in rule["verdict"]


def test_telephone_and_rooms_pass_by_their_mean_and_name_the_worst():
    assert judged(called())["passed"]
    rule = rule_of(called(), "transmission_uar")
    assert rule["verdict"] == "passed: mean over gsm, room_large: UAR 0.52 >= 0.45 (worst room_large: 0.48)"
    assert rule["applies"] and rule["figure"] == pytest.approx(0.52)


def test_telephone_and_rooms_block_alone_and_leave_the_grid_as_it_was():
    verdict = judged(called(gsm=0.50, room=0.30))
    assert verdict["verdict"] == "blocked: mean over gsm, room_large: UAR 0.40 < 0.45 (worst room_large: 0.30)"
    for name in ("worst_cell_uar", "largest_drop"):
        assert rule_of(called(gsm=0.50, room=0.30), name) == rule_of(good(), name)


def test_a_line_that_was_asked_for_and_not_measured_blocks():
    case = called()
    del case["reports"]["metrics"]["models"]["fusion"]["transmission"]["cells"]["gsm"]
    assert rule_of(case, "transmission_uar")["verdict"] == "blocked: telephone and rooms unknown: no UAR for gsm"
    case = called()
    case["reports"]["robustness"] = [row for row in case["reports"]["robustness"] if row["noise"] != "gsm"]
    assert "lacks 1 of 10 rows, gsm with seed 1 among them" in rule_of(case, "robustness_table")["verdict"]
    case = called()
    case["reports"]["robustness"][-1]["uar"] = "0.9"
    assert "disagree on room_large" in rule_of(case, "robustness_table")["verdict"]


def test_without_a_line_or_a_room_the_rule_says_that_nobody_knows():
    rule = rule_of(good(), "transmission_uar")
    assert rule["passed"] and not rule["applies"]
    assert rule["verdict"] == ("does not apply: no telephone line and no room was evaluated (evaluate.transmission is "
                               "empty), so nobody knows what the model does there")
