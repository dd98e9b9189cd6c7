"""Statistics over time against numpy, and streams that answer together, of which some are planted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.features.index_map import shape_of
from ser_ops.models import model_folder
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.models.temperature import divide_logits, fit_stream_weights

LENGTH = 16000


def preset(members: int = 2) -> Preset:
    small = load_preset("small")
    return small.model_copy(update={
        "wav2vec": small.wav2vec.model_copy(update={"states": "statistics", "hidden": 16, "heads": 2, "embedding": 8}),
        "spectral": small.spectral.model_copy(update={"members": members, "channels": (4, 8, 8, 16), "maps": 8}),
        "features": small.features.model_copy(update={"seconds": 1.0, "level": "keep"})})


def inputs(rows: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return (0.1 * torch.randn(rows, LENGTH, generator=generator), torch.tensor([LENGTH, 9000, 4000])[:rows],
            torch.randn(rows, *shape_of(preset().features), generator=generator))


def test_statistics_are_mean_and_deviation_of_each_layer_over_valid_frames() -> None:
    model = build("wav2vec", preset(), seed=1).eval()
    backbone, (waveform, valid, _) = model.backbone, inputs()
    with torch.inference_mode():
        states, inside = backbone(waveform, valid)
        assert states.shape == (3, 1, backbone.hidden) and inside.all()
        for row in range(3):
            alone = waveform[row:row + 1, :int(valid[row])] * backbone.config.input_gain
            layers = backbone.network(alone, output_hidden_states=True).hidden_states[1:]
            expected = np.concatenate([statistic for layer in layers
                                       for statistic in (layer[0].numpy().mean(0), layer[0].numpy().std(0))])
            np.testing.assert_allclose(states[row, 0].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wav2vec", "concat", "fusion"])
@pytest.mark.parametrize("members", [1, 2])
def test_padding_says_nothing_and_a_saved_model_answers_the_same(name: str, members: int, tmp_path: Path) -> None:
    model, (waveform, valid, features) = build(name, preset(members), seed=2), inputs()
    model.train()
    logits = model(waveform, valid, features)
    assert logits.shape[-1] == 7 and logits.numel() == 3 * 7 * members * (2 if name == "fusion" else 1)
    logits.sum().backward()
    model.eval()
    with torch.inference_mode():
        answer = model(waveform, valid, features)
        noise = waveform.clone()
        for row, end in enumerate(valid):
            noise[row, int(end):] = 9.0
        torch.testing.assert_close(model(noise, valid, features), answer)
        model_folder.save(tmp_path, model, {})
        again, card = model_folder.load(tmp_path)
        assert torch.equal(again(waveform, valid, features), answer)
        assert card["stream_weights"] == ({"wav2vec": 0.5, "spectral": 0.5} if name == "fusion" else None)


def fusion() -> EmotionModel:
    return build("fusion", preset(), seed=3).eval()


def test_together_the_streams_answer_by_their_weights() -> None:
    model, given_to = fusion(), inputs()
    late = model.late
    late.weights.copy_(torch.tensor([0.75, 0.25]))
    with torch.inference_mode():
        together, alone = model(*given_to), {}
        for stream in late.streams:
            late.alone = stream
            alone[stream] = model(*given_to).log_softmax(1)
        late.alone = None
        expected = 0.75 * alone["wav2vec"] + 0.25 * alone["spectral"]
        torch.testing.assert_close(together, expected)
        divide_logits(model, 2.0)
        torch.testing.assert_close(model(*given_to), expected / 2, msg="a temperature divides the weights")


def test_a_stream_of_weight_0_says_nothing() -> None:
    model, (waveform, valid, features) = fusion(), inputs()
    model.late.weights.copy_(torch.tensor([1.0, 0.0]))
    with torch.inference_mode():
        torch.testing.assert_close(model(waveform, valid, features), model(waveform, valid, 3 * features + 1))


def planted(quality: float, true: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities (n, 7) that favour the true class by so many nats."""
    logits = np.random.default_rng(seed).normal(size=(len(true), 7))
    logits[np.arange(len(true)), true] += quality
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))


def cost(weights: np.ndarray, true: np.ndarray, answers: np.ndarray) -> float:
    logits = np.tensordot(weights, np.log(answers), 1)
    return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(true)), true]))


def test_weights_find_the_better_stream_and_leave_a_useless_one_out() -> None:
    true = np.random.default_rng(1).integers(7, size=4000)
    answers = np.stack([planted(2.0, true, 2), planted(1.0, true, 3), planted(0.0, true, 4)])
    good, fair, useless = fit_stream_weights(true, answers, np.ones(len(true)))
    assert good > fair > 0.3 and useless < 0.08
    assert cost(np.array([good, fair, useless]), true, answers) < cost(np.array([1.0, 0.0, 0.0]), true, answers) - 0.02


@settings(max_examples=20)
@given(st.integers(0, 999), st.lists(st.floats(0.0, 2.0), min_size=2, max_size=3))
def test_weights_are_those_of_another_optimiser(seed: int, qualities: list[float]) -> None:
    true = np.random.default_rng(seed).integers(7, size=300)
    answers = np.stack([planted(quality, true, seed + number) for number, quality in enumerate(qualities)])
    weights = fit_stream_weights(true, answers, np.ones(len(true)))
    other = minimize(cost, np.ones(len(qualities)), (true, answers), method="Nelder-Mead",
                     bounds=[(0.0, 20.0)] * len(qualities), options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000})
    assert weights.min() >= 0 and cost(weights, true, answers) <= other.fun + 1e-4


def test_rows_that_count_more_decide_more() -> None:
    true = np.random.default_rng(5).integers(7, size=2000)
    first, second = planted(2.0, true, 6), planted(2.0, true, 7)
    first[1000:], second[:1000] = planted(0.0, true[1000:], 8), planted(0.0, true[:1000], 9)
    heavy = np.where(np.arange(2000) < 1000, 10.0, 1.0)
    weights = fit_stream_weights(true, np.stack([first, second]), heavy)
    assert weights[0] > 2 * weights[1]
