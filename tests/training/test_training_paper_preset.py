"""The benchmark at full size: its model is the published one, what it counts is right, and its table is printed."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from ser_ops.config.params import load_preset
from ser_ops.models import architectures

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("paper_preset", PROJECT / "benchmarks" / "paper_preset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_the_paper_s_fusion_at_full_size(benchmark):
    with torch.device("meta"):
        model = benchmark.model_of(load_preset("paper", PROJECT / "params.yaml"))
    assert architectures.count(model) == 115_352_583 and model.backbone.config.feat_extract_norm == "group"


def test_a_product_is_counted_as_two_operations_a_weight(benchmark):
    layer, values = nn.Linear(30, 20), torch.randn(5, 30)
    assert benchmark.operations(lambda: layer(values)) == 2 * 5 * 30 * 20
    assert benchmark.operations(lambda: layer(values).sum().backward()) == 2 * 2 * 5 * 30 * 20


def test_it_runs_on_a_cpu(benchmark, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    benchmark.main(["--preset", "small", "--device", "cpu", "--batch", "2", "--steps", "1", "--peak-tflops", "0.05"])
    heading, train, infer = capsys.readouterr().out.splitlines()
    assert "batches of 2, one thread of a CPU, float32, peak 0.05 TFLOP/s (given)" in heading
    counted = [float(re.search(r"([\d.]+) GFLOP", line)[1]) for line in (train, infer)]
    assert counted[0] > 2.5 * counted[1] > 0 and train.endswith("of the peak")
