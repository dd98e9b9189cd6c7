"""ViT and BEiT checkpoints: real loading code on checkpoints that the tests make themselves."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.models.checkpoint import digest
from ser_ops.models.model_folder import load, save

SMALL = load_preset("small")
NAMES = ("vit", "beit")
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
         "image_size": 64, "patch_size": 16}
OWN = {"vit": {}, "beit": {"use_relative_position_bias": True}}
CONFIGS = {"vit": transformers.ViTConfig, "beit": transformers.BeitConfig}
NETWORKS = {"vit": transformers.ViTModel, "beit": transformers.BeitModel}
CLASSIFIERS = {"vit": transformers.ViTForImageClassification, "beit": transformers.BeitForImageClassification}


def stirred(network: torch.nn.Module) -> torch.nn.Module:
    """The network with every weight moved, so that none is 0 or 1 by habit."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def checkpoint(folder: Path, name: str, network: dict = NETWORKS, **settings) -> torch.nn.Module:
    torch.manual_seed(9)
    made = stirred(network[name](CONFIGS[name](**{**SIZES, **OWN[name], **settings})))
    made.save_pretrained(folder)
    return made


def preset_of(name: str, path: str | Path, **update: object) -> Preset:
    settings = getattr(SMALL, name).model_copy(update={
        "checkpoint": str(path), "revision": digest(path) if isinstance(path, Path) else None, **update})
    return SMALL.model_copy(update={name: settings})


def decibels() -> torch.Tensor:
    return -80 * torch.rand(2, *shape_of(SMALL.image), generator=torch.Generator().manual_seed(2))


def answer(model: EmotionModel, features: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.zeros(2, 100), torch.tensor([100, 100]), features)


def seen(features: torch.Tensor) -> torch.Tensor:
    """Pixels by hand: the mean of four, -80 to 0 dB as -1 to 1, three times."""
    return (features.reshape(2, 64, 2, 64, 2).mean((2, 4)) / 40 + 1)[:, None].repeat(1, 3, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_states_are_the_checkpoint_s_own(name: str, tmp_path: Path) -> None:
    network = checkpoint(tmp_path, name)
    model = build(name, preset_of(name, tmp_path), seed=4).eval()
    with torch.inference_mode():
        given = network(seen(decibels()))
        expected = given.last_hidden_state[:, 0] if name == "vit" else given.pooler_output
        states = model.backbone(model.pixels(decibels()))
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "settings"), [("vit", {}), ("beit", {}), ("beit", {"use_mean_pooling": False}),
                                                ("beit", {"use_absolute_position_embeddings": True}),
                                                ("beit", {"use_relative_position_bias": False,
                                                          "use_shared_relative_position_bias": True})])
def test_logits_are_those_of_the_library_s_own_classifier(name: str, settings: dict, tmp_path: Path) -> None:
    reference = checkpoint(tmp_path, name, CLASSIFIERS, num_labels=7, **settings)
    model = build(name, preset_of(name, tmp_path)).eval()
    model.head.load_state_dict(reference.classifier.state_dict())
    with torch.inference_mode():
        expected = reference(seen(decibels())).logits
    torch.testing.assert_close(answer(model, decibels()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_comes_back_without_its_checkpoint(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path / "checkpoint", name)
    model = build(name, preset_of(name, tmp_path / "checkpoint")).eval()
    save(tmp_path / "model", model, {})
    (tmp_path / "checkpoint").rename(tmp_path / "gone")
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: pytest.fail("the hub was asked"))
    loaded, card = load(tmp_path / "model")
    assert torch.equal(answer(loaded, decibels()), answer(model, decibels()))
    assert card["backbone"] == f"checkpoint {tmp_path / 'checkpoint'}"
    assert card["backbone_revision"] == digest(tmp_path / "gone")
    assert card["backbone_config"]["image_size"] == 64 and card["backbone_config"]["num_channels"] == 3


@pytest.mark.parametrize("name", NAMES)
def test_one_channel_and_the_image_s_own_size(name: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, name, num_channels=1, image_size=128)
    model = build(name, preset_of(name, tmp_path)).eval()
    torch.testing.assert_close(model.pixels(decibels()), decibels()[:, None] / 40 + 1)
    assert torch.isfinite(answer(model, decibels())).all()


def test_nothing_is_random_in_training_but_dropout(tmp_path: Path) -> None:
    checkpoint(tmp_path, "beit", drop_path_rate=0.9, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    model = build("beit", preset_of("beit", tmp_path, dropout=0.0)).train()
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.equal(model.backbone(pixels), model.backbone(pixels))


def test_a_beit_that_was_only_pretrained(tmp_path: Path) -> None:
    """It has a token for masked patches, which nothing here uses, and no norm of the mean, which then begins as one."""
    torch.manual_seed(9)
    config = CONFIGS["beit"](**SIZES, **OWN["beit"], use_mask_token=True)
    reference = stirred(transformers.BeitForMaskedImageModeling(config))
    reference.save_pretrained(tmp_path)
    model = build("beit", preset_of("beit", tmp_path)).eval()
    assert not [name for name, _ in model.named_parameters() if "mask_token" in name]
    with torch.inference_mode():
        tokens = reference.beit(seen(decibels())).last_hidden_state
        expected = torch.nn.functional.layer_norm(tokens[:, 1:].mean(1), (32,), eps=1e-12)
        states = model.backbone(model.pixels(decibels()))
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-4)


def test_loading_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpoint(tmp_path, "vit", CLASSIFIERS)
    capfd.readouterr()
    build("vit", preset_of("vit", tmp_path))
    assert capfd.readouterr() == ("", "")


def broken(folder: Path, name: str, fault: str) -> None:
    other = {"vit": "beit", "beit": "vit"}[name]
    network = checkpoint(folder, other if fault == "another family" else name,
                         num_channels=2 if fault == "two channels" else 3)
    weights = folder / "model.safetensors"
    if fault == "pickle":
        weights.unlink()
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
    elif fault == "damaged":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "lacks weights":
        tensors = {key: tensor for key, tensor in load_file(weights).items() if "layer.1.layernorm_before" not in key}
        save_file(tensors, weights, metadata={"format": "pt"})
    elif fault == "no config":
        (folder / "config.json").unlink()
    elif fault == "another size":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 16}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("fault", "words"), [
    ("another family", "choose a checkpoint whose model_type is"), ("two channels", "wants images of 2 channels"),
    ("pickle", "only safetensors are read"), ("damaged", "weights cannot be loaded"),
    ("lacks weights", "lacks 2 of the model's weights"), ("no config", "config.json: cannot be read"),
    ("another size", "weights cannot be loaded")])
def test_unusable_checkpoints_are_refused_in_one_line(name: str, fault: str, words: str, tmp_path: Path) -> None:
    broken(tmp_path, name, fault)
    with pytest.raises(UserError) as raised:
        build(name, preset_of(name, tmp_path))
    assert words in str(raised.value) and str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_checkpoint_says_how_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=rf"someone/no-such-model: no such checkpoint.*hf download.*{name}\.checkpoint"):
        build(name, preset_of(name, "someone/no-such-model"))


@pytest.mark.parametrize(("change", "words"), [
    ({"model_type": "beit"}, "model_type 'beit' is not of family vit"),
    ({"hidden_size": "wide"}, "not a vit configuration"),
    ({"hidden_size": 32}, "tensors are not those of a vit model"),
    ({"image_size": 64}, "tensors are not those of a vit model")])
def test_a_folder_whose_configuration_is_not_its_own(change: dict, words: str, tmp_path: Path) -> None:
    save(tmp_path, build("vit", SMALL), {})
    card = json.loads((tmp_path / "model.json").read_text())
    card["backbone_config"].update(change)
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=words) as raised:
        load(tmp_path)
    assert str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)
