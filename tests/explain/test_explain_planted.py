"""A planted burst: the clips are what they say, methods find what decides, and one that points elsewhere is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, explain_settings
from torch import nn

from ser_ops.config.params import load_params, load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import planted
from ser_ops.explain.question import Explanation, method_module
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.features.index_map import channels_of
from ser_ops.models.architectures import build

PLANTED = load_params().explain.planted


def some_settings(**changes):
    whole = explain_settings(shap_samples=60, batch_size=64, background=8)
    small = {"train_clips": 48, "clips": 8, "max_steps": 60, "check_every": 10} | changes
    return whole.model_copy(update={"planted": PLANTED.model_copy(update=small)})


def in_blocks(preset):
    """The preset with paper 1's three blocks, narrow, over frames of its length."""
    blocks = load_preset("paper").spectral.model_copy(update={"channels": (96, 96, 64), "embedding": 128})
    features = preset.features.model_copy(update={"frame": 2048, "hop": 512, "mfcc": 40, "mels": 128, "level": "keep",
                                                  "centre": False})
    return preset.model_copy(update={"spectral": blocks, "features": features})


def a_subject(name, blocks=False):
    preset = load_preset("small")
    narrow = preset.model_copy(update={"spectral": preset.spectral.model_copy(update={"members": 1})})
    preset = in_blocks(preset) if blocks else narrow   # members answer rightly before each has learned its part
    window = preset.input_of(name)
    kinds = channels_of(window)
    standard = {"mean": [0.0] * kinds, "std": [1.0] * kinds} if getattr(window, "standardise", False) else None
    model = build(name, preset, standard, seed=1).eval()
    return Subject(model, window, standard, RATE, torch.device("cpu"),
                   model.spectral.receptive_field if name == "spectral" else 1)


def loudest(samples, start):
    """The frequency of the strongest component of a burst, and its RMS."""
    size = round(PLANTED.seconds * RATE)
    burst = samples[round(start * RATE):round(start * RATE) + size]
    return np.abs(np.fft.rfft(burst, RATE)).argmax(), np.sqrt(np.mean(burst**2))


@pytest.mark.parametrize(("emotion", "hertz"), zip(planted.CLASSES, PLANTED.hertz, strict=True))
def test_the_deciding_burst_is_where_and_what_it_is_said_to_be(emotion, hertz):
    starts = []
    for number in range(20):
        samples, start = planted.make_sound(PLANTED, 40000, RATE, emotion, 1, f"clip {number}")
        loudest_hertz, level = loudest(samples, start)
        assert loudest_hertz == pytest.approx(hertz, abs=10)
        assert level == pytest.approx(0.01 * 10 ** (PLANTED.level_db / 20), rel=0.15)
        assert 0 <= start <= 2.5 - PLANTED.seconds
        spectrum = np.abs(np.fft.rfft(samples))[::1]
        others = {other for other in PLANTED.hertz if other != hertz}
        level_of = {tone: spectrum[round(tone * 2.5) - 20:round(tone * 2.5) + 20].max()
                    for tone in (*PLANTED.hertz, 500)}
        assert all(level_of[other] < level_of[hertz] / 5 for other in others) and level_of[500] > level_of[hertz] / 2
        starts.append(start)
    assert min(starts) < 0.6 and max(starts) > 1.9
    same, start = planted.make_sound(PLANTED, 40000, RATE, emotion, 1, "clip 19")
    assert start == starts[-1] and np.array_equal(same, samples)


def test_bursts_are_as_loud_as_one_another_and_do_not_overlap():
    chosen = PLANTED.model_copy(update={"others": 3})
    samples, _ = planted.make_sound(chosen, 10000, RATE, "angry", 1, "crowded")      # 0.6 of 0.625 s are bursts
    energy = np.sum(samples.astype(np.float64)**2)
    each = (0.01 * 10 ** (PLANTED.level_db / 20)) ** 2 * PLANTED.seconds * RATE
    assert energy == pytest.approx(4 * each, rel=0.1)
    with pytest.raises(ValueError, match="longer than the window"):
        planted.make_sound(chosen, 9000, RATE, "angry", 1, "too crowded")


def test_over_bands_score_cam_and_shap_find_it():
    report = planted.measure_planted_cue(a_subject("spectral"), some_settings(clips=10))
    assert report["learned"] and report["accuracy"] >= 0.95
    assert report["methods"]["shap"]["found"] and report["methods"]["shap"]["hit_rate"] >= 0.5
    assert report["methods"]["scorecam"]["found"] and report["methods"]["scorecam"]["hit_rate"] >= 0.8


@pytest.mark.parametrize(("name", "methods"), [("spectral", {"scorecam", "shap", "occlusion"}),
                                               ("cnn", {"gradcam", "shap", "occlusion"})])
def test_methods_find_the_planted_burst(name, methods):
    report = planted.measure_planted_cue(a_subject(name, blocks=True), some_settings())
    assert report["learned"] and report["accuracy"] >= 0.95 and set(report["methods"]) == methods
    for method in methods - {"occlusion"}:
        assert report["methods"][method]["hit_rate"] >= 0.8 and report["methods"][method]["found"]
    assert report["energy"]["hit_rate"] < 0.8 and not report["energy"]["found"]
    for figures in report["methods"].values():
        assert figures["n"] == 8 and 0 < figures["chance"] < 0.15
        assert figures["within_blur"]["hit_rate"] >= figures["hit_rate"]
        assert figures["within_blur"]["chance"] >= figures["chance"]
    assert report["cue"]["hertz"] == list(PLANTED.hertz) and len(report["words"]) == 2 + len(methods)


class Listener(nn.Module):
    """Class 0 by how much of one planted frequency is in the sound, class 5 by how much of the other."""

    streams = ("wav2vec",)

    def cam_layer(self):
        raise ValueError("no convolution")

    def context(self, waveform, valid):
        time = torch.arange(waveform.shape[1]) / RATE
        return torch.stack([(waveform * torch.exp(2j * torch.pi * hertz * time)).sum(1).abs()
                            for hertz in PLANTED.hertz], 1)

    def classify(self, context, features):
        logits = torch.full((len(context), 7), -4.0)
        logits[:, [0, 5]] = context / context.new_tensor(100.0)
        return logits

    def forward(self, waveform, valid, features):
        return self.classify(self.context(waveform, valid), features)


def test_occlusion_finds_the_burst_that_a_made_model_listens_to(monkeypatch):
    subject = a_subject("wav2vec")
    monkeypatch.setattr(planted, "untrained_subject", lambda *parts: replace(subject, model=Listener()))
    monkeypatch.setattr(planted, "train_until_learned", lambda *parts: (1.0, 1))
    report = planted.measure_planted_cue(subject, some_settings())
    assert report["methods"]["occlusion"]["hit_rate"] == 1 and report["methods"]["occlusion"]["found"]
    assert tuple(EMOTIONS[index] for index in (0, 5)) == planted.CLASSES


def test_a_method_that_points_elsewhere_is_told(monkeypatch):
    seconds = np.arange(250) / 100

    def pointing(question):
        return {"occlusion": Explanation(Trace("occlusion", seconds, (seconds == 0.01) * 1.0, "")),
                "scorecam": Explanation(Trace("scorecam", seconds, np.zeros(250), ""))}

    monkeypatch.setattr(planted, "explain_clip", pointing)
    monkeypatch.setattr(planted, "train_until_learned", lambda *parts: (1.0, 5))
    report = planted.measure_planted_cue(a_subject("spectral"), some_settings())
    for method in ("occlusion", "scorecam"):
        assert report["methods"][method]["hit_rate"] <= 0.13 and not report["methods"][method]["found"]
    assert sum("not clearly more than chance" in sentence for sentence in report["words"]) == 2


def test_a_model_that_did_not_learn_is_told():
    report = planted.measure_planted_cue(a_subject("wav2vec"), some_settings(max_steps=1, train_clips=8, clips=4))
    assert not report["learned"] and report["steps"] == 1
    assert any("too little for anything to follow" in sentence for sentence in report["words"])


def test_training_is_the_same_each_time_and_leaves_the_subject_alone():
    subject, settings = a_subject("spectral"), some_settings(max_steps=3, train_clips=8, clips=4)
    before = {name: weight.clone() for name, weight in subject.model.state_dict().items()}
    train, test = (planted.make_planted_clips(subject, settings.planted, 8, 1, part) for part in ("train", "test"))
    features = torch.cat([planted_clip.clip.batch.features for planted_clip in train])
    torch.manual_seed(5)
    drawn = torch.random.get_rng_state()
    made = []
    for _ in range(2):
        trained = planted.untrained_subject(subject, features, 1)
        planted.train_until_learned(trained, train, test, settings.planted, 1)
        made.append(trained.model.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert all(torch.equal(before[name], weight) for name, weight in subject.model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert trained.standardisation["mean"][2] == pytest.approx(float(features[:, 2].mean()), rel=1e-4)


@pytest.mark.parametrize(("name", "method", "expected"), [
    ("spectral", "scorecam", (33 * 320 + 512) / 16000), ("spectral", "shap", 512 / 16000),
    ("spectral", "occlusion", 0.1), ("cnn", "gradcam", (7 * 512 + 2048) / 16000)])
def test_blur_by_hand(name, method, expected):
    # cnn: kernel 3, pooling by 2, kernel 3: 3 + 1 + 2 * 2 frames
    # spectral: kernel 3 and pooling by 2: 3 + 1, again: + 2 * 2 + 2, three of 3 every four frames: + 3 * 2 * 4: 34
    settings = explain_settings(occlusion_seconds=0.1)
    assert method_module(method).blur(a_subject(name), settings) == pytest.approx(expected)
