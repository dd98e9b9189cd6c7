"""Whisper's encoder out of checkpoints as they are published, and back out of a model folder."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ser_ops.config.models import Preset
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.models import whisper_backbone
from ser_ops.models.architectures import build, speech_backbone
from ser_ops.models.checkpoint import digest
from ser_ops.models.model_folder import load, save
from ser_ops.models.whisper_encoder import WhisperEncoder, WhisperSizes

CONFIG = {"model_type": "whisper", "d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 4,
          "encoder_ffn_dim": 48, "num_mel_bins": 80, "max_source_positions": 1500, "activation_function": "gelu",
          "scale_embedding": False, "vocab_size": 51864}
PREPROCESSOR = {"sampling_rate": 16000, "n_fft": 400, "hop_length": 160, "feature_size": 80}
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "checkpoints" / "whisper-tiny.en-encoder"


def encoder(layers: int = 3) -> WhisperEncoder:
    torch.manual_seed(0)
    return WhisperEncoder(WhisperSizes(
        hidden_size=32, num_hidden_layers=layers, published_layers=3, num_attention_heads=4, intermediate_size=48,
        mel_bins=80, positions=1500, dropout=0.0, input_levelled=True)).eval()


def publish(folder: Path, prefix: str = "model.encoder.", dtype: torch.dtype = torch.float16, files: int = 1,
            **config) -> Path:
    """A checkpoint in the hub's layout, decoder weights among it."""
    folder.mkdir()
    tensors = {prefix + name: tensor.to(dtype).contiguous() for name, tensor in encoder().state_dict().items()}
    tensors |= {prefix.replace("encoder", "decoder") + "embed_tokens.weight": torch.zeros(7, 32, dtype=dtype)}
    names = sorted(tensors)
    parts = [names[part::files] for part in range(files)]
    for number, part in enumerate(parts):
        file = "model.safetensors" if files == 1 else f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
    if files > 1:
        weights = {name: f"model-{number + 1:05d}-of-{files:05d}.safetensors"
                   for number, part in enumerate(parts) for name in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


def preset_of(folder: Path, **changes) -> Preset:
    preset = load_preset("demo")
    settings = {"checkpoint": str(folder), "revision": digest(folder), "trainable": "frozen", "states": "weighted"}
    return preset.model_copy(update={"wav2vec": preset.wav2vec.model_copy(update=settings | changes)})


def states_of(preset: Preset) -> torch.Tensor:
    with torch.inference_mode():
        return speech_backbone(preset.wav2vec, preset.features).eval().states(
            torch.sin(torch.arange(16000) / 9)[None], torch.tensor([16000]))


@pytest.mark.parametrize("layout", [{}, {"prefix": "encoder."}, {"dtype": torch.float32}, {"files": 3}])
def test_every_published_layout_gives_the_same_states(tmp_path, layout):
    states = states_of(preset_of(publish(tmp_path / "made", **layout)))
    assert states.shape == (1, 4, 50, 32)
    assert torch.allclose(states, states_of(preset_of(publish(tmp_path / "plain", dtype=torch.float32))), atol=2e-2)


def test_fewer_layers_are_the_first_ones_and_no_others_are_built(tmp_path):
    folder = publish(tmp_path / "made")
    two = preset_of(folder, checkpoint_layers=2)
    assert torch.equal(states_of(two), states_of(preset_of(folder))[:, :3])
    assert len(speech_backbone(two.wav2vec, two.features).network.layers) == 2


def test_a_fusion_comes_back_from_its_folder_without_the_checkpoint(tmp_path):
    preset = preset_of(publish(tmp_path / "made"), checkpoint_layers=2)
    model = build("fusion", preset, {"mean": [0.0] * 82, "std": [1.0] * 82}, seed=1).eval()
    save(tmp_path / "model", model, {"preset": "demo", "data": {"synthetic": [], "partial": []}})
    for file in (tmp_path / "made").iterdir():
        file.unlink()
    again, card = load(tmp_path / "model")
    inputs = (torch.sin(torch.arange(32000) / 9)[None], torch.tensor([32000]), torch.zeros(1, 82, 101))
    with torch.inference_mode():
        assert torch.equal(again(*inputs), model(*inputs))
    assert card["backbone_config"]["model_type"] == "whisper-encoder"
    assert not any(parameter.requires_grad for parameter in model.backbone.network.parameters())


@pytest.mark.parametrize(("config", "changes", "line"), [
    ({"encoder_layers": 2}, {"checkpoint_layers": 3}, "has 2 layers: set wav2vec.checkpoint_layers to at most 2"),
    ({"d_model": 30}, {}, "width 30 is no multiple of 4 heads"),
    ({"d_model": 64}, {}, "has shape .* its config.json says"),
    ({"encoder_layers": 5}, {}, r"lacks \d+ of the encoder's weights"),
    ({"num_mel_bins": 100_000}, {}, "num_mel_bins is 100000"),
    ({"max_source_positions": 10}, {}, "positions for 0.2 s, a window has 2 s: shorten features.seconds"),
    ({"activation_function": "relu"}, {}, "another activation"),
    ({"d_model": None}, {}, "config.json: hidden_size: Input should be a valid integer"),
    ({"encoder_layers": 10**9}, {}, "at most")])
def test_a_wrong_checkpoint_is_one_line(tmp_path, config, changes, line):
    preset = preset_of(publish(tmp_path / "made", **config), **changes)
    with pytest.raises(UserError, match=line) as caught:
        speech_backbone(preset.wav2vec, preset.features)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_damaged_file_is_one_line(tmp_path, file):
    folder = publish(tmp_path / "made")
    (folder / file).write_bytes((folder / file).read_bytes()[:40])
    preset = preset_of(folder)
    with pytest.raises(UserError) as caught:
        speech_backbone(preset.wav2vec, preset.features)
    assert "\n" not in str(caught.value)


def test_weights_as_a_pickle_alone_are_refused_with_what_to_do(tmp_path):
    folder = publish(tmp_path / "made")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    preset = preset_of(folder)
    with pytest.raises(UserError, match=r"only safetensors are read: .*save_pretrained"):
        speech_backbone(preset.wav2vec, preset.features)


@pytest.mark.parametrize(("key", "value"), [("hidden_size", "wide"), ("layer", 2), ("mel_bins", 10**9),
                                            ("mel_bins", 100_000), ("num_attention_heads", 0)])
def test_a_wrong_kept_configuration_is_one_line(key, value):
    preset = load_preset("demo")
    with pytest.raises(UserError, match="backbone_config: "):
        whisper_backbone.kept(encoder().sizes.record() | {key: value}, preset.wav2vec, preset.features)


@pytest.mark.real_speech
@pytest.mark.skipif(not SHARED.is_dir(), reason="the checkpoint in ../shared is not here")
def test_the_published_encoder_is_read():
    preset = preset_of(SHARED, checkpoint_layers=2)
    states = states_of(preset)
    assert states.shape == (1, 3, 50, 384) and torch.isfinite(states).all()
