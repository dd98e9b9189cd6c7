"""SHAP against exact values, equation 25, and what sampling leaves of it."""

import numpy as np
import pytest
import torch
from explain_stand_ins import StandIn, features
from torch import nn

from ser_ops.explain.methods import shap as shap_method
from ser_ops.explain.methods.shap import expected_gradients, importance
from ser_ops.explain.subject import CentredScores, FeatureClassifier
from ser_ops.features.index_map import shape_of


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7))


def test_linear_model_exact_against_one_background():
    model, value, ground = linear(), torch.randn(3, 4), torch.randn(1, 3, 4)
    attribution = expected_gradients(model, value, ground, samples=3, seed=1, key="u")
    weight = model[1].weight.detach().numpy().reshape(7, 3, 4)
    exact = np.moveaxis(weight * (value - ground[0]).numpy(), 0, -1)
    np.testing.assert_allclose(attribution.values, exact, atol=1e-5)
    np.testing.assert_allclose(attribution.gap, 0, atol=1e-5)


def test_linear_model_against_the_mean_of_the_background():
    model, value, ground = linear(), torch.randn(3, 4), torch.randn(6, 3, 4)
    attribution = expected_gradients(model, value, ground, samples=6000, seed=1, key="u", batch_size=3000)
    weight = model[1].weight.detach().numpy().reshape(7, 3, 4)
    exact = np.moveaxis(weight * (value - ground.mean(0)).numpy(), 0, -1)
    np.testing.assert_allclose(attribution.values, exact, atol=0.05)
    np.testing.assert_allclose(attribution.base, model(ground).detach().numpy().mean(0), atol=1e-5)


def test_the_gap_is_what_equation_25_lacks_and_shrinks_with_samples():
    settings = features()
    held = CentredScores(FeatureClassifier(StandIn(settings), torch.randn(8000), torch.tensor(8000)))
    value, ground = torch.randn(shape_of(settings)), torch.randn(8, *shape_of(settings))
    few, many = (expected_gradients(held, value, ground, samples, 1, "u", 512) for samples in (10, 5000))
    whole = few.base + few.values.sum((0, 1))
    np.testing.assert_allclose(few.gap, whole - held(value[None])[0].detach().numpy(), atol=1e-5)
    assert np.abs(many.gap).mean() < 0.2 * np.abs(few.gap).mean() + 1e-3


def test_same_key_same_values_and_numpy_is_left_alone():
    model, value, ground = linear(), torch.randn(3, 4), torch.randn(6, 3, 4)
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    attribution = expected_gradients(model, value, ground, 10, 1, "u")
    np.testing.assert_array_equal(np.random.random(3), expected)
    np.testing.assert_array_equal(attribution.values, expected_gradients(model, value, ground, 10, 1, "u").values)
    assert not np.array_equal(attribution.values, expected_gradients(model, value, ground, 10, 1, "v").values)


def test_what_all_logits_share_is_credited_to_nothing():
    class Shared(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values[:, :1].expand(-1, 7) * 100 + nn.functional.pad(values[:, 1:2], (0, 6))

    attribution = expected_gradients(CentredScores(Shared()), torch.tensor([1.0, 1.0]), torch.zeros(2, 2), 10, 1, "u")
    assert importance([attribution])[0] == pytest.approx(np.zeros(7), abs=1e-4)
    assert attribution.values[1, 0] == pytest.approx(6 / 7, abs=1e-5)


def test_it_estimates_what_shap_estimates():
    import shap

    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 7))
    value, ground = torch.randn(3, 4), torch.randn(5, 3, 4)
    theirs = np.asarray(shap.GradientExplainer(model, ground).shap_values(value[None], nsamples=8000, rseed=1)[0])
    ours = expected_gradients(model, value, ground, 500, 1, "u")
    np.testing.assert_allclose(ours.values, theirs, atol=0.03)
    assert np.abs(ours.gap).max() < 0.01


def test_points_spread_evenly_miss_less_than_points_drawn_freely(monkeypatch):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 7))
    value, ground = torch.randn(3, 4), torch.randn(8, 3, 4)

    def missed():
        return np.mean([np.abs(expected_gradients(model, value, ground, 32, seed, "u").gap) for seed in range(20)])

    evenly = missed()
    monkeypatch.setattr(shap_method, "path_points", lambda number, rows, draw: (draw.integers(rows, size=number),
                                                                                draw.random(number)))
    assert 2 * evenly < missed()


def test_one_class_alone_has_the_values_that_it_has_beside_others():
    model, value, ground = linear(), torch.randn(3, 4), torch.randn(6, 3, 4)
    every, alone = (expected_gradients(model, value, ground, 10, 1, "u", classes=classes) for classes in (None, [2]))
    np.testing.assert_allclose(alone.values[..., 2], every.values[..., 2])
    assert not alone.values[..., [0, 1, 3, 4, 5, 6]].any() and alone.gap[3] == 0
