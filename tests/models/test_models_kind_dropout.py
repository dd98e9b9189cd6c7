"""Leaving kinds of features out in training: whole kinds at a time, either layout, never when answering."""

from pathlib import Path

import pytest
import torch

from ser_ops.config.params import load_preset
from ser_ops.features.index_map import shape_of
from ser_ops.models.spectral_streams import BlockBranch

PRESET = load_preset("paper", Path(__file__).resolve().parents[2] / "params.yaml")


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_a_kind_is_left_out_over_all_its_frames(layout):
    features = PRESET.features.model_copy(update={"layout": layout, "mfcc": 3})
    branch = BlockBranch(features, PRESET.spectral.model_copy(update={"kind_dropout": 0.5}))
    seen = []
    branch.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.manual_seed(1)
    ones = torch.ones(8, *shape_of(features))
    branch.train()(ones)
    frames = branch.standardise.frames
    if layout == "frames":
        kinds = seen[0]
    else:
        flat = seen[0][:, 0]
        mfcc = flat[:, 2 * frames:].reshape(8, frames, 3).transpose(1, 2)
        kinds = torch.cat([flat[:, :2 * frames].reshape(8, 2, frames), mfcc], dim=1)
    assert torch.equal(kinds, kinds[..., :1].expand_as(kinds)), "one factor for all frames of a kind"
    assert set(kinds.unique().tolist()) == {0.0, 2.0}
    branch.eval()(ones)
    assert torch.equal(seen[1], ones if layout == "frames" else ones[:, None])


def test_the_papers_preset_leaves_nothing_out():
    assert load_preset("paper", Path(__file__).resolve().parents[2] / "params.yaml").spectral.kind_dropout == 0
