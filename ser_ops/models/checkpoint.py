"""Where a backbone comes from: the small configuration, a checkpoint, or the configuration kept with a model."""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import transformers
from transformers import AutoConfig, AutoModel, FeatureExtractionMixin, PreTrainedConfig, Wav2Vec2Config

from ser_ops.config import Features, Wav2Vec
from ser_ops.errors import UserError
from ser_ops.models.backbone import Backbone, receptive_field

FAMILY = ("wav2vec2", "wav2vec2-conformer", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
SAMPLE_RATE = 16000
_GAIN = 20.0            # brings speech at an RMS of 0.05 of full scale to about 1
_POSITIONS = 128 * 320  # samples that the positional convolution spans, as in the published models


def small_config(settings: Wav2Vec) -> PreTrainedConfig:
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
    return _fed(config, gain=_GAIN, normalised=False, masked=True)


def _fed(config: PreTrainedConfig, gain: float, normalised: bool, masked: bool) -> PreTrainedConfig:
    """How the backbone prepares its input, kept in the configuration so that it stays with the model."""
    config.input_gain, config.input_normalised, config.input_masked = gain, normalised, masked
    return config


def _settled(config: PreTrainedConfig, settings: Wav2Vec, features: Features, where: str) -> PreTrainedConfig:
    """The configuration with what the settings decide; layer drop, SpecAugment and adapters off."""
    if config.model_type not in FAMILY:
        raise UserError(f"{where}: is a {config.model_type} model, not of the Wav2Vec 2.0 family: choose one of "
                        f"{', '.join(FAMILY)}")
    config.layerdrop, config.apply_spec_augment, config.add_adapter = 0.0, False, False
    for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"):
        setattr(config, name, settings.dropout)
    if receptive_field(config) > round(features.seconds * SAMPLE_RATE):
        raise UserError(f"{where}: one frame sees {receptive_field(config)} samples, more than a window of "
                        f"{features.seconds} s has: lengthen features.seconds or shorten the convolutions")
    return config


@contextmanager
def _quiet() -> Iterator[None]:
    """No reports of unused weights or retries while a checkpoint loads; what matters is checked and raised."""
    before = [(log, log.get_verbosity()) for log in (transformers.utils.logging, huggingface_hub.utils.logging)]
    try:
        for log, _ in before:
            log.set_verbosity(logging.CRITICAL)
        yield
    finally:
        for log, verbosity in before:
            log.set_verbosity(verbosity)


def _hub_has(name: str) -> str:
    """"" when the hub has a checkpoint of that name, else why not, in words; asks once, for ten seconds at most."""
    try:
        huggingface_hub.HfApi().model_info(name, timeout=10)
    except huggingface_hub.errors.RepositoryNotFoundError:
        return "the hub has none of that name that you may read"
    except huggingface_hub.errors.HFValidationError:
        return "that is no hub name"
    except Exception:  # no network, no answer, told to stay offline
        return "no hub is in reach"
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def from_checkpoint(settings: Wav2Vec, features: Features) -> Backbone:
    """The checkpoint that the settings name, by hub name or folder, from safetensors alone.

    Raises UserError when it cannot be had, is not of the family, or lacks weights of its own architecture.
    """
    name = str(settings.checkpoint)
    with _quiet():
        absent = "" if Path(name).is_dir() else _hub_has(name)
        where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": bool(absent)}
        try:
            config = AutoConfig.from_pretrained(name, **where)
        except (OSError, ValueError, KeyError) as error:
            if not absent:
                raise UserError(f"{name}: its config.json cannot be used ({_one_line(error)}): get the checkpoint "
                                "again") from error
            raise UserError(
                f"{name}: no such checkpoint: it is no folder, not in this machine's cache, and {absent}: get it where "
                f"there is a network (hf download {name} --local-dir FOLDER) and set wav2vec.checkpoint in params.yaml "
                "to that folder, or to null for random weights") from error
        config = _settled(config, settings, features, name)
        _follow_preprocessor(config, name, bool(absent))
        try:
            network, report = AutoModel.from_pretrained(
                name, config=config, use_safetensors=True, attn_implementation="eager", dtype="float32",
                output_loading_info=True, **where)
        except Exception as error:  # damaged files raise many kinds
            raise UserError(f"{name}: its weights cannot be loaded ({_one_line(error)}): only safetensors are read; "
                            "get the checkpoint again, or convert it with save_pretrained") from error
    missing = sorted(set(report["missing_keys"]) - {"masked_spec_embed"})
    if missing:
        raise UserError(f"{name}: lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...): get the "
                        "checkpoint again")
    return Backbone(config, settings, network)


def _follow_preprocessor(config: PreTrainedConfig, name: str, offline: bool) -> None:
    """Input as the checkpoint was trained on: what its preprocessor file says, else the family's habit."""
    try:
        said, _ = FeatureExtractionMixin.get_feature_extractor_dict(name, local_files_only=offline)
    except (OSError, ValueError):
        said = {}
    rate = said.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise UserError(f"{name}: wants {rate} Hz, the waveform stream is {SAMPLE_RATE} Hz: choose another checkpoint")
    by_layer = getattr(config, "feat_extract_norm", "layer") == "layer"
    _fed(config, 1.0, bool(said.get("do_normalize", True)), bool(said.get("return_attention_mask", by_layer)))


def from_config(values: Mapping[str, Any], settings: Wav2Vec, features: Features) -> Backbone:
    """A backbone of a kept configuration (a transformers dictionary) with random weights; loads nothing.

    Raises UserError when it is no configuration of the family.
    """
    kind = values.get("model_type")
    if kind not in FAMILY:
        raise UserError(f"backbone_config: model_type {kind!r} is not of the Wav2Vec 2.0 family: choose one of "
                        f"{', '.join(FAMILY)}")
    by_layer = values.get("feat_extract_norm", "group") == "layer"
    defaults = {"input_gain": 1.0, "input_normalised": True, "input_masked": by_layer}
    try:
        config = AutoConfig.for_model(**{**defaults, **values})
    except Exception as error:  # the library's own checks raise many kinds
        raise UserError(f"backbone_config: not a {kind} configuration ({_one_line(error)}): restore the model "
                        "folder") from error
    return Backbone(_settled(config, settings, features, "backbone_config"), settings)


def backbone(settings: Wav2Vec, features: Features, kept: Mapping[str, Any] | None = None) -> Backbone:
    """By the kept configuration if there is one, else by the checkpoint, else the small one with random weights."""
    if kept is not None:
        return from_config(kept, settings, features)
    if settings.checkpoint is not None:
        return from_checkpoint(settings, features)
    return Backbone(_settled(small_config(settings), settings, features, "params.yaml: wav2vec"), settings)


def config_dict(config: PreTrainedConfig) -> dict[str, Any]:
    """The configuration as JSON can hold it, without where it came from."""
    values = json.loads(config.to_json_string(use_diff=False))
    return {key: value for key, value in sorted(values.items()) if not key.startswith("_")}
