"""Pooling, standardisation and the spectral blocks against values computed by hand."""

import math

import pytest
import torch

from ser_ops.config.params import load_preset
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import channels_of, to_grid
from ser_ops.features.standardise import Moments
from ser_ops.models.base import Standardise
from ser_ops.models.paper1 import AttentivePooling, MeanPooling
from ser_ops.models.spectral_streams import BlockBranch

SMALL, PAPER = (load_preset(name) for name in ("small", "paper"))

STATES = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
VALID = torch.tensor([[True, True, False]])


def test_mean_over_valid_frames() -> None:
    torch.testing.assert_close(MeanPooling(2)(STATES, VALID), torch.tensor([[0.5, 1.0]]))


def test_attention_by_hand() -> None:
    pooling = AttentivePooling(2)
    assert pooling.score.bias is None and pooling.project.weight.shape == (2, 2)
    with torch.no_grad():
        pooling.project.weight.copy_(torch.tensor([[1.0, 0.5], [0.0, -1.0]]))
        pooling.project.bias.copy_(torch.tensor([0.1, 0.2]))
        pooling.score.weight.copy_(torch.tensor([[2.0, -1.0]]))
    first = 2 * math.tanh(1.1) - math.tanh(0.2)             # W h + b = (1.1, 0.2)
    second = 2 * math.tanh(1.1) - math.tanh(-1.8)           # (0 + 1 + 0.1, -2 + 0.2)
    share = math.exp(first) / (math.exp(first) + math.exp(second))
    expected = torch.tensor([[share, 1 - share, 0.0]])
    torch.testing.assert_close(pooling.weights(STATES, VALID), expected)
    torch.testing.assert_close(pooling(STATES, VALID), torch.tensor([[share, 2 * (1 - share)]]))


@pytest.mark.parametrize("pooling", [MeanPooling(2), AttentivePooling(2)])
def test_what_lies_in_padding_does_not_count(pooling: MeanPooling) -> None:
    other = STATES.clone()
    other[0, 2] = -1e4
    assert torch.equal(pooling(STATES, VALID), pooling(other, VALID))


@pytest.mark.parametrize("features", [SMALL.features, PAPER.features, SMALL.stacked], ids=["frames", "serial", "stack"])
def test_standardised_features_have_mean_0_and_deviation_1(features) -> None:
    waveforms = 0.1 * torch.randn(6, round(16000 * features.seconds), generator=torch.Generator().manual_seed(7))
    raw = Extractor(features)(waveforms * torch.linspace(0.1, 1, 6)[:, None])
    standardised = Standardise(features, Moments.of(raw, features).standardisation())(raw)
    values = to_grid(standardised, features)
    channels = channels_of(features)
    torch.testing.assert_close(values.mean((0, 2)), torch.zeros(channels), rtol=0, atol=1e-3)
    torch.testing.assert_close(values.std((0, 2), correction=0), torch.ones(channels), rtol=1e-3, atol=0)
    assert torch.equal(Standardise(features)(raw), raw)


def test_standardisation_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="82"):
        Standardise(SMALL.features, {"mean": [0.0], "std": [1.0]})


def test_spectral_blocks_are_the_paper_s() -> None:
    with torch.device("meta"):
        branch = BlockBranch(PAPER.features, PAPER.spectral)
    kinds = [[type(layer).__name__ for layer in block] for block in branch.blocks]
    assert kinds == [["Conv1d", "BatchNorm1d", "ReLU", "MaxPool1d", "Dropout"]] * 3
    sizes = [(conv.in_channels, conv.out_channels, *conv.kernel_size, pool.kernel_size, pool.stride, dropout.p)
             for conv, _, _, pool, dropout in branch.blocks]
    assert sizes == [(1, 512, 5, 5, 2, 0.0), (512, 256, 5, 5, 2, 0.2), (256, 128, 3, 3, 2, 0.2)]
    assert [type(layer).__name__ for layer in branch.project] == ["Flatten", "Linear", "ReLU", "BatchNorm1d"]
    assert branch.last_convolution is branch.blocks[2][0]
