"""Exact Shapley values: by hand for an additive model, their axioms for any game, and efficiency on real networks."""

from itertools import permutations

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, StandIn, features, stacked_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.params import load_preset
from ser_ops.explain.background import Background
from ser_ops.explain.clip import make_clip, waveform_contexts
from ser_ops.explain.streams import coalitions, shapley_of_inputs, shapley_values, stream_masks, stream_shapley
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import channels_of, shape_of, to_grid
from ser_ops.manifest import VariantRow
from ser_ops.models.architectures import build

CPU = torch.device("cpu")
ROW = VariantRow("made/a#original", "made/a", "original", "test", "fear", "made/1", "made")
GAMES = st.integers(1, 4).flatmap(lambda players: st.lists(
    st.floats(-10, 10), min_size=2 ** players, max_size=2 ** players)).map(np.array)


def a_subject(layout="frames", streams=("wav2vec", "spectral")) -> Subject:
    window = features(layout)
    return Subject(StandIn(window, streams).eval(), window, None, RATE, CPU, 33)


def by_orders(values: np.ndarray) -> np.ndarray:
    """Shapley's definition: what each adds on joining, averaged over all orders."""
    players = int(np.log2(len(values)))
    orders, total = list(permutations(range(players))), np.zeros(players)
    for order in orders:
        before = 0
        for player in order:
            total[player] += values[before | 1 << player] - values[before]
            before |= 1 << player
    return total / len(orders)


@given(GAMES)
def test_it_is_the_mean_over_all_orders_and_adds_up(values):
    phi = shapley_values(values)
    np.testing.assert_allclose(phi, by_orders(values), atol=1e-9)
    assert phi.sum() == pytest.approx(values[-1] - values[0], abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=8, max_size=8).map(np.array), st.integers(0, 3))
def test_one_who_adds_nothing_gets_nothing(others, idle):
    """A fourth player at place `idle` who changes no coalition's value."""
    there = coalitions(4)
    kept = [player for player in range(4) if player != idle]
    values = others[there[:, kept] @ (1 << np.arange(3))]
    phi = shapley_values(values)
    assert phi[idle] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(phi[kept], shapley_values(others), atol=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=5, max_size=5))
def test_those_who_are_alike_get_alike(by_size):
    values = np.array(by_size)[coalitions(4).sum(1)]
    np.testing.assert_allclose(shapley_values(values), (by_size[4] - by_size[0]) / 4, atol=1e-9)


@given(GAMES, GAMES, st.floats(-3, 3))
@settings(max_examples=30)
def test_it_is_linear(first, second, factor):
    if len(first) == len(second):
        np.testing.assert_allclose(shapley_values(first + factor * second),
                                   shapley_values(first) + factor * shapley_values(second), atol=1e-8)


def test_streams_some_coalitions_are_refused():
    with pytest.raises(ValueError, match="power of 2"):
        shapley_values(np.zeros(6))


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_of_a_model_that_adds_its_streams_up_each_gets_its_part(layout):
    """Logit 3 is 2 x mean context + 5 x mean MFCC + 7 x mean ZCR - 3 x mean RMS, the others 0: centred, 6/7 of it."""
    subject = a_subject(layout)

    def classify(context, values):
        grid = to_grid(values, subject.features)
        logits = torch.zeros(len(values), 7)
        logits[:, 3] = (2 * context.mean(1) + 5 * grid[:, 2:].mean((1, 2)) + 7 * grid[:, 0].mean(1)
                        - 3 * grid[:, 1].mean(1))
        return logits

    torch.manual_seed(1)
    values, context = torch.randn(1, *shape_of(subject.features)), torch.randn(1, 5)
    ground = Background(torch.randn(4, *shape_of(subject.features)), torch.randn(4, 5), "")
    (streams,) = shapley_of_inputs(classify, stream_masks(subject), values, context, ground, 3)
    moved = to_grid(values[0] - ground.features.mean(0), subject.features)
    expected = {"wav2vec": 2 * (context[0] - ground.context.mean(0)).mean(), "mfcc": 5 * moved[2:].mean(),
                "zcr": 7 * moved[0].mean(), "rms": -3 * moved[1].mean()}
    assert list(streams.phi) == list(expected)
    for name, value in expected.items():
        assert streams.phi[name] == pytest.approx(6 / 7 * float(value), abs=1e-6)


@pytest.mark.parametrize(("name", "streams"), [
    ("fusion", ["wav2vec", "mfcc", "zcr", "rms"]), ("concat", ["wav2vec", "mfcc", "zcr", "rms"]),
    ("spectral", ["mfcc", "zcr", "rms"]), ("cnn", ["mfcc", "chroma", "mel", "contrast"])])
def test_the_real_networks_values_add_up_to_their_score(name, streams):
    preset = load_preset("small")
    model = build(name, preset, seed=1).eval()
    subject = Subject(model, preset.input_of(name), None, RATE, CPU, 33)
    clip, other = (make_clip(subject, ROW, np.random.default_rng(seed).normal(0, 0.1, 2 * RATE).astype(np.float32))
                   for seed in (1, 2))
    ground = Background.of(subject, other.batch, 8, "another utterance")
    first, second = stream_shapley(subject, [clip, other], waveform_contexts(subject, [clip, other], 8), 2, ground, 7)
    with torch.no_grad():
        logits = [model(batch.waveform, batch.valid, batch.features)[0].double() for batch in (clip.batch, other.batch)]
    score, base = (float(logits_of[2] - logits_of.mean()) for logits_of in logits)
    assert list(first.phi) == streams
    assert first.score == pytest.approx(score, abs=1e-5) and first.base == pytest.approx(base, abs=1e-5)
    assert sum(first.phi.values()) == pytest.approx(first.score - first.base, abs=1e-12)
    assert (second.score, second.base) == pytest.approx((first.base, first.base), abs=1e-5)


def test_the_streams_tile_the_features():
    cnn = Subject(build("cnn", load_preset("small")), stacked_settings(), None, RATE, CPU, 33)
    for subject in (a_subject(), a_subject("serial"), cnn):
        marked = torch.stack([part for part in stream_masks(subject).values() if part is not None])
        serial = len(shape_of(subject.features)) == 1
        steps = shape_of(subject.features)[-1] // (channels_of(subject.features) if serial else 1)
        assert (marked.sum(0) == 1).all() and marked[0].sum() == subject.features.mfcc * steps


def test_one_stream_has_nothing_to_be_set_against():
    subject = a_subject(streams=("wav2vec",))
    clip = make_clip(subject, ROW, np.ones(RATE, np.float32))
    ground = Background.of(subject, clip.batch, 8, "")
    assert stream_shapley(subject, [clip], waveform_contexts(subject, [clip], 8), 0, ground, 8) is None


def test_coalitions_of_all_clips_are_asked_batch_by_batch():
    subject = a_subject()
    clip = make_clip(subject, ROW, np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32))
    ground, asked, classify = Background.of(subject, clip.batch, 8, ""), [], subject.model.classify
    subject.model.classify = lambda context, values: (asked.append(len(values)), classify(context, values))[1]
    values = stream_shapley(subject, [clip] * 3, waveform_contexts(subject, [clip] * 3, 8), 0, ground, 20)
    assert asked == [20, 20, 8] and len(values) == 3
    assert values[0] == values[2], "where a batch ends changes nothing"
