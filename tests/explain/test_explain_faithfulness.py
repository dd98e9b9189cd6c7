"""Faithfulness of made traces whose worth is known, words that follow the figures, and randomised weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, explain_settings, question

from ser_ops.config.params import load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import faithfulness
from ser_ops.explain.clip import WindowClassifier, make_clip
from ser_ops.explain.deletion import Cells
from ser_ops.explain.intervals import rank_correlation
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.question import Explanation, explain_clip
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.features.index_map import shape_of
from ser_ops.gate import judging
from ser_ops.manifest import VariantRow
from ser_ops.models.architectures import build
from ser_ops.seeds import generator

SECONDS = 0.5
STANDARD = {"mean": [0.1, 0.05, -300.0, *[0.0] * 79], "std": [0.1, 0.05, 100.0, *[10.0] * 79]}
FEW = {"random_draws": 3, "steps": 5, "resamples": 200, "seed_clips": 2, "randomised_clips": 2,
       "fade_seconds": 0.0}


def a_subject(name="fusion", seed=1):
    """A model of the small preset with random weights that hears half a second."""
    preset = load_preset("small")
    window = preset.features.model_copy(update={"seconds": SECONDS})
    preset = preset.model_copy(update={"features": window})
    return Subject(build(name, preset, STANDARD, seed).eval(), window, STANDARD, RATE, torch.device("cpu"), 33)


def some_clips(subject, total, utterance="{}"):
    """Noise with a loud middle, the last ones padded."""
    made = []
    for number in range(total):
        samples = generator(5, number).normal(0, 0.02, round(RATE * (SECONDS if number % 2 else 0.8 * SECONDS)))
        samples[2000:4000] *= 8
        name = utterance.format(number)
        row = VariantRow(f"{name}#original", name, "original", "test", EMOTIONS[number % 7], "made/1", "made")
        made.append(make_clip(subject, row, samples.astype(np.float32)))
    return made


def some_settings(**changes):
    whole = explain_settings()
    return whole.model_copy(update={"faithfulness": whole.faithfulness.model_copy(update=FEW | changes)})


CUE = slice(4800, 5600)     # one cell, not where the sound is loud


def answering(windows, valid):
    """Class 2 by how many of the cue's samples are as they were: those of the made noise are never 0 nor loud."""
    kept = (windows[:, CUE].abs() > 0).double().mean(1)
    kept = kept * (windows[:, CUE].square().mean(1) < 0.02 ** 2 * 2)
    share = 0.1 + 0.8 * kept
    return torch.stack([(1 - share) / 6 if c != 2 else share for c in range(7)], 1).log()


def right(clip):
    """A trace that points at the cue."""
    seconds = (np.arange(len(clip.window) // 80) + 0.5) * 80 / RATE
    return Trace("scorecam", seconds, ((seconds > CUE.start / RATE) & (seconds < CUE.stop / RATE)) * 1.0, "made")


def measure(subject, clips, traces, settings, answer=answering, background=None, checks=True, targets=None):
    """All clips put together; `traces` of each, as Trace or Explanation. answer: None for the model itself."""
    asked = answer or WindowClassifier(subject, 16)
    targets = targets or [int(asked(clip.batch.waveform, clip.batch.valid)[0].argmax()) for clip in clips]
    others = faithfulness.randomise(subject, settings.seed) if checks else None
    measured_clips = []
    for clip, target, own in zip(clips, targets, traces, strict=True):
        given = {name: trace if isinstance(trace, Explanation) else Explanation(trace) for name, trace in own.items()}
        asked = question(subject, clip, target, settings, background=background)
        measured_clips.append(faithfulness.measure_clip(asked, given, answer, others, reseeded=background is not None))
    return faithfulness.combine_clips(measured_clips, settings)


@pytest.fixture(scope="module")
def measured():
    subject = a_subject()
    clips = some_clips(subject, 4)
    traces = [{"scorecam": right(clip), "occlusion": replace(right(clip), values=-right(clip).values)}
              for clip in clips]
    return measure(subject, clips, traces, some_settings())


def test_a_right_trace_beats_random_and_a_reversed_one_loses(measured):
    good, bad = measured["methods"]["scorecam"], measured["methods"]["occlusion"]
    assert good["beats_random"] is True and bad["beats_random"] is False
    for fill in ("silence", "noise"):
        assert good["deletion"][fill]["area"] < measured["random"]["deletion"][fill]["area"] < \
            bad["deletion"][fill]["area"]
        assert good["insertion"][fill]["area"] > measured["random"]["insertion"][fill]["area"] > \
            bad["insertion"][fill]["area"]
        assert good["against_random"]["deletion"][fill]["high"] < 0 < bad["against_random"]["deletion"][fill]["low"]
        for mode in ("deletion", "insertion"):      # paired: the difference of means is the mean of differences
            assert good["against_random"][mode][fill]["difference"] == pytest.approx(
                good[mode][fill]["area"] - measured["random"][mode][fill]["area"])
            assert good["against_energy"][mode][fill]["difference"] == pytest.approx(
                good[mode][fill]["area"] - measured["energy"][mode][fill]["area"])


def test_the_area_of_silence_by_hand(measured):
    # The cue is one cell, gone in the first of five steps: of two clips a fifth is gone by then, of two, which have
    # eight cells, a quarter. 0.9 falls to 0.1 on the way, and stays there.
    curve = measured["methods"]["scorecam"]["deletion"]["silence"]
    assert curve["area"] == pytest.approx(np.mean([first * 0.5 + (1 - first) * 0.1 for first in (0.2, 0.25)]), abs=1e-3)
    assert curve["curve"][0] == pytest.approx(0.9, abs=1e-3) and curve["curve"][-1] == pytest.approx(0.1, abs=1e-3)
    assert measured["shares"] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1]) and len(curve["curve"]) == 6


def test_words_follow_the_figures_and_the_gate_reads_them(measured):
    words = " ".join(measured["words"])
    assert "Score-CAM beats a random ranking in deletion and insertion under every fill" in words
    assert "Occlusion does not beat a random ranking in deletion under silence" in words
    assert "Score-CAM is better than a ranking by loudness" in words
    assert "4 clips of 4 utterances" in words
    report = {"model": "fusion", "methods": ["scorecam", "occlusion"], "faithfulness": measured}
    rule = judging.explanation_rules(json.loads(json.dumps(report, allow_nan=False)), "fusion", [])[-1]
    assert rule.rule == "faithful" and rule.passed and "of Occlusion the report says that it does not" in rule.verdict
    silent = report | {"faithfulness": measured | {"words": []}}
    assert not judging.explanation_rules(silent, "fusion", [])[-1].passed
    boast = {name: figures | {"beats_random": True} for name, figures in measured["methods"].items()}
    boasting = report | {"faithfulness": measured | {"methods": boast, "words": []}}
    rule = judging.explanation_rules(boasting, "fusion", [])[-1]
    assert not rule.passed and "do not show it" in rule.verdict


def test_conditions_of_one_utterance_count_once():
    subject = a_subject()
    clips = some_clips(subject, 3, "same")
    traces = [{"scorecam": right(clip)} for clip in clips]
    report = measure(subject, clips, traces, some_settings(), checks=False)
    assert (report["clips"], report["utterances"]) == (3, 1)
    area = report["random"]["deletion"]["noise"]
    assert area["low"] == pytest.approx(area["area"]) == pytest.approx(area["high"])


def test_the_whole_measurement_of_a_real_model():
    subject, settings = a_subject(), some_settings(steps=2, random_draws=1)
    clips, ground = some_clips(subject, 2), torch.cat([clip.batch.features for clip in some_clips(subject, 6)[2:]])
    answer = WindowClassifier(subject, 16)
    targets = [int(answer(clip.batch.waveform, clip.batch.valid)[0].argmax()) for clip in clips]
    given = [explain_clip(question(subject, clip, target, settings, background=ground))
             for clip, target in zip(clips, targets, strict=True)]
    report = measure(subject, clips, given, settings, None, ground)
    assert set(report["methods"]) == {"scorecam", "shap", "occlusion", "attention"}
    json.dumps(report, allow_nan=False)
    shap = report["methods"]["shap"]
    assert shap["completeness_error"] > 0 and -1 <= shap["seed_agreement"] < 1
    assert report["methods"]["scorecam"]["seed_agreement"] is None
    for figures in (*report["methods"].values(), report["random"], report["energy"]):
        for mode in ("deletion", "insertion"):
            for area in figures[mode].values():
                assert 0 <= area["low"] <= area["area"] <= area["high"] <= 1
    assert report == measure(subject, clips, given, settings, None, ground)


def test_completeness_by_hand():
    subject, clips = a_subject(), some_clips(a_subject(), 2)
    reach = (1.5, -0.5)

    def error(factor):
        given = [{"shap": Explanation(Trace("shap", np.arange(4) / 8, np.full(4, factor * score / 4), ""),
                                      Attribution(np.zeros((1, 7)), np.zeros(7), np.eye(7)[2] * score))}
                 for score in reach]
        return measure(subject, clips, given, some_settings(), checks=False)["methods"]["shap"]["completeness_error"]

    assert error(1) == pytest.approx(0, abs=1e-6)
    assert error(1.25) == pytest.approx(0.25, abs=1e-6) and error(0) == pytest.approx(1, abs=1e-6)


def test_random_weights_are_fresh_and_the_same_for_the_same_seed():
    subject = a_subject()
    randomised = faithfulness.randomise(subject, 7)
    own, head, whole = (model.state_dict() for model in (subject.model, randomised["head"].model,
                                                         randomised["all"].model))
    learned = [name for name in own if name.endswith(("weight", "original1")) and own[name].ndim > 1]
    assert learned and all(not torch.equal(own[name], whole[name]) for name in learned)
    for name in own:
        assert torch.equal(head[name], (whole if name.startswith("head.") else own)[name])
        assert "standardise" not in name or torch.equal(own[name], whole[name])
    same = faithfulness.randomise(subject, 7)["all"].model.state_dict()
    assert all(torch.equal(whole[name], same[name]) for name in whole)
    assert any(not torch.equal(whole[name], weight) for name, weight in
               faithfulness.randomise(subject, 8)["all"].model.state_dict().items())
    assert not randomised["all"].model.training


@pytest.mark.parametrize("name", ["spectral", "wav2vec", "concat", "cnn", "lstm", "cnn_lstm", "vit", "beit"])
def test_every_architecture_can_be_randomised(name):
    preset = load_preset("small")
    subject = Subject(build(name, preset, seed=1).eval(), preset.input_of(name), None, RATE, torch.device("cpu"), 33)
    randomised = faithfulness.randomise(subject, 3)
    waveform, features = torch.zeros(2, 40000), torch.zeros(2, *shape_of(subject.features))
    with torch.no_grad():
        own, head, whole = (some_subject.model(waveform, torch.tensor([40000, 9000]), features)
                            for some_subject in (subject, randomised["head"], randomised["all"]))
    assert own.shape == whole.shape == (2, 7)
    assert not torch.allclose(own, head) and not torch.allclose(own, whole)


def test_a_method_that_does_not_ask_the_model_is_caught(monkeypatch):
    subject, settings = a_subject(), some_settings()
    clips = some_clips(subject, 3)

    def loud(clip):
        cells = Cells.of(clip.valid, 0.05, RATE)
        return {"scorecam": Trace("scorecam", cells.seconds, cells.rms(clip.window), "")}

    def blind(asked, only):
        return {"scorecam": Explanation(loud(asked.clip)["scorecam"])}

    def drawn(asked, only):
        trace = loud(asked.clip)["scorecam"]
        return {"scorecam": Explanation(replace(trace, values=generator(1, asked.clip.key).normal(
            size=len(trace.values))))}

    traces = [loud(clip) for clip in clips]
    monkeypatch.setattr(faithfulness, "explain_clip", blind)
    report = measure(subject, clips, traces, settings)
    assert report["methods"]["scorecam"]["randomised_correlation"] == pytest.approx(1)
    said = "On random weights Score-CAM ranks moments much as before (rank correlation 1.00, beyond 0.5)"
    assert any(said in sentence for sentence in report["words"])
    monkeypatch.setattr(faithfulness, "explain_clip", drawn)
    report = measure(subject, clips, traces, settings)
    assert abs(report["methods"]["scorecam"]["randomised_correlation"]) < 0.5
    assert any("On random weights Score-CAM ranks moments otherwise" in sentence for sentence in report["words"])


def test_a_flat_trace_agrees_with_nothing_and_signs_do_not_count(monkeypatch):
    subject, settings = a_subject(), some_settings()
    (clip,) = some_clips(subject, 1)
    for factor, expected in ((0, 0), (-1, 1)):
        trace = replace(right(clip), values=factor * right(clip).values)
        monkeypatch.setattr(faithfulness, "explain_clip",
                            lambda asked, only, trace=trace: {"scorecam": Explanation(trace)})
        correlations = faithfulness.randomised_correlations(
            question(subject, clip, 2, settings), {"scorecam": right(clip)}, faithfulness.randomise(subject, 1))
        assert correlations["all"]["scorecam"] == pytest.approx(expected) == correlations["head"]["scorecam"]
    assert rank_correlation(np.array([1.0, 2.0]), np.array([2.0, 1.0])) == -1


@pytest.mark.parametrize(("mode", "low", "high", "wrong"), [
    ("deletion", -0.2, -0.01, False), ("deletion", -0.2, 0.0, True), ("deletion", 0.1, 0.2, True),
    ("insertion", 0.01, 0.2, False), ("insertion", 0.0, 0.2, True), ("insertion", -0.2, -0.1, True),
    ("deletion", float("nan"), float("nan"), True)])
def test_an_interval_must_exclude_zero_on_the_right_side(mode, low, high, wrong):
    figure = {"difference": (low + high) / 2, "low": low, "high": high}
    assert faithfulness.failures({"noise": figure}, faithfulness.BETTER[mode]) == {"noise": wrong}
    good = {"deletion": {"noise": {"low": -0.2, "high": -0.1}}, "insertion": {"noise": {"low": 0.1, "high": 0.2}}}
    assert faithfulness.beats(good) and faithfulness.beats(good | {mode: {"noise": figure}}) is not wrong
