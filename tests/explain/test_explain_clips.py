"""Clips of stand-in models: what is written of them, how features are named and timed, what a missing stream leaves."""

import json

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, StandIn, examples, explained, features

from ser_ops.emotions import EMOTIONS
from ser_ops.explain.explanations import choose_per_class
from ser_ops.explain.methods.occlusion import occlude
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.explain.utterance import curve_entry
from ser_ops.features.index_map import describe, index_at
from ser_ops.files import sha256


def a_subject(layout="frames", streams=("wav2vec", "spectral"), mean=None):
    settings = features(layout)
    card = {"preset_settings": {"features": settings.model_dump()},
            "sample_rate": RATE, "model": "fusion",
            "standardisation": None if mean is None else {"mean": mean, "std": [1.0] * 12}}
    return Subject.of(StandIn(settings, streams), card, torch.device("cpu")), settings


@pytest.mark.parametrize(("layout", "classes"), [("frames", 7), ("serial", 2)])
def test_everything_is_written_and_named(layout, classes, tmp_path):
    subject, settings = a_subject(layout)
    report = explained(subject, examples(settings, "test"), examples(settings, "train"), tmp_path, "f/",
                       classes=classes)
    json.dumps(report, allow_nan=False)
    assert list(report["heard"][0]["traces"]) == ["scorecam", "shap", "occlusion"]
    assert [clip["emotion"] for clip in report["clips"]] == list(EMOTIONS[:classes])
    for clip in report["clips"]:
        cam = clip["scorecam"]
        assert len(cam["times"]) == len(cam["values"]) == 16
        assert cam["times"][1] == pytest.approx(512 / RATE)
        assert max(cam["values"]) == (0 if cam["empty"] else 1)
        assert 0 <= cam["share_in_padding"] <= 1
        assert (tmp_path / clip["figure"].removeprefix("f/")).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "shap_global.png").exists()
    assert len(report["shap"]["top"]) == 5
    for feature in report["shap"]["top"]:
        assert feature["feature"] == describe(feature["index"], settings)
        assert list(feature["per_class"]) == list(EMOTIONS)


def test_same_seed_same_answer_and_figures(tmp_path):
    answers = []
    for name in ("a", "b"):
        subject, settings = a_subject()
        answers.append(explained(subject, examples(settings, "test"), examples(settings, "train"), tmp_path / name, "",
                                 classes=2))
    assert answers[0] == answers[1]
    for file in (tmp_path / "a").iterdir():
        assert sha256(file) == sha256(tmp_path / "b" / file.name)


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_the_one_feature_that_counts_comes_first_by_its_name(layout, tmp_path):
    subject, settings = a_subject(layout, ("spectral",))
    index = index_at(2 + 4, 9, settings)

    def classify(context, values):
        logits = torch.zeros(len(values), 7)
        logits[:, 2] = 3 * values.flatten(1)[:, index]
        return logits + 0 * subject.model.spectral(values).sum()

    subject.model.classify = classify
    report = explained(subject, examples(settings, "test"), examples(settings, "train"), tmp_path, "", classes=2)
    first = report["shap"]["top"][0]
    assert first["feature"] == f"MFCC 4 at {9 * 512 / RATE:.2f} s"
    assert max(first["per_class"], key=first["per_class"].get) == "fear"
    assert report["shap"]["kinds"][0]["feature"] == "MFCC 4"
    assert report["shap"]["kinds"][0]["per_class"] == pytest.approx(first["per_class"])


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_the_baseline_is_the_training_mean_of_each_kind(layout):
    subject, settings = a_subject(layout, mean=[float(kind) for kind in range(12)])
    flat = subject.baseline().flatten()
    for channel, frame in ((0, 3), (1, 0), (2, 15), (11, 7)):
        assert flat[index_at(channel, frame, settings)] == channel
    assert a_subject(layout)[0].baseline().abs().max() == 0


def test_without_a_spectral_stream_it_is_occlusion_and_said(tmp_path):
    subject, settings = a_subject(streams=("wav2vec",))
    report = explained(subject, examples(settings, "test"), examples(settings, "train"), tmp_path, "")
    assert subject.admitted == ("occlusion",) and report["shap"] is None
    assert "no spectral stream" in subject.not_admitted["scorecam"]
    assert all((tmp_path / clip["figure"]).exists() and "occlusion" in clip for clip in report["clips"])


def test_occlusion_finds_the_burst():
    waveform = torch.zeros(RATE)
    waveform[8000:9600] = 1.0
    occlusion = occlude(lambda windows: windows.abs().mean(1), waveform, RATE, RATE, 0.1, 0.025)
    assert abs(occlusion.seconds[occlusion.drop.argmax()] - 0.55) < 0.02
    assert occlusion.drop[0] == 0


def test_the_choice_does_not_depend_on_the_order_of_rows():
    rows = examples(features(), "test", per_class=5).rows
    chosen = {rows[i].utterance for i in choose_per_class(rows, 2, seed=1)}
    turned = rows[::-1]
    assert chosen == {turned[i].utterance for i in choose_per_class(turned, 2, seed=1)}
    assert len(chosen) == 14
    assert chosen != {rows[i].utterance for i in choose_per_class(rows, 2, seed=2)}
    assert len(choose_per_class(rows, 99, seed=1)) == len(rows)


def test_an_empty_map_is_said_in_numbers():
    entry = curve_entry(Trace("scorecam", np.arange(4.0), np.zeros(4), ""), 2.0)
    assert entry["empty"] and entry["peak"] == 0 and entry["share_in_padding"] == 0
