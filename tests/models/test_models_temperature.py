"""A temperature in the weights is the temperature in the answers, whatever the architecture."""

import pytest
import torch

from ser_ops.config.params import load_preset
from ser_ops.features.index_map import shape_of
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build
from ser_ops.models.temperature import divide_logits

PRESET = load_preset("small")


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_divided_and_nothing_else(name):
    settings = PRESET.input_of(name)
    channels = shape_of(settings)[0]
    plain = {"mean": [0.0] * channels, "std": [1.0] * channels} if getattr(settings, "standardise", False) else None
    model = build(name, PRESET, plain, seed=1).eval()
    torch.manual_seed(2)
    inputs = torch.randn(2, 24000), torch.tensor([24000, 16000]), torch.randn(2, *shape_of(settings))
    with torch.no_grad():
        before = model(*inputs)
        divide_logits(model, 2.5)
        after = model(*inputs)
    torch.testing.assert_close(after, before / 2.5, rtol=1e-5, atol=1e-6)
