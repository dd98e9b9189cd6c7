"""A tone burst of known time and frequency, planted where a model must look at it, and the focus range found again."""

import numpy as np
import pytest
import torch
from explain_stand_ins import (
    RATE,
    OverImage,
    OverTime,
    burst,
    examples_of,
    explain_settings,
    image_settings,
    stacked_settings,
)
from torch import nn

from ser_ops.config.params import load_preset
from ser_ops.explain import grad_cam_picture
from ser_ops.explain.grad_cam_picture import grad_cam_figures
from ser_ops.explain.subject import Subject
from ser_ops.features.paper2 import mel_edges_hertz
from ser_ops.features.standardise import Moments
from ser_ops.models.architectures import build
from ser_ops.seeds import generator

SETTINGS = explain_settings()
PLANTED = [(300.0, 0.1), (1500.0, 0.9), (1500.0, 1.37), (5000.0, 1.5)]    # hertz, start of 0.2 s


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Nobody looks at these pictures."""
    monkeypatch.setattr(grad_cam_picture, "draw_over_mel", lambda *parts: None)


def a_subject(model, settings, standardisation=None):
    return Subject(model.eval(), settings, standardisation, RATE, torch.device("cpu"), 33)


@pytest.mark.parametrize(("hertz", "start"), PLANTED)
def test_a_convolution_over_time_finds_time_and_band(hertz, start, tmp_path):
    settings = stacked_settings()
    edges = mel_edges_hertz(settings)
    band = int(np.searchsorted(edges, hertz)) - 1
    examples = examples_of(settings, {"r/burst": burst(hertz, start)}, ("angry",))
    mean_std = Moments.of(examples.batch([0]).features, settings).standardisation()
    subject = a_subject(OverTime(settings, band, mean_std), settings, mean_std)
    (clip,) = grad_cam_figures(subject, examples, [0], SETTINGS, tmp_path, "")
    gradcam = clip["gradcam"]
    assert gradcam["freq_focus_range"] == pytest.approx([edges[band], edges[band + 1]], abs=0.05)
    assert gradcam["freq_focus_range"][0] <= hertz <= gradcam["freq_focus_range"][1]
    field = ((subject.map_axes[0].field - 1) * settings.hop + settings.frame) / RATE
    first, last = gradcam["time_focus_range"]
    assert start - field / 2 <= first <= start + 0.1 <= last <= start + 0.2 + field / 2
    assert last - first < 0.2 + field
    middle = np.average(gradcam["times"], weights=gradcam["values"])
    assert middle == pytest.approx(start + 0.1, abs=1.5 * settings.hop / RATE)      # no stretch and no shift
    assert gradcam["share_in_padding"] == 0 and 0 <= gradcam["share_without_band"] < 1


@pytest.mark.parametrize(("hertz", "start"), PLANTED)
def test_an_image_model_finds_the_patch(hertz, start, tmp_path):
    settings = image_settings()
    edges = mel_edges_hertz(settings)
    band = int(np.searchsorted(edges, hertz)) - 1
    examples = examples_of(settings, {"r/burst": burst(hertz, start)})
    (clip,) = grad_cam_figures(a_subject(OverImage(), settings), examples, [0], SETTINGS, tmp_path, "")
    gradcam, patch = clip["gradcam"], 8 * settings.hop / RATE
    first, last = gradcam["time_focus_range"]
    assert start - patch <= first <= start + 0.1 <= last <= start + 0.2 + patch
    low, high = np.searchsorted(edges, gradcam["freq_focus_range"], side="right") - 1
    assert band - 8 <= low <= band <= high <= band + 8
    assert np.shape(gradcam["map"]) == (8, 8) and np.max(gradcam["map"]) == 1


def trained(name, preset, examples, steps, rate):
    settings = preset.input_of(name)
    batch = examples.batch(range(len(examples)))
    mean_std = Moments.of(batch.features, settings).standardisation()
    model = build(name, preset, mean_std, seed=1).train()
    optimiser = torch.optim.Adam(model.parameters(), rate)
    torch.manual_seed(1)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(batch.waveform, batch.valid, batch.features), batch.labels).backward()
        optimiser.step()
    return a_subject(model, settings, mean_std)


@pytest.mark.parametrize(("name", "steps"), [("cnn", 25), ("cnn_lstm", 25)])
def test_a_network_that_learned_to_tell_a_burst_from_noise_looks_at_it(name, steps, tmp_path):
    settings = stacked_settings()
    preset = load_preset("small").model_copy(update={"stacked": settings})
    random, waves = generator(1, "learned"), {}
    for number in range(24):
        waves[f"r/{number}"] = burst(1500, random.uniform(0.1, 1.6), 2 * number + 2)
        waves[f"r/{number} noise"] = burst(1500, None, 2 * number + 3)
    subject = trained(name, preset, examples_of(settings, waves, ("angry", "neutral")), steps, 0.002)
    start = 0.85
    examples = examples_of(settings, {"r/burst": burst(1500, start)}, ("angry",))
    (clip,) = grad_cam_figures(subject, examples, [0], SETTINGS, tmp_path, "")
    gradcam = clip["gradcam"]
    assert clip["predicted"] == "angry" and gradcam["confidence"] > 0.9
    field = ((subject.map_axes[0].field - 1) * settings.hop + settings.frame) / RATE
    first, last = gradcam["time_focus_range"]
    low, high = gradcam["freq_focus_range"]
    assert low <= 1500 <= high and high - low < 3000
    assert start - field <= first and last <= start + 0.2 + field
