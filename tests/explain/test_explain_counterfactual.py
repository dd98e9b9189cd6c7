"""What has to go for the answer to change: against a model whose answer is known by hand."""

import json

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, StandIn, explain_settings, features
from torch import nn

from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import WindowClassifier, make_clip
from ser_ops.explain.deletion import counterfactual, mute_cells
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.manifest import VariantRow

LENGTH = RATE // 2


class Loud(nn.Module):
    """Class 0 while the mean |sample| is above a limit, else class 1: 0.4 is left of 1.0 after 60 % are muted."""

    streams = ("wav2vec",)

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def cam_layer(self):
        raise ValueError("no convolution")

    def forward(self, waveform: torch.Tensor, valid: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        loud = (waveform.abs().sum(1) / valid - self.limit) * 50
        return torch.stack([loud, -loud, *[torch.full_like(loud, -9.0)] * 5], 1)


def a_subject(model: nn.Module) -> Subject:
    settings = features()
    card = {"preset_settings": {"features": settings.model_dump()},
            "sample_rate": RATE, "model": "fusion", "standardisation": None}
    return Subject.of(model, card, torch.device("cpu"))


def a_clip(subject: Subject, wave: np.ndarray):
    row = VariantRow("made/a#original", "made/a", "original", "test", "angry", "made/1", "made")
    return make_clip(subject, row, wave)


def rising(method: str = "occlusion") -> Trace:
    """The end is the most important."""
    return Trace(method, np.linspace(0, 0.5, 11), np.linspace(0, 1, 11), "made")


def settings(**changes: object):
    whole = explain_settings()
    few = {"cell_seconds": 0.05, "steps": 10, "random_draws": 2, "fade_seconds": 0.0}
    return whole.model_copy(update={"faithfulness": whole.faithfulness.model_copy(update=few | changes)})


def test_the_step_at_which_the_answer_changes_is_found_by_hand():
    subject = a_subject(Loud(0.45))
    clip = a_clip(subject, np.ones(LENGTH, np.float32))
    made = counterfactual(clip, WindowClassifier(subject, 4), rising(), 0, RATE, settings())
    assert made.order.tolist() == list(range(9, -1, -1)) and made.counts.tolist() == list(range(11))
    numbers = made.numbers()
    assert numbers["seconds"] == pytest.approx(0.3) and numbers["share"] == pytest.approx(0.6)
    assert numbers["to"] == EMOTIONS[1] and numbers["random_seconds"] == pytest.approx([0.3, 0.3])
    # Of the trace's 5.0, block b holds (b + 0.5) / 10: the last six of ten hold 0.95 + ... + 0.45.
    assert numbers["share_of_positive"] == pytest.approx(4.2 / 5.0)
    assert numbers["before"] > 0.5 > numbers["after"]
    json.dumps(numbers, allow_nan=False)


def test_silence_that_is_called_the_same_is_said():
    subject = a_subject(Loud(-1.0))
    clip = a_clip(subject, np.ones(LENGTH, np.float32))
    numbers = counterfactual(clip, WindowClassifier(subject, 64), rising(), 0, RATE, settings()).numbers()
    assert numbers["seconds"] is None and numbers["to"] is None and numbers["random_seconds"] == [None, None]


def test_padding_is_never_muted_and_the_whole_utterance_is_at_the_end():
    subject = a_subject(Loud(0.45))
    wave = np.ones(round(0.33 * RATE), np.float32)
    made = counterfactual(a_clip(subject, wave), WindowClassifier(subject, 64), rising(), 0, RATE, settings())
    assert made.edges[-1] == len(wave) and made.course.muted[-1] == pytest.approx(0.33)
    assert len(made.order) == 7 and made.counts[-1] == 7, "as many steps as blocks, no more"


def test_the_same_key_gives_the_same_orders_and_features_are_made_anew():
    subject = a_subject(StandIn(features()))
    wave = np.random.default_rng(0).normal(0, 0.1, LENGTH).astype(np.float32)
    first, second = (counterfactual(a_clip(subject, wave), WindowClassifier(subject, 5), rising(), 3, RATE, settings())
                     for _ in range(2))
    for a, b in zip((first.course, *first.random), (second.course, *second.random), strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
        assert a.probabilities.sum(1) == pytest.approx(1)
        # Nothing muted and all muted are the same whatever the order.
        np.testing.assert_allclose(a.probabilities[[0, -1]], first.course.probabilities[[0, -1]], atol=1e-12)
    quiet = a_clip(subject, np.zeros(LENGTH, np.float32))
    expected = subject.model(quiet.batch.waveform, quiet.batch.valid, quiet.batch.features).softmax(1)[0]
    np.testing.assert_allclose(first.course.probabilities[-1], expected.detach().numpy(), atol=1e-6)


def test_what_is_muted_is_silent_and_the_rest_stays():
    window = np.ones(110)
    assert mute_cells(window, np.array([0, 40, 100]), np.array([0, 1])).sum() == 10 and window.sum() == 110
