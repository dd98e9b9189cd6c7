"""Features standardised ahead of the model: the same bits, and never by mistake."""

import numpy as np
import pytest
import torch

from ser_ops.config.params import load_preset, preset_names
from ser_ops.features.index_map import channels_of, shape_of
from ser_ops.models.architectures import build
from ser_ops.models.base import standardised_beforehand

PRESETS = {name: load_preset(name) for name in preset_names()}


@pytest.mark.parametrize(("preset", "name"), [("small", "cnn"), ("small", "spectral"), ("paper", "spectral")])
def test_standardised_ahead_gives_the_same_bits(preset: str, name: str) -> None:
    settings, random = PRESETS[preset].input_of(name), np.random.default_rng(1)
    figures = {"mean": random.normal(size=channels_of(settings)), "std": random.uniform(0.5, 3, channels_of(settings))}
    standardisation = {key: list(map(float, values)) for key, values in figures.items()}
    model = build(name, PRESETS[preset], standardisation, seed=1).eval()
    features = random.normal(size=(2, *shape_of(settings))).astype(np.float32)
    nothing, valid = torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64)
    with torch.no_grad():
        expected = model(nothing, valid, torch.from_numpy(features))
        with standardised_beforehand(model) as standardise:
            mean, deviation = standardise.tables()
            assert torch.equal(model(nothing, valid, torch.from_numpy((features - mean) / deviation)), expected)
        assert torch.equal(model(nothing, valid, torch.from_numpy(features)), expected), "afterwards it does it itself"


def test_a_failure_leaves_nothing_behind() -> None:
    model = build("cnn", PRESETS["small"])
    with pytest.raises(RuntimeError), standardised_beforehand(model):
        raise RuntimeError
    assert not model.standardise.applied


def test_a_model_that_does_not_standardise_is_left_alone() -> None:
    with standardised_beforehand(build("vit", PRESETS["small"])) as standardise:
        assert standardise is None
