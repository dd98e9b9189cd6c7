"""The stream of Whisper's encoder: a checkpoint's, or what the configuration kept with a trained model says.

Of a checkpoint only the encoder is read, and of that only the layers that are computed; no library for the rest of
Whisper is needed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ser_ops.config.models import Features, Wav2Vec
from ser_ops.errors import UserError
from ser_ops.models.checkpoint import GET_AGAIN, Origin, check_network, check_numbers, read_file, read_tensors
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.models.whisper_encoder import HOP, SAMPLE_RATE, WhisperEncoder, WhisperSizes, frames

FAMILY = ("whisper",)
_PREFIXES = ("model.encoder.", "encoder.")      # of the encoder's weights, with and without a head around the model
_PREPARED = {"sampling_rate": SAMPLE_RATE, "n_fft": 400, "hop_length": HOP}     # as every published Whisper was trained


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
    check_numbers(config, name, GET_AGAIN)
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
    check_numbers(values, "backbone_config", "restore the model folder")
    try:
        sizes = WhisperSizes(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"backbone_config: {'.'.join(map(str, fault['loc']))}: {fault['msg']}: restore the model "
                        "folder") from error
    sizes = replace(sizes, dropout=settings.dropout)
    return WhisperBackbone(sizes, settings, _network(sizes, "backbone_config", features))


def _sizes(name: str, config: Mapping[str, Any], settings: Wav2Vec, features: Features) -> WhisperSizes:
    if config.get("activation_function", "gelu") != "gelu" or config.get("scale_embedding"):
        raise UserError(f"{name}: its encoder has another activation or scaled embeddings, which no published Whisper "
                        "has: choose another checkpoint")
    try:
        published = int(config["encoder_layers"])
        layers = published if settings.checkpoint_layers is None else settings.checkpoint_layers
        if layers > published:
            raise UserError(f"{name}: has {published} layers: set wav2vec.checkpoint_layers to at most {published}")
        return WhisperSizes(
            hidden_size=config["d_model"], num_hidden_layers=layers, published_layers=published,
            num_attention_heads=config["encoder_attention_heads"], intermediate_size=config["encoder_ffn_dim"],
            mel_bins=config["num_mel_bins"], positions=config["max_source_positions"], dropout=settings.dropout,
            input_levelled=features.level == "same")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{name}: its config.json describes no Whisper encoder ({error}): {GET_AGAIN}") from error


def _network(sizes: WhisperSizes, where: str, features: Features) -> WhisperEncoder:
    """The network of these sizes with random weights, if they are within bounds."""
    samples = round(features.seconds * SAMPLE_RATE)
    if samples > sizes.longest:
        raise UserError(f"{where}: has positions for {sizes.longest / SAMPLE_RATE:g} s, a window has "
                        f"{features.seconds:g} s: shorten features.seconds")
    if sizes.hidden_size % max(1, sizes.num_attention_heads):
        raise UserError(f"{where}: width {sizes.hidden_size} is no multiple of {sizes.num_attention_heads} heads: "
                        f"{GET_AGAIN}")
    number = int(frames(torch.tensor(samples)))
    widest = number * max(2 * sizes.hidden_size, sizes.intermediate_size, number * sizes.num_attention_heads)
    check_network(sizes, where, widest, lambda: WhisperEncoder(sizes))
    return WhisperEncoder(sizes)
