"""Attention weights over time: those of equation 21 as the model itself pools, and what they do not move."""

import dataclasses

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, explain_settings

from ser_ops.config.params import load_preset
from ser_ops.explain.clip import make_clip
from ser_ops.explain.methods import attention
from ser_ops.explain.question import Question, explain_clip
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import shape_of
from ser_ops.manifest import VariantRow
from ser_ops.models import architectures

PRESET = load_preset("demo")
ROW = VariantRow("a#original", "a", "original", "test", "sad", "anna", "made")


def asked(name="fusion", seconds=1.3, every_class=False):
    """A question about a clip of noise that is shorter than the window, and the model."""
    torch.manual_seed(4)
    model = architectures.build(name, PRESET, seed=3).eval()
    if name == "fusion":        # weights that differ: from zeros every frame would weigh the same
        torch.nn.init.normal_(model.pooling.score.weight, std=3.0)
    subject = Subject(model, PRESET.features, None, RATE, torch.device("cpu"), 33)
    sound = np.random.default_rng(2).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)
    clip = make_clip(subject, ROW, sound)
    return Question(subject, clip, 5, explain_settings(), torch.zeros(1, *shape_of(PRESET.features)), samples=4)


def test_weights_are_those_by_which_the_model_pools():
    question = asked()
    model, batch = question.subject.model, question.clip.batch
    trace = attention.explain(question).trace
    with torch.no_grad():
        states, valid = model.backbone(batch.waveform[:1], batch.valid[:1])
        scores = torch.tanh(states @ model.pooling.project.weight.T + model.pooling.project.bias) @ (
            model.pooling.score.weight[0])
        heard = torch.exp(scores[0, valid[0]]) / torch.exp(scores[0, valid[0]]).sum()
        context = model.context(batch.waveform[:1], batch.valid[:1])
    frames = len(heard)
    assert trace.values[:frames] / frames == pytest.approx(heard.numpy(), rel=1e-4)
    assert np.all(trace.values[frames:] == 0), "beyond the end nothing weighs"
    assert trace.values[:frames].mean() == pytest.approx(1) and trace.values.std() > 0.05
    pooled = (torch.from_numpy(trace.values[:frames] / frames).float()[:, None] * states[0, valid[0]]).sum(0)
    assert pooled.numpy() == pytest.approx(context[0].numpy(), abs=1e-4)


def test_moments_lie_in_the_window_in_order():
    trace = attention.explain(asked()).trace
    assert 0 < trace.seconds[0] < trace.seconds[-1] < PRESET.features.seconds and np.all(np.diff(trace.seconds) > 0)
    last = trace.seconds[trace.values > 0][-1]
    assert last == pytest.approx(1.3, abs=0.06), "the last moment that weighs is the end of the sound"


def test_they_are_the_same_for_every_class():
    question = asked()
    other = dataclasses.replace(question, target=1)
    assert np.array_equal(attention.explain(question).trace.values, attention.explain(other).trace.values)


def test_only_a_model_with_learned_weights_admits_them():
    assert "attention" in explain_clip(asked(), only=["attention"])
    for name in ("concat", "wav2vec", "spectral"):
        subject = asked(name).subject
        assert "attention" not in subject.admitted and subject.not_admitted["attention"]
    kept = load_preset("pretrained")
    assert kept.wav2vec.states == "statistics", "of statistics nothing is pooled: the fusion then has no weights"


def test_a_state_has_heard_the_whole_window():
    question = asked()
    assert attention.blur(question.subject, question.settings) == PRESET.features.seconds
