"""Own code against Captum, an independent implementation, wherever both can say the same."""

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, OverTime, StandIn, burst, examples_of, features, stacked_settings
from torch import nn

from ser_ops.explain.methods.gradcam import grad_cam
from ser_ops.explain.methods.occlusion import occlude
from ser_ops.explain.methods.shap import expected_gradients
from ser_ops.explain.streams import shapley_values
from ser_ops.explain.subject import CentredScores, FeatureClassifier
from ser_ops.features.index_map import shape_of


def one_by_one(probability, waveform, starts, stretch):
    """The definition: what the class loses when samples start to start + stretch are zero."""
    whole = probability(waveform[None])[0]
    drops = []
    for start in starts:
        muted = waveform.clone()
        muted[start:start + stretch] = 0
        drops.append(float(whole - probability(muted[None])[0]))
    return np.array(drops)


def probability(waveforms: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid((waveforms.abs() * torch.linspace(0, 3, waveforms.shape[1])).mean(1) - 0.5)


def test_occlusion_is_its_definition():
    waveform = torch.randn(RATE // 4, generator=torch.Generator().manual_seed(1))
    occlusion = occlude(probability, waveform, len(waveform), RATE, 0.05, 0.02)
    starts = range(0, RATE // 4 - 800 + 1, 320)
    np.testing.assert_allclose(occlusion.drop, one_by_one(probability, waveform, starts, 800), atol=1e-7)
    np.testing.assert_allclose(occlusion.seconds, (np.array(starts) + 400) / RATE)
    assert len(occlusion.drop) > 7


def test_occlusion_of_a_waveform_shorter_than_a_stretch():
    waveform = torch.ones(300)
    occlusion = occlude(probability, waveform, 300, RATE, 0.05, 0.02)
    loss = float(probability(waveform[None])[0]) - float(probability(torch.zeros(1, 300))[0])
    assert occlusion.drop.shape == (1,) and occlusion.drop[0] == pytest.approx(loss)


def test_stretches_that_do_not_overlap_are_captums_occlusion():
    from captum.attr import Occlusion
    waveform = torch.randn(4000, generator=torch.Generator().manual_seed(2))
    occlusion = occlude(probability, waveform, 4000, RATE, 0.025, 0.025)
    theirs = Occlusion(probability).attribute(waveform[None], sliding_window_shapes=(400,), strides=(400,), baselines=0)
    np.testing.assert_allclose(occlusion.drop, theirs[0, ::400].numpy(), atol=1e-6)
    assert (theirs[0].reshape(10, 400) == theirs[0, ::400, None]).all()


def test_grad_cam_is_captums():
    from captum.attr import LayerGradCam
    settings = stacked_settings()
    model = OverTime(settings, 5, {"mean": [0.0] * shape_of(settings)[0], "std": [1.0] * shape_of(settings)[0]})
    torch.manual_seed(4)
    for layer in (model.first, model.second):
        nn.init.normal_(layer.weight, std=0.2)
    model.eval()
    examples = examples_of(settings, {"a": burst(1500, 0.5), "b": burst(900, 1.2, 2)})
    values = examples.batch([0, 1]).features
    held = FeatureClassifier(model, torch.zeros(2 * RATE), torch.tensor(2 * RATE))
    ours = grad_cam(held, model.cam_layer(), model.maps, values, [0, 0])
    theirs = LayerGradCam(held, model.cam_layer()).attribute(values, target=0, relu_attributions=True)
    np.testing.assert_allclose(ours.maps.numpy(), theirs[:, 0].detach().numpy(), rtol=1e-4, atol=1e-4)
    assert ours.maps.max() > 0


def test_expected_gradients_are_captums_integrated_gradients_against_one_background():
    from captum.attr import IntegratedGradients
    settings = features()
    held = CentredScores(FeatureClassifier(StandIn(settings), torch.randn(8000), torch.tensor(8000)))
    value, ground = torch.randn(shape_of(settings)), torch.randn(1, *shape_of(settings))
    ours = expected_gradients(held, value, ground, samples=4000, seed=1, key="u", batch_size=500).values
    for target in (0, 5):
        theirs = IntegratedGradients(held).attribute(value[None], ground, target=target, n_steps=200)[0].numpy()
        assert np.corrcoef(ours[..., target].ravel(), theirs.ravel())[0, 1] > 0.999
        assert ours[..., target].sum() == pytest.approx(theirs.sum(), abs=0.02)


def test_shapley_values_of_streams_are_captums():
    from captum.attr import ShapleyValues
    worth = torch.tensor(np.random.default_rng(3).normal(size=16), dtype=torch.float32)
    powers = 2 ** torch.arange(4)
    theirs = ShapleyValues(lambda there: worth[(there * powers).sum(1).long()]).attribute(torch.ones(1, 4))
    np.testing.assert_allclose(shapley_values(worth.double().numpy()), theirs[0].numpy(), atol=1e-6)
