"""The plain Wav2Vec 2.0 against the transformers library's, weight for weight."""

import subprocess
import sys

import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model

from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.models import wav2vec_backbone
from ser_ops.models.wav2vec_network import Wav2VecNetwork, Wav2VecSizes

NETWORKS = [(64, 2, ((64, 400, 160), (64, 4, 2), (64, 4, 2)), 64, 16), (32, 1, ((32, 400, 320), (32, 4, 2)), 63, 16),
            (48, 3, ((16, 10, 5), (24, 3, 2), (32, 3, 2)), 128, 4)]


def pair(hidden: int, layers: int, convolutions: tuple[tuple[int, int, int], ...], positions: int, groups: int,
         ) -> tuple[Wav2Vec2Model, Wav2VecNetwork]:
    """The library's network with random weights, and ours."""
    channels, kernels, strides = zip(*convolutions, strict=True)
    torch.manual_seed(3)
    theirs = Wav2Vec2Model._from_config(Wav2Vec2Config(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=4 * hidden,
        conv_dim=channels, conv_kernel=kernels, conv_stride=strides, conv_bias=True, feat_extract_norm="layer",
        do_stable_layer_norm=True, num_conv_pos_embeddings=positions, num_conv_pos_embedding_groups=groups,
        layerdrop=0.0, apply_spec_augment=False), attn_implementation="eager")
    ours = Wav2VecNetwork(Wav2VecSizes(hidden, layers, 4, 4 * hidden, channels, kernels, strides, positions, groups,
                                       0.1, 1.0, False, True, True))
    return theirs.eval(), ours.eval()


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The library's weights by our names."""
    names = {"encoder.pos_conv_embed.conv.parametrizations.weight.original0": "encoder.pos_conv_embed.magnitude",
             "encoder.pos_conv_embed.conv.parametrizations.weight.original1": "encoder.pos_conv_embed.direction",
             "encoder.pos_conv_embed.conv.bias": "encoder.pos_conv_embed.bias"}
    return {names.get(name, name): tensor for name, tensor in weights.items() if name != "masked_spec_embed"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("valid", [None, (32000, 20001, 9000, 4000)])
def test_the_same_weights_give_the_same_states(network: tuple, valid: tuple[int, ...] | None) -> None:
    theirs, ours = pair(*network)
    ours.load_state_dict(renamed(theirs.state_dict()))
    sound = torch.randn(4, 32000)
    mask = None if valid is None else (torch.arange(32000) < torch.tensor(valid)[:, None]).long()
    with torch.no_grad():
        expected = theirs(sound, attention_mask=mask, output_hidden_states=True)
        made = ours(sound, attention_mask=mask, output_hidden_states=True)
        short = ours(sound, attention_mask=None if mask is None else mask.sum(1, keepdim=True))
    frames = expected.last_hidden_state.shape[1]
    inside = torch.ones(4, frames, dtype=torch.bool) if mask is None else \
        theirs._get_feature_vector_attention_mask(frames, mask)
    assert len(made.hidden_states) == network[1] + 1 and short.hidden_states == ()
    pairs = [*zip(expected.hidden_states[:-1], made.hidden_states[:-1], strict=True),
             (expected.last_hidden_state, made.last_hidden_state), (made.last_hidden_state, short.last_hidden_state)]
    for before, after in pairs:
        torch.testing.assert_close(after[inside], before[inside], atol=2e-5, rtol=0)


@pytest.mark.parametrize("network", NETWORKS)
def test_first_weights_are_spread_as_the_librarys(network: tuple) -> None:
    networks = pair(*network)
    theirs, ours = renamed(networks[0].state_dict()), networks[1].state_dict()
    assert theirs.keys() == ours.keys()
    for name, tensor in theirs.items():
        if tensor.numel() >= 1000:
            assert float(ours[name].std()) == pytest.approx(float(tensor.std()), rel=0.15, abs=1e-3), name
            spread = float(tensor.std())
            assert float(ours[name].mean()) == pytest.approx(float(tensor.mean()), abs=0.1 * spread + 1e-3), name


def test_padding_changes_nothing() -> None:
    _, network = pair(*NETWORKS[0])
    sound, mask = torch.randn(1, 32000), torch.tensor([[20000]])
    with torch.no_grad():
        short = network(sound[:, :24000] * (torch.arange(24000) < 20000), mask).last_hidden_state
        long = network(sound * (torch.arange(32000) < 20000), mask).last_hidden_state
    torch.testing.assert_close(short[:, :29], long[:, :29], atol=1e-5, rtol=0)


def test_random_weights_need_no_library() -> None:
    script = ("import sys; from ser_ops.config.params import load_preset; "
              "from ser_ops.models.architectures import build; "
              "[build(name, load_preset('demo')) for name in ('fusion', 'concat', 'wav2vec', 'spectral', 'cnn')]; "
              "sys.exit('transformers' in sys.modules or 'librosa' in sys.modules or 'mlflow' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(("key", "value", "words"), [
    ("hidden_size", "wide", "hidden_size"), ("hidden_size", 2**30, "hidden_size"), ("conv_dim", [], "conv_"),
    ("conv_kernel", 0, "begin at 1"), ("num_attention_heads", 0, "num_attention_heads"), ("extra", 1, "extra"),
    ("conv_stride", [1] * 4000, "conv_stride"), ("num_conv_pos_embedding_groups", 7, "configuration"),
    ("num_attention_heads", 5, "no multiple")])
def test_sizes_from_outside_are_one_line(key: str, value: object, words: str) -> None:
    preset = load_preset("demo")
    kept = wav2vec_backbone.small_sizes(preset.wav2vec, preset.features).record()
    assert wav2vec_backbone.backbone(preset.wav2vec, preset.features, kept).config.record() == kept
    if key == "conv_kernel":
        value = [value] * len(kept[key])
    with pytest.raises(UserError, match=words) as error:
        wav2vec_backbone.backbone(preset.wav2vec, preset.features, {**kept, key: value})
    assert "\n" not in str(error.value)
