"""The spectral stream over log-mel bands, step by step, and what it must and must not depend on."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.features.descriptors import cepstrum
from ser_ops.features.index_map import shape_of
from ser_ops.models.spectral_streams import AttentiveStatistics, BandBranch, random_runs

PRESET = load_preset("small", Path(__file__).resolve().parents[2] / "params.yaml")


def branch(standardisation=None, **changes) -> BandBranch:
    torch.manual_seed(1)
    return BandBranch(PRESET.features, PRESET.spectral.model_copy(update=changes), standardisation).eval()


def features(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, *shape_of(PRESET.features), generator=torch.Generator().manual_seed(2))


def entered(network: BandBranch, values: torch.Tensor) -> torch.Tensor:
    """What reaches the first normalisation: (B, 2 + bands, T)."""
    seen = []
    handle = network.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(values)
    handle.remove()
    return seen[0]


def test_it_sees_the_bands_that_the_coefficients_were_made_of():
    bands, values = torch.randn(3, PRESET.features.mels, 151), features()
    values[:, 2:] = cepstrum(bands.transpose(1, 2), PRESET.features.mfcc)
    seen = entered(branch(), values)
    torch.testing.assert_close(seen[:, 2:], bands, rtol=0, atol=1e-4)
    assert torch.equal(seen[:, :2], values[:, :2])


def test_standardisation_moves_the_bands_and_does_not_bend_them():
    kept = {"mean": torch.randn(82).tolist(), "std": (0.5 + torch.rand(82)).tolist()}
    plain, moved = (entered(branch(statistics), features())[:, 2:] for statistics in (None, kept))
    torch.testing.assert_close(plain - plain.mean(-1, keepdim=True), moved - moved.mean(-1, keepdim=True),
                               rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_single_row_is_pooled_with_channels_innermost_as_many_are():
    network, pooled = branch(), []
    for part in network.modules():
        if isinstance(part, torch.nn.MaxPool2d):
            part.register_forward_hook(lambda _m, _i, output: pooled.append(output))
    for rows in (1, 3):
        network(features(rows))
    assert len(pooled) == 2 * len(PRESET.spectral.channels) * PRESET.spectral.members
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in pooled)


@torch.no_grad()
def test_maps_step_by_step():
    network, values = branch(members=2), features()
    maps = []
    network.last_convolution.register_forward_hook(lambda _m, _i, output: maps.append(output))
    network(values)
    seen = []
    for picture in network.pictures:
        left = functional.batch_norm(entered(network, values), network.norm.running_mean, network.norm.running_var)
        beside, left = left[:, :2, :148].unflatten(-1, (37, 4)).mean(-1), left[:, None, 2:]
        for (convolution, *_), pool in zip(picture, PRESET.spectral.pools, strict=True):
            left = functional.max_pool2d(functional.conv2d(left, convolution.weight, padding=1), pool)
            left = torch.relu(left / (1 + 1e-5)**0.5)   # BatchNorm before it has learnt anything
        assert left.shape == (3, 128, 5, 37)
        seen.append(torch.cat([left.reshape(3, 640, 37), beside], dim=1))
    last = network.last_convolution
    expected = torch.cat([functional.conv1d(own, weight, bias, padding=1) for own, weight, bias in zip(
        seen, last.weight.chunk(2), last.bias.chunk(2), strict=True)], dim=1)
    torch.testing.assert_close(maps[0], expected, rtol=1e-4, atol=1e-4)


def test_a_voice_that_is_higher_is_the_same_pattern_elsewhere():
    picture, bands = branch().pictures[0], torch.zeros(1, 1, 80, 151)
    bands[:, :, 20:30, 60:90] = torch.randn(10, 30)
    low, high = (picture(bands.roll(by, 2)) for by in (0, 16))
    torch.testing.assert_close(low[:, :, 0:3], high[:, :, 1:4])
    assert (low[:, :, 0:3] - high[:, :, 0:3]).abs().max() > 0.01


@torch.no_grad()
def test_zcr_and_rms_are_read_and_every_band_is():
    network, values = branch(), features(1)
    for channel in (0, 1, 2, 81):
        other = values.clone()
        other[:, channel] += torch.linspace(-3, 3, 151)
        assert (network(other) - network(values)).abs().max() > 1e-4, channel


def test_statistics_under_equal_weights_are_mean_and_deviation():
    pooling, values = AttentiveStatistics(6, 4), torch.randn(2, 6, 30)
    torch.nn.init.zeros_(pooling.score[2].weight)
    expected = torch.cat([values.mean(-1), values.std(-1, correction=0)], 1)
    torch.testing.assert_close(pooling(values), expected, rtol=1e-4, atol=1e-5)
    weights = AttentiveStatistics(6, 4).weights(values)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1))
    assert (weights > 0).all()


def test_masks_in_training_alone_and_no_longer_than_asked():
    network, values = branch(masked_bands=6, masked_frames=11, dropout=0.0), features(64)
    torch.manual_seed(4)
    gone = entered(network.train(), values) == 0
    bands, frames = gone.all(2).sum(1), gone[:, :2].all(1).sum(1)
    assert bands.max() <= 6 and frames.max() <= 11 and bands.max() > 3 and frames.max() > 6
    assert not gone[:, :2].all(2).any(), "ZCR and RMS are no bands"
    assert not (entered(network.eval(), values) == 0).any()
    nothing = branch(masked_bands=0, masked_frames=0, dropout=0.0)
    assert torch.equal(entered(nothing.train(), values), entered(nothing.eval(), values))


def test_a_stretch_is_one_run():
    torch.manual_seed(3)
    runs = random_runs(500, 20, 7, torch.device("cpu"))
    edges = functional.pad(runs.int(), (1, 1)).diff(dim=1)
    assert (edges == 1).sum(1).max() == 1 and set(runs.sum(1).tolist()) == set(range(8))
    assert runs.any(0).all()


@pytest.mark.parametrize("changes", [{}, {"kernel": 5, "pools": ((2, 1), (2, 3), (1, 2), (4, 2))}])
def test_the_receptive_field_by_gradient(changes):
    network = branch(**changes)
    values = features(1).requires_grad_()
    maps = []
    network.last_convolution.register_forward_hook(lambda _m, _i, output: maps.append(output))
    network(values)
    middle = maps[0].shape[-1] // 2
    reached = []
    for position in range(middle - 1, middle + 2):
        slope, = torch.autograd.grad(maps[0][0, :, position].sum(), values, retain_graph=True)
        seen = slope.abs().sum((0, 1)).nonzero().flatten()
        reached.append(int(seen.max() - seen.min()) + 1)
    assert max(reached) <= network.receptive_field <= max(reached) + 4     # a maximum passes one of its values on


def test_the_design_needs_frames():
    values = PRESET.model_dump()
    values["features"]["layout"] = "serial"
    with pytest.raises(ValueError, match=r"set features\.layout to frames"):
        Preset(**values)


def test_pools_leave_a_band_and_have_a_convolution_each():
    values = PRESET.model_dump()
    values["spectral"]["pools"] = [[4, 2]] * 4
    with pytest.raises(ValueError, match=r"spectral\.pools makes one of 256 bands, and features\.mels are 80"):
        Preset(**values)
    values["spectral"]["pools"] = [[2, 2]] * 3
    with pytest.raises(ValueError, match="channels and pools: one of each for every convolution"):
        Preset(**values)
