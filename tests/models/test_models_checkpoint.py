"""The Wav2Vec 2.0 family: real loading code on checkpoints that the tests make themselves."""

import json
import time
from pathlib import Path

import pytest
import torch
import transformers

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.models.architectures import build
from ser_ops.models.checkpoint import digest
from ser_ops.models.model_folder import load, save

SMALL = load_preset("small")
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
         "conv_dim": (16, 16, 16), "conv_kernel": (20, 8, 8), "conv_stride": (10, 8, 4),
         "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
FAMILY = {
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
    "hubert": (transformers.HubertConfig, transformers.HubertModel),
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel),
    "unispeech": (transformers.UniSpeechConfig, transformers.UniSpeechModel),
    "unispeech-sat": (transformers.UniSpeechSatConfig, transformers.UniSpeechSatModel),
    "data2vec-audio": (transformers.Data2VecAudioConfig, transformers.Data2VecAudioModel),
    "wav2vec2-conformer": (transformers.Wav2Vec2ConformerConfig, transformers.Wav2Vec2ConformerModel),
}


def checkpoint(folder: Path, kind: str = "wav2vec2", preprocessor: dict | None = None, **settings) -> torch.nn.Module:
    config_class, model_class = FAMILY[kind]
    torch.manual_seed(9)
    model = model_class(config_class(**SIZES, **settings)).eval()
    model.save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


def preset_of(name: str | Path, revision: str | None = None) -> Preset:
    """The small preset with a checkpoint; that of a folder is the one that lies there now."""
    named = revision or (digest(name) if isinstance(name, Path) else None)
    return SMALL.model_copy(update={"wav2vec": SMALL.wav2vec.model_copy(update={
        "checkpoint": str(name), "revision": named})})


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(10)
    return (0.1 * torch.randn(2, 40000, generator=generator), torch.tensor([40000, 24000]),
            torch.randn(2, 82, 151, generator=generator))


@pytest.mark.parametrize("kind", sorted(FAMILY))
def test_every_kind_loads_answers_and_comes_back(kind: str, tmp_path: Path) -> None:
    checkpoint(tmp_path / "checkpoint", kind)
    model = build("fusion", preset_of(tmp_path / "checkpoint")).eval()
    with torch.inference_mode():
        logits = model(*batch())
    assert torch.isfinite(logits).all()
    save(tmp_path / "model", model, {})
    (tmp_path / "checkpoint").rename(tmp_path / "gone")     # a model folder stands alone
    loaded, card = load(tmp_path / "model")
    with torch.inference_mode():
        assert torch.equal(logits, loaded(*batch()))
    assert card["backbone"] == f"checkpoint {tmp_path / 'checkpoint'}"
    assert card["backbone_revision"] == card["preset_settings"]["wav2vec"]["revision"] == digest(tmp_path / "gone")


@pytest.mark.parametrize("kind", sorted(FAMILY))
def test_states_are_the_checkpoint_s_own(kind: str, tmp_path: Path) -> None:
    """Of a waveform at the level of the features and a mask as long as it, whatever the padding holds; same bits."""
    network = checkpoint(tmp_path, kind, {"return_attention_mask": True, "do_normalize": False})
    network.set_attn_implementation("eager")
    waveform, valid, _ = batch()
    mask = (torch.arange(waveform.shape[1]) < valid[:, None]).long()
    with torch.inference_mode():
        level = torch.linalg.vector_norm(waveform * mask, dim=1, keepdim=True) / valid[:, None].sqrt()
        expected = network(waveform * mask * (0.05 / level), attention_mask=mask).last_hidden_state
        states, _ = build("wav2vec", preset_of(tmp_path)).eval().backbone(
            waveform.masked_fill(mask == 0, torch.nan), valid)
    assert torch.equal(states, expected)


@pytest.mark.parametrize("kind", sorted(FAMILY))
def test_training_computes_no_gradient_of_the_waveform_unless_it_is_asked_for(kind: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, kind)
    model = build("wav2vec", preset_of(tmp_path)).train()
    first, asked = model.backbone.network.feature_extractor.conv_layers[0], []
    first.register_forward_pre_hook(lambda _, given: asked.append(given[0].requires_grad))
    waveform, valid, features = batch()
    model(waveform, valid, features).sum().backward()
    assert asked == [False] and first.conv.weight.grad.abs().sum() > 0
    model(waveform.requires_grad_(), valid, features).sum().backward()
    assert asked == [False, True] and waveform.grad[0].abs().sum() > 0 and waveform.grad[1, 24000:].abs().sum() == 0


def test_states_are_those_of_the_checkpoint_s_own_preprocessor(tmp_path: Path) -> None:
    network = checkpoint(tmp_path, feat_extract_norm="layer", do_stable_layer_norm=True)
    waveform, valid, _ = batch()
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    given = extractor([samples[:length].numpy() for samples, length in zip(waveform, valid, strict=True)], padding=True,
                      sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        expected = network(given.input_values, attention_mask=given.attention_mask).last_hidden_state
        states, frames = build("wav2vec", preset_of(tmp_path)).eval().backbone(waveform, valid)
    assert frames.sum(1).tolist() == network._get_feat_extract_output_lengths(valid).tolist()
    torch.testing.assert_close(states[frames], expected[frames], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "norm", "masked", "hears"), [
    *((kind, "layer", True, kind in ("data2vec-audio", "wav2vec2-conformer")) for kind in sorted(FAMILY)),
    ("wav2vec2", "layer", False, True), ("wav2vec2", "group", True, True), ("hubert", "group", False, True)])
def test_which_models_hear_how_far_an_utterance_is_padded(
        tmp_path: Path, kind: str, norm: str, masked: bool, hears: bool) -> None:
    given = {} if kind == "data2vec-audio" else {"feat_extract_norm": norm}
    checkpoint(tmp_path, kind, {"return_attention_mask": masked}, **given)
    model = build("wav2vec", preset_of(tmp_path)).eval()
    waveform, valid, _ = batch()
    with torch.inference_mode():
        states, frames = model.backbone(waveform[1:], valid[1:])
        cut, alone = model.backbone(waveform[1:, :24000], valid[1:])
    assert alone.all() and frames.sum() == alone.sum()
    assert torch.allclose(states[frames], cut[alone], atol=1e-4) != hears
    assert model.depends_on_padding == hears


@pytest.mark.parametrize(("norm", "preprocessor", "normalised", "masked"), [
    ("layer", None, True, True), ("group", None, True, False),
    ("group", {"do_normalize": False, "return_attention_mask": True, "sampling_rate": 16000}, False, True),
    ("layer", {"do_normalize": True, "return_attention_mask": False}, True, False)])
def test_input_as_the_checkpoint_was_trained(
        tmp_path: Path, norm: str, preprocessor: dict | None, normalised: bool, masked: bool) -> None:
    checkpoint(tmp_path, feat_extract_norm=norm, preprocessor=preprocessor)
    model = build("wav2vec", preset_of(tmp_path)).eval()
    assert (model.backbone.config.input_normalised, model.backbone.config.input_masked) == (normalised, masked)
    waveform, valid, features = batch()
    with torch.inference_mode():
        answer = model(waveform, valid, features)
        louder = model(4 * waveform + 0.1, valid, features)
        waveform[1, 24000:] = 0.9       # what stands in the padding never matters
        assert torch.equal(answer, model(waveform, valid, features))
    assert torch.allclose(answer, louder, atol=1e-4) == normalised


def test_nothing_is_random_in_training_but_dropout(tmp_path: Path) -> None:
    checkpoint(tmp_path, layerdrop=0.9, mask_time_prob=0.9, mask_feature_prob=0.5)
    preset = preset_of(tmp_path)
    preset = preset.model_copy(update={"wav2vec": preset.wav2vec.model_copy(update={"dropout": 0.0})})
    model = build("wav2vec", preset).train()
    waveform, valid, _ = batch()
    assert torch.equal(model.backbone(waveform, valid)[0], model.backbone(waveform, valid)[0])


def test_weights_are_the_checkpoint_s_whatever_the_seed(tmp_path: Path) -> None:
    network = checkpoint(tmp_path)
    model = build("fusion", preset_of(tmp_path), seed=3)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, model.backbone.network.state_dict()[name]), name


def broken(folder: Path, fault: str) -> None:
    if fault == "another family":
        transformers.BertModel(transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
                                                       intermediate_size=16)).save_pretrained(folder)
        return
    network = checkpoint(folder, preprocessor={"sampling_rate": 8000} if fault == "another rate" else None)
    weights = folder / "model.safetensors"
    if fault == "pickle":
        weights.unlink()
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
    elif fault == "damaged":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "lacks weights":
        from safetensors.torch import load_file, save_file
        tensors = {name: tensor for name, tensor in load_file(weights).items() if "encoder.layers.1" not in name}
        save_file(tensors, weights, metadata={"format": "pt"})
    elif fault == "no config":
        (folder / "config.json").unlink()


@pytest.mark.parametrize(("fault", "words"), [
    ("another family", "is a bert model, not of the Wav2Vec 2.0 family"), ("pickle", "only safetensors are read"),
    ("damaged", "weights cannot be loaded"), ("lacks weights", "lacks 16 of the model's weights"),
    ("no config", "config.json: cannot be read"), ("another rate", "wants 8000 Hz")])
def test_unusable_checkpoints_are_refused_in_one_line(tmp_path: Path, fault: str, words: str) -> None:
    broken(tmp_path, fault)
    with pytest.raises(UserError) as raised:
        build("fusion", preset_of(tmp_path))
    assert words in str(raised.value) and str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_checkpoint_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"someone/no-such-model: no such checkpoint.*hf download.*wav2vec\.checkpoint"):
        build("fusion", preset_of("someone/no-such-model"))


@pytest.mark.parametrize(("update", "words"), [
    ({"hidden": 50, "heads": 4}, "hidden 50 is no multiple of heads 4"),
    ({"convolutions": ((8, 50000, 10),)}, "one frame sees 50000 samples")])
def test_sizes_that_do_not_fit(update: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build("wav2vec", SMALL.model_copy(update={"wav2vec": SMALL.wav2vec.model_copy(update=update)}))


@pytest.mark.parametrize(("change", "words"), [
    ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1e"), ({"num_hidden_layers": 5000}, "makes 5000 layers"),
    ({"num_labels": 10**9}, "num_labels is 1e"), ({"hidden_size": 2**17, "num_attention_heads": 1}, "at most"),
    ({"conv_dim": [16] * 500}, "conv_dim makes 500 layers"), ({"conv_stride": [10, 0, 4]}, "cannot be used"),
    ({"hidden_size": "wide"}, "cannot be used"), ("[" * 200_000, "more than 64 deep"), ("[]", "no configuration"),
    (b"\xff\xfe", "is not UTF-8"), ('{"model_type": "wav2vec2", "model_type": "hubert"}', "is given twice")],
    ids=lambda value: str(value)[:30])
def test_a_configuration_that_asks_for_too_much_is_one_line(
        tmp_path: Path, change: dict | str | bytes, words: str) -> None:
    checkpoint(tmp_path)
    file = tmp_path / "config.json"
    if isinstance(change, dict):
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    else:
        file.write_bytes(change if isinstance(change, bytes) else change.encode())
    began = time.process_time()
    with pytest.raises(UserError, match=words) as raised:
        build("wav2vec", preset_of(tmp_path))
    assert time.process_time() - began < 3 and str(raised.value).isprintable()


@pytest.mark.parametrize("content", ["[" * 200_000, "[]", "{"])
def test_a_damaged_preprocessor_file_is_one_line(tmp_path: Path, content: str) -> None:
    checkpoint(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(UserError, match=r"preprocessor_config\.json: "):
        build("wav2vec", preset_of(tmp_path))
