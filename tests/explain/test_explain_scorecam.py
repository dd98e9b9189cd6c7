"""Score-CAM against algorithm 1 written out one mask at a time, a planted cue, and the map that is zero."""

import numpy as np
import pytest
import torch
from explain_stand_ins import StandIn, features
from torch import nn

from ser_ops.config.params import load_preset
from ser_ops.explain.methods.scorecam import score_cam
from ser_ops.explain.subject import FeatureClassifier
from ser_ops.features.index_map import shape_of
from ser_ops.models.spectral_streams import BlockBranch


def by_algorithm_1(classify, layer, values, target, baseline):
    """Paper 1, algorithm 1: for each filter, upsample, normalise, mask, score; then sum and ReLU."""
    seen = {}
    handle = layer.register_forward_hook(lambda _m, _i, output: seen.update(maps=output[0].detach().numpy()))
    with torch.no_grad():
        classify(values[None])
        handle.remove()
        length = values.shape[-1]
        positions = len(seen["maps"][0])
        at = np.clip((np.arange(length) + 0.5) * positions / length - 0.5, 0, positions - 1)
        floor = torch.softmax(classify(baseline[None]), 1)[0, target].item()
        total = np.zeros(length)
        for single in seen["maps"]:
            stretched = np.interp(at, np.arange(positions), single)
            mask = (stretched - stretched.min()) / (stretched.max() - stretched.min())
            masked = baseline + (values - baseline) * torch.tensor(mask, dtype=torch.float32)
            score = torch.softmax(classify(masked[None]), 1)[0, target].item() - floor
            total += score * stretched
    return np.maximum(total, 0)


@pytest.mark.parametrize("layout", ["frames", "serial"])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batched_masks_equal_one_mask_at_a_time(layout, batch_size):
    settings = features(layout)
    model = StandIn(settings).eval()
    held = FeatureClassifier(model, torch.randn(8000), torch.tensor(8000))
    values, baseline = torch.randn(shape_of(settings)), torch.randn(shape_of(settings))
    for target in (0, 4):
        got = score_cam(held, model.spectral.last_convolution, values, target, baseline, batch_size)
        expected = by_algorithm_1(held, model.spectral.last_convolution, values, target, baseline)
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)


def test_context_is_computed_once():
    settings = features()
    model = StandIn(settings)
    model.contexts = 0
    held = FeatureClassifier(model, torch.randn(8000), torch.tensor(8000))
    score_cam(held, model.spectral.last_convolution, torch.randn(shape_of(settings)), 0, torch.zeros(1), batch_size=2)
    assert model.contexts == 1


class LooksAt20To30(nn.Module):
    """Class 0 is the energy in frames 20 to 30 of the first channel, nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(3, 2, 1, bias=False)
        self.convolution.weight.data = torch.tensor([[[1.0], [0.0], [0.0]], [[0.0], [1.0], [0.0]]])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        maps = self.convolution(values)
        cue = maps[:, 0, 20:31].clamp_min(0).sum(1)
        return torch.stack([cue, torch.full_like(cue, 5.0)], 1)


def test_a_planted_cue_is_found():
    model, random = LooksAt20To30(), np.random.default_rng(0)
    values = torch.tensor(random.normal(0, 0.05, (3, 80)), dtype=torch.float32)
    values[0, 20:31] += 1.0
    saliency = score_cam(model, model.convolution, values, 0, torch.zeros(3, 80)).numpy()
    assert 20 <= saliency.argmax() <= 30
    assert saliency[20:31].sum() > 0.8 * saliency.sum()


def test_the_receptive_field_is_that_of_the_real_stream():
    settings = load_preset("paper")
    window = settings.features.model_copy(update={"layout": "frames"})
    branch = BlockBranch(window, settings.spectral.model_copy(update={"channels": (16, 8, 8), "embedding": 8})).eval()
    values = torch.randn(1, *shape_of(window), requires_grad=True)
    maps = []
    branch.last_convolution.register_forward_hook(lambda _m, _i, output: maps.append(output))
    branch(values)
    reached = []
    for position in range(6, 14):
        (slope,) = torch.autograd.grad(maps[0][0, :, position].sum(), values, retain_graph=True)
        seen = slope.abs().sum((0, 1)).nonzero().flatten()
        reached.append(int(seen.max() - seen.min()) + 1)
    assert max(reached) <= branch.receptive_field <= max(reached) + 8  # pooling passes one value on


def test_nothing_for_the_class_gives_zeros():
    model = LooksAt20To30()
    values = torch.zeros(3, 80)
    values[0, 20:31] = 1.0  # every mask that keeps the cue lowers class 1
    assert score_cam(model, model.convolution, values, 1, torch.zeros(3, 80)).max() == 0
