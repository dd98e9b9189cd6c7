"""Score-CAM asks for many masks at once, and the benchmark's three ways give the same map."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from ser_ops.config.params import load_params, load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.methods.scorecam import score_cam
from ser_ops.explain.subject import FeatureClassifier
from ser_ops.features.index_map import shape_of

PROJECT = Path(__file__).resolve().parents[2]


class Wide(nn.Module):
    """As many maps as asked for, over one serial vector; counts the passes and the masks in each."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.head = nn.Conv1d(1, maps, 3, stride=4), nn.Linear(maps, 7)
        self.passes: list[int] = []

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.passes.append(len(values))
        return self.head(torch.relu(self.convolution(values[:, None])).mean(2))


def test_the_papers_128_maps_take_at_most_five_passes():
    params = load_params(PROJECT / "params.yaml")
    preset = load_preset("paper")
    assert preset.spectral.channels[-1] == 128 and shape_of(preset.features) == (2376,)
    model, values = Wide(128), torch.randn(2376)
    saliency = score_cam(model, model.convolution, values, 3, torch.zeros(2376), params.explain.batch_size)
    assert len(model.passes) <= 5 and sum(model.passes) == 128 + 2 and saliency.shape == (2376,)


@pytest.fixture
def benchmark():
    specification = importlib.util.spec_from_file_location("benchmark_score_cam", PROJECT / "benchmarks/score_cam.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_benchmarks_three_ways_give_one_map(benchmark):
    preset = load_preset("small", PROJECT / "params.yaml")
    model = benchmark.model_of(preset)
    waveform, values = benchmark.clip(preset)
    valid, baseline, layer = torch.tensor([len(waveform)]), torch.zeros_like(values), model.cam_layer()
    held = FeatureClassifier(model, waveform, valid[0])
    # Of random weights the maps may speak against a class throughout, which leaves nothing of it.
    target, batched = next((target, cam) for target in range(len(EMOTIONS))
                           if (cam := score_cam(held, layer, values, target, baseline, 64)).max() > 0)
    for answer in (held, lambda batch: model(waveform.expand(len(batch), -1), valid.expand(len(batch)), batch)):
        with torch.no_grad():
            one_by_one = benchmark.loop(answer, layer, values, baseline, target)
        torch.testing.assert_close(one_by_one, batched, rtol=0, atol=1e-7 + 1e-4 * float(batched.max()))
