"""Paper 2's CNN, LSTM and CNN-LSTM against the same networks written out step by step."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.models.paper2 import Recurrent

SMALL = load_preset("small")
SHORT = SMALL.model_copy(update={"stacked": SMALL.stacked.model_copy(update={"seconds": 0.4})})
MEAN_STD = {"mean": [0.1 * row for row in range(187)], "std": [1 + 0.01 * row for row in range(187)]}


def network(name: str, preset: Preset = SHORT) -> tuple[EmotionModel, Tensor, Tensor]:
    """A model in evaluation mode, features, and the features that it should see after standardising."""
    model = build(name, preset, MEAN_STD, seed=3).eval()
    features = 2 * torch.randn(3, *shape_of(preset.stacked), generator=torch.Generator().manual_seed(1)) + 1
    mean, std = (torch.tensor(MEAN_STD[key])[:, None] for key in ("mean", "std"))
    return model, features, (features - mean) / std


def answer(model: EmotionModel, features: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(torch.zeros(len(features), 6400), torch.full((len(features),), 6400), features)


def lstm(sequence: Tensor, weights: dict[str, Tensor], where: str) -> Tensor:
    """The gates by their equations, one frame after the other: (B, T, inputs) to (B, T, units)."""
    given, kept, bias, second = (weights[f"{where}.{name}_l0"] for name in (
        "weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    state = cell = torch.zeros(len(sequence), kept.shape[1])
    outputs = []
    for frame in sequence.unbind(1):
        gates = frame @ given.T + state @ kept.T + bias + second
        enter, forget, candidate, leave = gates.chunk(4, 1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        state = leave.sigmoid() * cell.tanh()
        outputs.append(state)
    return torch.stack(outputs, 1)


def dense(values: Tensor, weights: dict[str, Tensor], where: str) -> Tensor:
    return values @ weights[f"{where}.weight"].T + weights[f"{where}.bias"]


def convolution(values: Tensor, weights: dict[str, Tensor], where: str) -> Tensor:
    """Kernel 3, no padding, ReLU."""
    kernel, bias = weights[f"{where}.weight"], weights[f"{where}.bias"]
    length = values.shape[2] - 2
    summed = sum(torch.einsum("bct,oc->bot", values[:, :, k:k + length], kernel[:, :, k]) for k in range(3))
    return (summed + bias[:, None]).relu()


def pooled(values: Tensor) -> Tensor:
    whole = values.shape[2] // 2 * 2
    return torch.maximum(values[:, :, 0:whole:2], values[:, :, 1:whole:2])


def test_cnn_step_by_step() -> None:
    model, features, seen = network("cnn")
    weights: dict[str, Any] = model.state_dict()
    values = pooled(convolution(seen, weights, "convolutions.0"))
    values = convolution(values, weights, "convolutions.3").flatten(1)
    values = dense(dense(values, weights, "dense.1").relu(), weights, "dense.4").relu()
    torch.testing.assert_close(answer(model, features), dense(values, weights, "dense.7"), rtol=1e-4, atol=1e-4)


def test_lstm_step_by_step() -> None:
    model, features, seen = network("lstm")
    weights: dict[str, Any] = model.state_dict()
    values = lstm(lstm(seen.transpose(1, 2), weights, "recurrent.0"), weights, "recurrent.1")[:, -1]
    values = dense(dense(values, weights, "dense.0").relu(), weights, "dense.3")
    torch.testing.assert_close(answer(model, features), values, rtol=1e-4, atol=1e-4)


def test_cnn_lstm_step_by_step() -> None:
    model, features, seen = network("cnn_lstm")
    weights: dict[str, Any] = model.state_dict()
    values = pooled(convolution(seen, weights, "convolution.0")).transpose(1, 2)
    values = dense(lstm(values, weights, "recurrent")[:, -1], weights, "dense")
    torch.testing.assert_close(answer(model, features), values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "layers", "dropouts"), [
    ("cnn", ["Conv1d", "ReLU", "MaxPool1d", "Conv1d", "ReLU", "Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU",
             "Dropout", "Linear"], [0.2, 0.2]),
    ("lstm", ["Recurrent", "Recurrent", "Linear", "ReLU", "Dropout", "Linear"], [0.3]),
    ("cnn_lstm", ["Conv1d", "ReLU", "MaxPool1d", "Dropout", "Recurrent", "Linear"], [0.2])])
def test_layers_in_the_paper_s_order(name: str, layers: list[str], dropouts: list[float]) -> None:
    parts = [part for part in build(name, SMALL).modules() if not list(part.children())][1:]   # after Standardise
    assert [type(part).__name__ for part in parts] == layers
    assert [part.p for part in parts if isinstance(part, torch.nn.Dropout)] == dropouts


@pytest.mark.parametrize("name", ["lstm", "cnn_lstm"])
def test_the_last_output_is_that_of_the_window_s_last_frame(name: str) -> None:
    model, features, _ = network(name)
    changed = features.clone()
    changed[:, :, -3:] += 5         # padding of a short utterance is a frame like any other
    assert not torch.allclose(answer(model, features), answer(model, changed), atol=1e-4)


def test_an_lstm_starts_as_keras_starts_it() -> None:
    torch.manual_seed(4)
    layer = Recurrent(10, 6)
    weights = dict(layer.named_parameters())
    limit = (6 / (10 + 4 * 6)) ** 0.5
    assert 0.9 * limit < weights["weight_ih_l0"].abs().max() <= limit
    kept = weights["weight_hh_l0"]
    torch.testing.assert_close(kept.T @ kept, torch.eye(6), rtol=0, atol=1e-5)
    assert weights["bias_ih_l0"].tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12
    assert not weights["bias_hh_l0"].any()


@pytest.mark.parametrize("name", ["cnn", "cnn_lstm"])
def test_a_window_of_too_few_frames_is_refused(name: str) -> None:
    stacked = SMALL.stacked.model_copy(update={"seconds": 0.04})
    with pytest.raises(UserError, match=r"stacked: 2 frames are too few.*lengthen stacked\.seconds"):
        build(name, SMALL.model_copy(update={"stacked": stacked}))


def test_the_shortest_window_that_fits() -> None:
    """7 frames become 5, 2 and none; 8 become 6, 3 and 1."""
    for frames, fits in ((7, False), (8, True)):
        stacked = SMALL.stacked.model_copy(update={"seconds": (frames - 1) * 512 / 16000})
        preset = SMALL.model_copy(update={"stacked": stacked})
        assert shape_of(stacked) == (187, frames)
        if fits:
            assert build("cnn", preset).dense[1].in_features == 32
        else:
            with pytest.raises(UserError):
                build("cnn", preset)


def test_without_standardisation_features_enter_as_they_are() -> None:
    stacked = SHORT.stacked.model_copy(update={"standardise": False})
    model = build("cnn", SHORT.model_copy(update={"stacked": stacked}), MEAN_STD)
    assert not model.standardise.mean.any() and (model.standardise.std == 1).all()
    assert build("cnn", SHORT, MEAN_STD).standardise.mean.tolist() == pytest.approx(MEAN_STD["mean"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gradients_outside_training_on_a_gpu() -> None:
    """cuDNN's LSTM has none there; Grad-CAM needs them."""
    model, features, _ = network("cnn_lstm")
    for device in ("cpu", "cuda"):
        model.to(device)
        asked = features.to(device).requires_grad_()
        model.classify(asked.new_zeros(3, 0), asked)[:, 0].sum().backward()
        if device == "cpu":
            expected = asked.grad
    torch.testing.assert_close(asked.grad.cpu(), expected, rtol=1e-3, atol=1e-5)
