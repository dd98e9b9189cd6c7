"""What ViT and BEiT are shown: scaling, resizing, random resized crops; and how they behave in training."""

import math

import pytest
import torch
from torch.nn import functional
from transformers import BeitModel

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.models.image_transformers import draw_crops, resized_crops

SMALL = load_preset("small")
NAMES = ("vit", "beit")
CPU = torch.device("cpu")


def changed(name: str, **update: object) -> Preset:
    """The small preset with other settings of one family."""
    return SMALL.model_copy(update={name: getattr(SMALL, name).model_copy(update=update)})


def sized(height: int, width: int) -> Preset:
    """The small preset with images of so many bands and frames."""
    hop = SMALL.image.hop
    return SMALL.model_copy(update={"image": SMALL.image.model_copy(update={
        "mels": height, "seconds": (width - 1) * hop / SMALL.image.sample_rate})})


def decibels(rows: int = 3, preset: Preset = SMALL) -> torch.Tensor:
    return -80 * torch.rand(rows, *shape_of(preset.image), generator=torch.Generator().manual_seed(2))


def answer(model: EmotionModel, features: torch.Tensor) -> torch.Tensor:
    return model(torch.zeros(len(features), 100), torch.full((len(features),), 100), features)


def test_decibels_become_minus_one_to_one() -> None:
    features = torch.full((1, 128, 128), -40.0)
    features[0, 0, 0], features[0, 127, 5] = -80.0, 0.0
    pixels = build("vit", SMALL).eval().pixels(features)
    assert pixels.shape == (1, 1, 128, 128)
    assert pixels[0, 0, 0, 0] == -1 and pixels[0, 0, 127, 5] == 1 and pixels[0, 0, 1, 1] == 0


def test_resized_bilinearly_and_repeated_for_three_channels() -> None:
    features = decibels(2)
    model = build("vit", SMALL, backbone_config={
        "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "image_size": 64, "patch_size": 16}).eval()
    pixels = model.pixels(features)
    blocks = (features / 40 + 1).reshape(2, 64, 2, 64, 2).mean((2, 4))      # half the size: the mean of four
    torch.testing.assert_close(pixels, blocks[:, None].expand(-1, 3, -1, -1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("area", [(0.08, 1.0), (0.7, 1.0), (0.25, 0.25), (1.0, 1.0)])
def test_crops_lie_inside_the_image_and_have_the_area_and_ratio_asked_for(area: tuple[float, float]) -> None:
    torch.manual_seed(3)
    left, top, width, height = draw_crops(5000, area, CPU).unbind(1)
    for start, size in ((left, width), (top, height)):
        assert (start >= 0).all() and (size > 0).all() and (start + size <= 1 + 1e-6).all()
    share, ratio = width * height, width / height
    assert share.min() >= area[0] - 1e-5 and share.max() <= area[1] + 1e-5
    assert ratio.min() >= 3 / 4 - 1e-5 and ratio.max() <= 4 / 3 + 1e-5
    if area == (0.25, 0.25):        # room for every ratio: both ends are reached, either is as likely, and all places
        assert ratio.min() < 0.76 and ratio.max() > 1.32 and abs(ratio.log().mean()) < 0.01
        for start, size in ((left, width), (top, height)):
            position = start / (1 - size)
            assert position.min() < 0.01 and position.max() > 0.99 and abs(position.mean() - 0.5) < 0.02
    if area[0] < area[1]:
        assert abs(share.mean() - sum(area) / 2) < 0.01


def test_a_crop_shows_its_box_and_nothing_else() -> None:
    """An image that holds its own coordinates says where each pixel was taken."""
    rows, columns = torch.meshgrid((torch.arange(40) + 0.5) / 40, (torch.arange(60) + 0.5) / 60, indexing="ij")
    images = torch.stack([rows, columns]).expand(2, -1, -1, -1)
    boxes = torch.tensor([[0.25, 0.1, 0.5, 0.6], [0.0, 0.5, 0.75, 0.25]])   # left, top, width, height
    shown = resized_crops(images, boxes, (16, 20))
    for (left, top, width, height), (down, across) in zip(boxes.tolist(), shown, strict=True):
        expected_rows = top + height * (torch.arange(16) + 0.5) / 16
        expected_columns = left + width * (torch.arange(20) + 0.5) / 20
        torch.testing.assert_close(down, expected_rows[:, None].expand(16, 20), rtol=0, atol=1e-5)
        torch.testing.assert_close(across, expected_columns.expand(16, 20), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(128, 128), (64, 96), (160, 130)])
def test_the_whole_image_as_crop_is_the_resized_image(size: tuple[int, int]) -> None:
    images = torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(4))
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, -1)
    torch.testing.assert_close(resized_crops(images, whole, size),
                               functional.interpolate(images, size, mode="bilinear"), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_crops_only_in_training_and_another_for_each_image(name: str) -> None:
    model = build(name, changed(name, dropout=0.0))
    same = decibels(1).expand(3, -1, -1)
    torch.manual_seed(5)
    first, second = model.train().pixels(same), model.pixels(same)
    assert first.shape == (3, 1, 128, 128) and first.min() >= -1 and first.max() <= 1
    assert not torch.allclose(first[0], first[1]) and not torch.allclose(first, second)
    torch.manual_seed(5)
    assert torch.equal(model.pixels(same), first)
    model.eval()
    before = torch.get_rng_state()
    torch.testing.assert_close(model.pixels(same), same[:, None] / 40 + 1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_random_in_training_but_the_crop_and_dropout(name: str) -> None:
    model = build(name, changed(name, dropout=0.0, crop=(1.0, 1.0))).train()
    features = decibels()
    torch.testing.assert_close(answer(model, features), answer(model, features), rtol=0, atol=0)
    torch.testing.assert_close(answer(model, features), answer(model.eval(), features), rtol=0, atol=1e-4)
    dropping = build(name, changed(name, dropout=0.3, crop=(1.0, 1.0))).train()
    assert not torch.allclose(answer(dropping, features), answer(dropping, features))


@pytest.mark.parametrize("name", NAMES)
def test_frozen_neither_moves_nor_drops_out(name: str) -> None:
    model = build(name, changed(name, trainable="frozen", dropout=0.5, crop=(1.0, 1.0))).train()
    before = {key: parameter.clone() for key, parameter in model.named_parameters()}
    features = decibels()
    assert torch.equal(answer(model, features), answer(model, features))
    answer(model, features).square().sum().backward()
    groups = model.parameter_groups(0.1, 0.1)
    assert [group["name"] for group in groups] == ["new", "new, no decay"]
    torch.optim.AdamW(groups).step()
    moved = {key for key, parameter in model.named_parameters() if not torch.equal(parameter, before[key])}
    assert moved == {"head.weight", "head.bias"} and not model.backbone.network.training


def test_answers_see_where_and_when() -> None:
    """Positions count: the same patches elsewhere are another image."""
    features = decibels()
    for name in NAMES:
        model = build(name, SMALL, seed=1).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "position" in key:       # fresh tables of relative positions are 0
                    parameter.normal_(generator=torch.Generator().manual_seed(6))
        for axis in (1, 2):
            assert not torch.allclose(answer(model, features), answer(model, features.roll(32, axis)), atol=1e-4)


def test_training_after_an_answer_in_inference_mode() -> None:
    """The library keeps BEiT's index of positions for the process; one made in inference mode could not be used."""
    model = build("beit", changed("beit", patch=32)).eval()
    with torch.inference_mode():
        answer(model, decibels())
        BeitModel(model.backbone.config)(model.pixels(decibels()))
    answer(model.train(), decibels()).sum().backward()


def test_an_image_that_is_not_square() -> None:
    preset = sized(64, 96)
    assert shape_of(preset.image) == (64, 96)
    model = build("vit", preset)
    assert model.backbone.grid == (4, 6)
    assert answer(model, decibels(2, preset)).shape == answer(model.eval(), decibels(2, preset)).shape == (2, 7)
    with pytest.raises(UserError, match=r"params\.yaml and preset: beit: an image of 64 x 96 is not square"):
        build("beit", preset)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_that_is_not_whole_patches_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}: an image of 128 x 128 is not whole patches of 24: .*{name}\.patch"):
        build(name, changed(name, patch=24))


def test_small_configuration_has_the_preset_s_sizes() -> None:
    for name in NAMES:
        settings, config = getattr(SMALL, name), build(name, SMALL).backbone.config
        assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.patch_size) == (
            settings.hidden, settings.layers, settings.heads, settings.patch)
        assert config.num_channels == 1 and config.image_size == 128
        assert config.intermediate_size == 4 * settings.hidden and math.isclose(config.hidden_dropout_prob, 0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_crops_on_a_gpu() -> None:
    device = torch.device("cuda")
    boxes = draw_crops(8, (0.1, 1.0), device)
    images = torch.rand(8, 1, 128, 128, device=device)
    shown = resized_crops(images, boxes, (64, 64))
    assert shown.is_cuda
    torch.testing.assert_close(shown.cpu(), resized_crops(images.cpu(), boxes.cpu(), (64, 64)), rtol=0, atol=1e-4)
