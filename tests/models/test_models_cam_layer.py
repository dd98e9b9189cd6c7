"""The layer that Grad-CAM weighs: one layer of each model, and its output as maps over time or over an image."""

import pytest
import torch
from torch import Tensor

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.features.index_map import shape_of
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel

SMALL = load_preset("small")
SERIAL = SMALL.model_copy(update={
    "features": SMALL.features.model_copy(update={"layout": "serial"}),
    "spectral": load_preset("paper").spectral.model_copy(update={"channels": (16, 8, 8), "embedding": 16})})
MAPS = (SMALL.spectral.members * SMALL.spectral.maps, 37)    # 151 frames halved twice
BLIND = ("wav2vec", "lstm")


def features_of(name: str, preset: Preset = SMALL, rows: int = 2) -> Tensor:
    values = torch.rand(rows, *shape_of(preset.input_of(name)), generator=torch.Generator().manual_seed(7))
    return -80 * values if preset.input_of(name) == preset.image else values


def looked(model: EmotionModel, features: Tensor) -> tuple[Tensor, Tensor]:
    """(the cam_layer's output, logits) of one pass with gradients; the waveform is the same for all."""
    kept: list[Tensor] = []
    handle = model.cam_layer().register_forward_hook(lambda module, given, made: kept.append(made))
    logits = model(0.1 * torch.ones(len(features), 8000), torch.full((len(features),), 8000), features)
    handle.remove()
    assert len(kept) == 1
    return kept[0], logits


@pytest.mark.parametrize(("name", "preset", "shape"), [
    ("spectral", SMALL, MAPS), ("concat", SMALL, MAPS), ("fusion", SMALL, MAPS),
    ("spectral", SERIAL, (8, 3096)),    # 82 * 151 = 12,382 positions halved twice
    ("cnn", SMALL, (32, 36)),           # 79 - 2 = 77, 38, - 2
    ("cnn_lstm", SMALL, (64, 77)), ("vit", SMALL, (64, 8, 8)), ("beit", SMALL, (64, 8, 8))])
def test_maps_and_their_gradient(name: str, preset: Preset, shape: tuple[int, ...]) -> None:
    model = build(name, preset).eval()
    output, logits = looked(model, features_of(name, preset))
    maps = model.maps(output)
    assert maps.shape == (2, *shape)
    gradient, = torch.autograd.grad(logits[:, 3].sum(), output)
    assert model.maps(gradient).shape == maps.shape and gradient.abs().sum() > 0
    assert (model.maps(gradient).flatten(2).abs().sum(1) > 0).float().mean() > 0.2     # at many points


def test_the_models_that_have_none_say_so() -> None:
    assert set(BLIND) | {"spectral", "concat", "fusion", "cnn", "cnn_lstm", "vit", "beit"} == set(MODELS)
    for name in BLIND:
        with pytest.raises(ValueError, match=f"{name} has no convolution or patches"):
            build(name, SMALL).cam_layer()


def test_a_frozen_transformer_can_be_asked_through_its_features() -> None:
    for name in ("vit", "beit"):
        preset = SMALL.model_copy(update={name: getattr(SMALL, name).model_copy(update={"trainable": "frozen"})})
        model = build(name, preset).eval()
        output, logits = looked(model, features_of(name).requires_grad_())
        gradient, = torch.autograd.grad(logits[:, 0].sum(), output)
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["cnn", "cnn_lstm", "spectral"])
def test_columns_are_time(name: str) -> None:
    """A change at the end of the window changes only the last columns."""
    model = build(name, SMALL).eval()
    features = features_of(name, rows=1)
    later = features.clone()
    later[:, :, 3 * later.shape[2] // 4:] += torch.rand(later.shape[2] - 3 * later.shape[2] // 4)
    columns = (looked(model, features)[0] - looked(model, later)[0]).abs().sum((0, 1))
    share = torch.arange(len(columns)) / len(columns)
    assert not columns[share < 0.5].any() and (columns[share > 0.82] > 0).all()


@pytest.mark.parametrize("name", ["vit", "beit"])
def test_rows_are_mel_bands_and_columns_are_time(name: str) -> None:
    """Only the patch that was changed has other tokens before the first attention."""
    preset = SMALL.model_copy(update={name: getattr(SMALL, name).model_copy(update={"layers": 1})})
    model = build(name, preset).eval()
    features = features_of(name, preset, rows=1)
    other = features.clone()
    other[:, 16:32, 80:96] = -40.0      # second row of patches, sixth column
    with torch.no_grad():
        change = model.maps(looked(model, features)[0] - looked(model, other)[0]).abs().sum((0, 1))
    assert change.nonzero().tolist() == [[1, 5]]


def test_the_last_place_where_patch_tokens_reach_a_vit_s_logits() -> None:
    model = build("vit", SMALL).eval()
    assert model.cam_layer() is model.backbone.network.layers[-1].layernorm_before
    made: list[Tensor] = []
    model.backbone.network.layers[-1].register_forward_hook(lambda module, given, output: made.append(output))
    output, logits = looked(model, features_of("vit"))
    here, behind = torch.autograd.grad(logits[:, 0].sum(), [output, made[0]])
    assert (here[:, 1:].abs().sum(2) > 0).all() and not behind[:, 1:].any()
