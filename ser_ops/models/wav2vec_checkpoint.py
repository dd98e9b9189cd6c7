"""Where the Wav2Vec 2.0 stream comes from: the small configuration, a checkpoint, or one kept with a model."""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ser_ops.config import Features, Wav2Vec
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.models.backbone import Backbone, Config, receptive_field
from ser_ops.models.bounds import check_network, check_numbers
from ser_ops.models.wav2vec_network import MODEL_TYPE, Wav2VecNetwork, Wav2VecSizes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

FAMILY = ("wav2vec2", "wav2vec2-conformer", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
SAMPLE_RATE = 16000
_WORDS = "the Wav2Vec 2.0 family"
_GAIN = 20.0            # brings speech at an RMS of 0.05 of full scale to about 1
_POSITIONS = 128 * 320  # samples that the positional convolution spans, as in the published models


def small_sizes(settings: Wav2Vec, features: Features) -> Wav2VecSizes:
    """A Wav2Vec 2.0 of any size for random weights: layer norm in every convolution, transformer with norm first.

    Both are those of the large published models; layer norm looks at one frame at a time, so that padding cannot
    leak, and the convolutions' biases keep quiet apart from loud. Its level is that of the spectral stream.
    Raises UserError where sizes do not fit.
    """
    if settings.hidden % settings.heads:
        raise UserError(f"params.yaml: wav2vec: hidden {settings.hidden} is no multiple of heads {settings.heads}: "
                        "change one of them")
    channels, kernels, strides = zip(*settings.convolutions, strict=True)
    return Wav2VecSizes(
        hidden_size=settings.hidden, num_hidden_layers=settings.layers, num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden, conv_dim=channels, conv_kernel=kernels, conv_stride=strides,
        num_conv_pos_embeddings=max(2, _POSITIONS // math.prod(strides)),
        num_conv_pos_embedding_groups=math.gcd(16, settings.hidden), dropout=settings.dropout,
        input_gain=_GAIN, input_normalised=False, input_masked=True, input_levelled=features.level == "same")


def _plain(sizes: Wav2VecSizes, settings: Wav2Vec, features: Features, where: str) -> Backbone:
    """The network of these sizes with random weights, if they are within bounds."""
    _fits(sizes, features, where)
    check_network(sizes, where, _widest(sizes, round(features.seconds * SAMPLE_RATE)), lambda: Wav2VecNetwork(sizes))
    return Backbone(sizes, settings, Wav2VecNetwork(sizes))


def _kept_sizes(values: Mapping[str, Any]) -> Wav2VecSizes:
    check_numbers(values, "backbone_config", "restore the model folder")
    try:
        sizes = Wav2VecSizes(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"backbone_config: {'.'.join(map(str, fault['loc']))}: {fault['msg']}: restore the model "
                        "folder") from error
    if not len(sizes.conv_dim) == len(sizes.conv_kernel) == len(sizes.conv_stride) > 0:
        raise UserError("backbone_config: conv_dim, conv_kernel and conv_stride are not one number a layer each: "
                        "restore the model folder")
    if min(*sizes.conv_dim, *sizes.conv_kernel, *sizes.conv_stride) < 1:
        raise UserError("backbone_config: conv_dim, conv_kernel and conv_stride begin at 1: restore the model folder")
    return sizes


def _settled(config: "PreTrainedConfig", settings: Wav2Vec, features: Features, where: str) -> "PreTrainedConfig":
    """The configuration with what the settings decide; layer drop, SpecAugment and adapters off."""
    from ser_ops.models.checkpoint import empty
    if config.model_type not in FAMILY:
        raise UserError(f"{where}: is a {config.model_type} model, not of {_WORDS}: choose one of {', '.join(FAMILY)}")
    config.layerdrop, config.apply_spec_augment, config.add_adapter = 0.0, False, False
    for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"):
        setattr(config, name, settings.dropout)
    _fits(config, features, where)
    check_network(config, where, _widest(config, round(features.seconds * SAMPLE_RATE)), lambda: empty(config))
    return config


def _fits(config: Config, features: Features, where: str) -> None:
    if receptive_field(config) > round(features.seconds * SAMPLE_RATE):
        raise UserError(f"{where}: one frame sees {receptive_field(config)} samples, more than a window of "
                        f"{features.seconds} s has: lengthen features.seconds or shorten the convolutions")


def _widest(config: Config, frames: int) -> int:
    """Values that the widest layer gives for a window of so many samples."""
    widest = frames
    convolutions = list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True))
    if min(map(min, convolutions)) < 1:
        raise ValueError("conv_dim, conv_kernel and conv_stride begin at 1")
    for channels, kernel, stride in convolutions:
        frames = (frames - kernel) // stride + 1
        widest = max(widest, frames * channels)
    return max(widest, frames * max(config.hidden_size, config.intermediate_size, frames * config.num_attention_heads))


def _follow_preprocessor(config: "PreTrainedConfig", features: Features, name: str,
                         arguments: Mapping[str, Any]) -> "PreTrainedConfig":
    """Input as the checkpoint was trained on: what its preprocessor file says, else the family's habit.

    It is kept in the configuration, so that it stays with the model. The level is that of the spectral stream: where
    the features are brought to one level, so is a waveform that is not normalised anyway.
    """
    from transformers import FeatureExtractionMixin

    from ser_ops.models.checkpoint import GET_AGAIN
    file = Path(name) / "preprocessor_config.json"
    try:
        said = read_json(file, GET_AGAIN, GET_AGAIN) if file.exists() else \
            FeatureExtractionMixin.get_feature_extractor_dict(name, **arguments)[0]
    except (OSError, ValueError):
        said = {}
    if not isinstance(said, dict):
        raise UserError(f"{file}: holds no settings: {GET_AGAIN}")
    rate = said.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise UserError(f"{name}: wants {rate} Hz, the waveform stream is {SAMPLE_RATE} Hz: choose another checkpoint")
    by_layer = getattr(config, "feat_extract_norm", "layer") == "layer"
    config.input_gain, config.input_normalised = 1.0, bool(said.get("do_normalize", True))
    config.input_masked = bool(said.get("return_attention_mask", by_layer))
    config.input_levelled = features.level == "same" and not config.input_normalised
    return config


def backbone(settings: Wav2Vec, features: Features, kept: Mapping[str, Any] | None = None) -> Backbone:
    """By the kept configuration if there is one, else by the checkpoint, else the small one with random weights.

    A kept configuration gives random weights and loads nothing. Raises UserError when the checkpoint cannot be had,
    is not of the family, or lacks weights of its own architecture, and where sizes do not fit.
    """
    if kept is not None and kept.get("model_type") == MODEL_TYPE:
        return _plain(replace(_kept_sizes(kept), dropout=settings.dropout), settings, features, "backbone_config")
    if kept is None and settings.checkpoint is None:
        return _plain(small_sizes(settings, features), settings, features, "params.yaml: wav2vec")
    from ser_ops.models.checkpoint import empty, kept_config, read
    if kept is not None:
        by_layer = kept.get("feat_extract_norm", "group") == "layer"
        defaults = {"input_gain": 1.0, "input_normalised": True, "input_masked": by_layer, "input_levelled": False}
        values = {**defaults, **kept}
        if wrong := [key for key, usual in defaults.items() if type(values[key]) is not type(usual)]:
            raise UserError(f"backbone_config: {wrong[0]} is {reprlib.repr(values[wrong[0]])}, which it cannot be: "
                            "restore the model folder")
        config = kept_config(values, FAMILY, _WORDS)
        config = _settled(config, settings, features, "backbone_config")
        return Backbone(config, settings, empty(config))
    name = str(settings.checkpoint)

    def settle(config: "PreTrainedConfig", arguments: Mapping[str, Any]) -> "PreTrainedConfig":
        return _follow_preprocessor(_settled(config, settings, features, name), features, name, arguments)

    config, network = read(name, settings.revision, "wav2vec", settle, new={"masked_spec_embed"})
    return Backbone(config, settings, network)
