"""Grad-CAM against a computation by hand, positions against receptive field arithmetic, spreading over bands."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ser_ops.config.params import load_preset
from ser_ops.explain.map_axes import MapAxis, map_axes
from ser_ops.explain.methods.gradcam import grad_cam, over_bands, over_image
from ser_ops.explain.subject import FeatureClassifier
from ser_ops.features.index_map import shape_of
from ser_ops.models.architectures import build


class TwoFilters(nn.Module):
    """logit c = sum over filters k of v[c, k] times the square of the filter's sum over time."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, 2, 1, bias=False)
        self.convolution.weight.data = torch.tensor([[[2.0]], [[-1.0]]])
        self.v = torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.0, -3.0]])

    def forward(self, values: Tensor) -> Tensor:
        return self.convolution(values).sum(2).square() @ self.v.T


def by_hand(values, target):
    """maps A_k = w_k x; d logit / d A_k(t) = 2 v_k sum(A_k), the same at each t, so its mean too."""
    w, v = np.array([2.0, -1.0]), np.array([[1.0, 0.5], [-1.0, 1.0], [0.0, -3.0]])[target]
    maps = w[:, None] * values
    return np.maximum(((2 * v * maps.sum(1))[:, None] * maps).sum(0), 0)


def test_two_filters_by_hand_and_each_utterance_for_itself():
    model, values = TwoFilters(), torch.randn(5, 1, 9, generator=torch.Generator().manual_seed(1))
    targets = [0, 1, 2, 1, 0]
    cam = grad_cam(model, model.convolution, lambda output: output, values, targets)
    assert cam.maps.shape == (5, 9) and cam.logits.shape == (5, 3) and cam.slopes.shape == values.shape
    for row, target in enumerate(targets):
        np.testing.assert_allclose(cam.maps[row], by_hand(values[row, 0].numpy(), target), rtol=1e-4, atol=1e-5)
        alone = grad_cam(model, model.convolution, lambda output: output, values[row:row + 1], [target])
        torch.testing.assert_close(alone.maps[0], cam.maps[row])
    assert cam.maps.max() > 0
    # d logit / d x(t) = sum over k of 2 v_k sum(A_k) w_k
    slope = sum(2 * model.v[0, k] * w * w * values[0].sum() for k, w in enumerate((2.0, -1.0)))
    torch.testing.assert_close(cam.slopes[0, 0], slope.expand(9))


def test_the_winner_is_explained_where_no_class_is_named():
    model, values = TwoFilters(), torch.randn(4, 1, 9)
    winners = model(values).argmax(1)
    torch.testing.assert_close(grad_cam(model, model.convolution, lambda output: output, values).maps,
                               grad_cam(model, model.convolution, lambda output: output, values, winners).maps)


def test_weights_are_left_without_gradients():
    model = TwoFilters()
    with torch.no_grad():
        grad_cam(model, model.convolution, lambda output: output, torch.randn(1, 1, 9), [0])
    assert model.convolution.weight.grad is None and not model.convolution._forward_hooks


def centres(layers, length):
    """Receptive field arithmetic of a chain of (kernel, stride, padding): centre of each position, and the field."""
    start, step, field = 0.0, 1, 1
    for kernel, stride, padding in layers:
        start, field = start + ((kernel - 1) / 2 - padding) * step, field + (kernel - 1) * step
        length, step = (length + 2 * padding - kernel) // stride + 1, step * stride
    return start + step * np.arange(length), field


@pytest.mark.parametrize("layers", [
    [(3, 1, 0)], [(5, 1, 2)], [(3, 1, 0), (2, 2, 0), (3, 1, 0)], [(5, 1, 2), (5, 2, 2), (3, 1, 1)], [(7, 3, 0)]])
def test_places_are_those_of_the_arithmetic(layers):
    pooled = {1: nn.MaxPool1d}
    chain = nn.Sequential(*[
        pooled[number](kernel, stride, padding) if number in pooled else
        nn.Sequential(nn.Conv1d(4, 4, kernel, stride, padding), nn.BatchNorm1d(4), nn.ReLU())
        for number, (kernel, stride, padding) in enumerate(layers)]).eval()
    (axis,) = map_axes(chain, chain[-1], lambda output: output, torch.randn(4, 60))
    expected, field = centres(layers, 60)
    np.testing.assert_allclose(axis.centres, expected, atol=1e-9)
    assert axis.field == field


def test_frames_that_no_position_has_looked_at_stay_dark():
    chain = nn.Sequential(nn.Conv1d(1, 1, 3), nn.MaxPool1d(4))
    (axis,) = map_axes(chain, chain[1], lambda output: output, torch.zeros(1, 20))   # 18 into 4 pools, 2 left over
    assert axis.seen.tolist() == [True] * 18 + [False] * 2
    assert (axis.weights() @ np.ones(4)).tolist() == [1.0] * 18 + [0.0] * 2


@pytest.mark.parametrize("name", ["cnn", "cnn_lstm", "spectral"])
def test_places_on_the_real_networks(name):
    preset = load_preset("small")
    model = build(name, preset).eval()
    held = FeatureClassifier(model, torch.zeros(1, 40000)[0], torch.tensor(40000))
    (axis,) = map_axes(held, model.cam_layer(), model.maps, torch.zeros(shape_of(preset.input_of(name))))
    layers = {"cnn": [(3, 1, 0), (2, 2, 0), (3, 1, 0)], "cnn_lstm": [(3, 1, 0)],
              "spectral": [*[(3, 1, 1), (2, 2, 0)] * 2, *[(3, 1, 1)] * 3]}[name]
    expected, field = centres(layers, 151 if name == "spectral" else 79)
    np.testing.assert_allclose(axis.centres, expected, atol=1e-9)
    assert axis.field == field


@pytest.mark.parametrize("name", ["vit", "beit"])
def test_patches_lie_where_the_image_was_cut(name):
    model = build(name, load_preset("small")).eval()
    held = FeatureClassifier(model, torch.zeros(40000), torch.tensor(40000))
    rows, columns = map_axes(held, model.cam_layer(), model.maps, torch.zeros(128, 128))
    for axis in (rows, columns):
        np.testing.assert_allclose(axis.centres, 16 * np.arange(8) + 7.5)
        assert axis.field == 16 and axis.seen.all()


class Resized(nn.Module):
    """An image made larger before it is cut, and attention over the patches, as checkpoints of another size do it."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.seen = nn.Conv2d(1, 3, 16, stride=16), nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        patches = self.cut(nn.functional.interpolate(values[:, None], (224, 224), mode="bilinear"))
        return self.seen(patches + patches.mean((2, 3), keepdim=True)).mean((2, 3))


def test_patches_of_a_resized_image_lie_within_half_a_step_of_where_they_are():
    model = Resized()
    for axis in map_axes(model, model.seen, lambda output: output, torch.zeros(128, 128)):
        np.testing.assert_allclose(axis.centres, (np.arange(14) + 0.5) * 128 / 14 - 0.5, atol=0.5)


def test_a_model_without_a_cut_gets_even_shares():
    class Everything(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = nn.Identity()

        def forward(self, values: Tensor) -> Tensor:
            return self.seen(values.mean(2)[:, :, None].expand(-1, -1, 5))

    model = Everything()
    (axis,) = map_axes(model, model.seen, lambda output: output, torch.zeros(3, 20))
    np.testing.assert_array_equal(axis.centres, [1.5, 5.5, 9.5, 13.5, 17.5])


def test_a_camera_that_does_not_run_is_said():
    model = TwoFilters()
    with pytest.raises(ValueError, match="does not run the layer Conv1d"):
        map_axes(model, nn.Conv1d(1, 1, 1), lambda output: output, torch.zeros(1, 9))


def test_a_map_over_time_is_spread_by_the_positive_evidence():
    evidence = np.array([[2.0, -1.0, 0.0, 1.0], [1.0, -2.0, 4.0, -1.0]])
    heat = over_bands(np.array([1.0, 4.0, 2.0, 0.0]), MapAxis.even(4, 4), evidence)
    assert heat.peak == 4.0
    np.testing.assert_allclose(heat.values, [[0.25, 0.0, 0.0, 0.0], [0.125, 0.0, 0.5, 0.0]])
    assert heat.bandless == pytest.approx(1.0 / 1.75)    # the second frame's 1.0 of 0.25 + 1 + 0.5
    assert over_bands(np.zeros(4), MapAxis.even(4, 4), evidence).peak == 0


def test_a_map_of_cells_is_bilinear_between_their_centres():
    heat = over_image(np.array([[0.0, 2.0], [0.0, 0.0]]), MapAxis.even(2, 4), MapAxis.even(2, 4))
    weights = np.array([0.0, 0.25, 0.75, 1.0])
    np.testing.assert_allclose(heat.values, np.outer(1 - weights, weights))
    assert heat.peak == 2.0


def test_a_peak_between_two_frames_stays_below_one():
    heat = over_image(np.array([[0.0, 1.0, 0.0]]), MapAxis.even(1, 2), MapAxis.even(3, 12))
    assert heat.values.max() == pytest.approx(1 - 0.5 / 4)
