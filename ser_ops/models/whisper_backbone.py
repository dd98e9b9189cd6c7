"""The stream of Whisper's encoder: a checkpoint's, or what the configuration kept with a trained model says.

Of a checkpoint only the encoder is read, and of that only the layers that are computed; no library for the rest of
Whisper is needed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ser_ops.config.models import Features, Wav2Vec
from ser_ops.config.section import MOST_BANDS
from ser_ops.errors import UserError
from ser_ops.models.checkpoint import (
    GET_AGAIN,
    Origin,
    check_network,
    check_numbers,
    checked_sizes,
    read_file,
    read_tensors,
)
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.models.whisper_encoder import HOP, SAMPLE_RATE, WhisperEncoder, WhisperSizes, frames

FAMILY = ("whisper",)
_PREFIXES = ("model.encoder.", "encoder.")      # of the encoder's weights, with and without a head around the model
_PREPARED = {"sampling_rate": SAMPLE_RATE, "n_fft": 400, "hop_length": HOP}     # as every published Whisper was trained

# Sizes by the keys of a published config.json.
_SIZES = {"hidden_size": "d_model", "published_layers": "encoder_layers", "mel_bins": "num_mel_bins",
          "num_attention_heads": "encoder_attention_heads", "intermediate_size": "encoder_ffn_dim",
          "positions": "max_source_positions"}


class WhisperBackbone(Backbone):
    """Waveform (B, N) at 16 kHz and valid samples (B,) to states (B, T, H), one each 20 ms, and valid frames (B, T)."""

    config: WhisperSizes

    @property
    def encoder_layers(self) -> nn.ModuleList:
        return self.network.layers

    @property
    def shortest(self) -> int:
        return HOP

    @property
    def depends_on_padding(self) -> bool:
        return False

    def frames(self, samples: Tensor) -> Tensor:
        return frames(samples)


def pretrained(name: str, source: Origin, settings: Wav2Vec, features: Features) -> WhisperBackbone:
    """The encoder of a checkpoint, by hub name or folder.

    Raises UserError where its files cannot be had, lack weights, or describe another network than Whisper's.
    """
    config = read_file(name, source, "config.json")
    check_numbers(config, name, GET_AGAIN)     # its own names of what makes layers
    sizes = _sizes(name, config, settings, features)
    prepared = read_file(name, source, "preprocessor_config.json", {})
    for key, value in _PREPARED.items():
        if prepared.get(key, value) != value:
            raise UserError(f"{name}: its preprocessor_config.json has {key} {prepared[key]}, Whisper's is {value}: "
                            "choose another checkpoint")
    network = _network(sizes, name, features)
    wanted = network.state_dict()
    tensors = read_tensors(name, source, _PREFIXES, wanted)
    if missing := sorted(set(wanted) - set(tensors)):
        raise UserError(f"{name}: lacks {len(missing)} of the encoder's weights ({', '.join(missing[:3])}, ...): "
                        f"{GET_AGAIN}")
    if wrong := [key for key in sorted(wanted) if tensors[key].shape != wanted[key].shape]:
        raise UserError(f"{name}: {wrong[0]} has shape {tuple(tensors[wrong[0]].shape)}, its config.json says "
                        f"{tuple(wanted[wrong[0]].shape)}: {GET_AGAIN}")
    network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    return WhisperBackbone(sizes, settings, network)


def kept(values: Mapping[str, Any], settings: Wav2Vec, features: Features) -> WhisperBackbone:
    """The encoder of a configuration that was kept with a model, with random weights.

    Raises UserError for what is no such configuration.
    """
    sizes = replace(checked_sizes(WhisperSizes, values), dropout=settings.dropout)
    return WhisperBackbone(sizes, settings, _network(sizes, "backbone_config", features))


def _sizes(name: str, config: Mapping[str, Any], settings: Wav2Vec, features: Features) -> WhisperSizes:
    if config.get("activation_function", "gelu") != "gelu" or config.get("scale_embedding"):
        raise UserError(f"{name}: its encoder has another activation or scaled embeddings, which no published Whisper "
                        "has: choose another checkpoint")
    values = {size: config.get(key) for size, key in _SIZES.items()}
    sizes = checked_sizes(WhisperSizes, {
        **values, "num_hidden_layers": values["published_layers"], "dropout": settings.dropout,
        "input_levelled": features.level == "same"}, f"{name}: config.json", GET_AGAIN)
    layers = settings.checkpoint_layers
    if layers is not None and layers > sizes.published_layers:
        raise UserError(f"{name}: has {sizes.published_layers} layers: set wav2vec.checkpoint_layers to at most "
                        f"{sizes.published_layers}")
    return sizes if layers is None else replace(sizes, num_hidden_layers=layers)


def _network(sizes: WhisperSizes, where: str, features: Features) -> WhisperEncoder:
    """The network of these sizes with random weights, if they are within bounds."""
    samples = round(features.seconds * SAMPLE_RATE)
    if samples > sizes.longest:
        raise UserError(f"{where}: has positions for {sizes.longest / SAMPLE_RATE:g} s, a window has "
                        f"{features.seconds:g} s: shorten features.seconds")
    if not 1 <= sizes.mel_bins <= MOST_BANDS:
        raise UserError(f"{where}: num_mel_bins is {sizes.mel_bins}: 1 to {MOST_BANDS}: {GET_AGAIN}")
    if sizes.hidden_size % max(1, sizes.num_attention_heads):
        raise UserError(f"{where}: width {sizes.hidden_size} is no multiple of {sizes.num_attention_heads} heads: "
                        f"{GET_AGAIN}")
    number = int(frames(torch.tensor(samples, device="cpu")))   # the model may be in the making without memory
    widest = number * max(2 * sizes.hidden_size, sizes.intermediate_size, number * sizes.num_attention_heads)
    check_network(sizes, where, widest, lambda: WhisperEncoder(sizes))
    return WhisperEncoder(sizes)
