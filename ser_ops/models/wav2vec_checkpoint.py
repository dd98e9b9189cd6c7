"""Where the Wav2Vec 2.0 stream comes from: the small configuration, a checkpoint, or one kept with a model."""

import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import FeatureExtractionMixin, PreTrainedConfig, Wav2Vec2Config

from ser_ops.config import Features, Wav2Vec
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.models.backbone import Backbone, receptive_field
from ser_ops.models.checkpoint import GET_AGAIN, check_network, kept_config, read

FAMILY = ("wav2vec2", "wav2vec2-conformer", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
SAMPLE_RATE = 16000
_WORDS = "the Wav2Vec 2.0 family"
_GAIN = 20.0            # brings speech at an RMS of 0.05 of full scale to about 1
_POSITIONS = 128 * 320  # samples that the positional convolution spans, as in the published models


def small_config(settings: Wav2Vec, features: Features) -> PreTrainedConfig:
    """A Wav2Vec 2.0 of any size for random weights: layer norm in every convolution, transformer with norm first.

    Both are those of the large published models; layer norm looks at one frame at a time, so that padding cannot
    leak, and the convolutions' biases keep quiet apart from loud. Raises UserError where sizes do not fit.
    """
    if settings.hidden % settings.heads:
        raise UserError(f"params.yaml: wav2vec: hidden {settings.hidden} is no multiple of heads {settings.heads}: "
                        "change one of them")
    channels, kernels, strides = zip(*settings.convolutions, strict=True)
    config = Wav2Vec2Config(
        hidden_size=settings.hidden, num_hidden_layers=settings.layers, num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden, conv_dim=channels, conv_kernel=kernels, conv_stride=strides,
        conv_bias=True, feat_extract_norm="layer", do_stable_layer_norm=True,
        num_conv_pos_embeddings=max(2, _POSITIONS // math.prod(strides)),
        num_conv_pos_embedding_groups=math.gcd(16, settings.hidden))
    return _fed(config, _GAIN, normalised=False, masked=True, features=features)


def _fed(config: PreTrainedConfig, gain: float, normalised: bool, masked: bool, features: Features) -> PreTrainedConfig:
    """How the backbone prepares its input, kept in the configuration so that it stays with the model.

    Its level is that of the spectral stream: where the features are brought to one level, so is a waveform that is not
    normalised anyway.
    """
    config.input_gain, config.input_normalised, config.input_masked = gain, normalised, masked
    config.input_levelled = features.level == "same" and not normalised
    return config


def _settled(config: PreTrainedConfig, settings: Wav2Vec, features: Features, where: str) -> PreTrainedConfig:
    """The configuration with what the settings decide; layer drop, SpecAugment and adapters off."""
    if config.model_type not in FAMILY:
        raise UserError(f"{where}: is a {config.model_type} model, not of {_WORDS}: choose one of {', '.join(FAMILY)}")
    config.layerdrop, config.apply_spec_augment, config.add_adapter = 0.0, False, False
    for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"):
        setattr(config, name, settings.dropout)
    if receptive_field(config) > round(features.seconds * SAMPLE_RATE):
        raise UserError(f"{where}: one frame sees {receptive_field(config)} samples, more than a window of "
                        f"{features.seconds} s has: lengthen features.seconds or shorten the convolutions")
    check_network(config, where, _widest(config, round(features.seconds * SAMPLE_RATE)))
    return config


def _widest(config: PreTrainedConfig, frames: int) -> int:
    """Values that the widest layer gives for a window of so many samples."""
    widest = frames
    convolutions = list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True))
    if min(map(min, convolutions)) < 1:
        raise ValueError("conv_dim, conv_kernel and conv_stride begin at 1")
    for channels, kernel, stride in convolutions:
        frames = (frames - kernel) // stride + 1
        widest = max(widest, frames * channels)
    return max(widest, frames * max(config.hidden_size, config.intermediate_size, frames * config.num_attention_heads))


def _follow_preprocessor(config: PreTrainedConfig, features: Features, name: str,
                         arguments: Mapping[str, Any]) -> PreTrainedConfig:
    """Input as the checkpoint was trained on: what its preprocessor file says, else the family's habit."""
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
    return _fed(config, 1.0, bool(said.get("do_normalize", True)), bool(said.get("return_attention_mask", by_layer)),
                features)


def backbone(settings: Wav2Vec, features: Features, kept: Mapping[str, Any] | None = None) -> Backbone:
    """By the kept configuration if there is one, else by the checkpoint, else the small one with random weights.

    A kept configuration gives random weights and loads nothing. Raises UserError when the checkpoint cannot be had,
    is not of the family, or lacks weights of its own architecture, and where sizes do not fit.
    """
    if kept is not None:
        by_layer = kept.get("feat_extract_norm", "group") == "layer"
        defaults = {"input_gain": 1.0, "input_normalised": True, "input_masked": by_layer, "input_levelled": False}
        values = {**defaults, **kept}
        if wrong := [key for key, usual in defaults.items() if type(values[key]) is not type(usual)]:
            raise UserError(f"backbone_config: {wrong[0]} is {reprlib.repr(values[wrong[0]])}, which it cannot be: "
                            "restore the model folder")
        config = kept_config(values, FAMILY, _WORDS)
        return Backbone(_settled(config, settings, features, "backbone_config"), settings)
    if settings.checkpoint is None:
        config = small_config(settings, features)
        return Backbone(_settled(config, settings, features, "params.yaml: wav2vec"), settings)
    name = settings.checkpoint

    def settle(config: PreTrainedConfig, arguments: Mapping[str, Any]) -> PreTrainedConfig:
        return _follow_preprocessor(_settled(config, settings, features, name), features, name, arguments)

    config, network = read(name, settings.revision, "wav2vec", settle, new={"masked_spec_embed"})
    return Backbone(config, settings, network)
