"""The Wav2Vec 2.0 stream: any model of the family behind one way to call it, and where its network comes from.

The network is a small one with random weights (`wav2vec_network`), a pretrained checkpoint (`checkpoint`), or what the
configuration kept with a trained model says.
"""

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import torch
from torch import Tensor, nn

from ser_ops.config.models import Features, Wav2Vec
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.features.descriptors import LEVEL, SILENT
from ser_ops.models.checkpoint import (
    GET_AGAIN,
    Origin,
    check_network,
    checked_sizes,
    kept_config,
    random_network,
    read,
)
from ser_ops.models.wav2vec_network import MODEL_TYPE, Wav2VecNetwork, Wav2VecSizes
from ser_ops.models.whisper_encoder import WhisperSizes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Config = Union[Wav2VecSizes, "PreTrainedConfig"]

FAMILY = ("wav2vec2", "wav2vec2-conformer", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
SAMPLE_RATE = 16000
_GAIN = 20.0            # brings speech at an RMS of 0.05 of full scale to about 1
_POSITIONS = 128 * 320  # samples that the positional convolution spans, as in the published models
_MASKED_THROUGHOUT = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


class Backbone(nn.Module):
    """Waveform (B, N) at 16 kHz and valid samples (B,) to states (B, T, H) and valid frames (B, T) bool.

    The states are the last layer's or, by the settings, a learned sum of all layers', or one state for the utterance:
    mean and deviation over time of each layer's output. In the place of the waveform it takes what `states` made of it
    before.

    Padding never counts: samples from `valid` on are set to zero, whatever they hold, and only frames that lie
    whole in the valid samples are valid (at least one). Where the configuration says `input_masked`, attention does
    not see the others either, so that an utterance gets the same states however far it is padded. Checkpoints whose
    feature encoder normalises over time (`feat_extract_norm: group`) were trained on zero padding without a mask and
    are given that: with them the length of the padding, though not its content, has an influence.
    Where it says `input_normalised`, the valid samples are brought to mean 0 and variance 1, as such checkpoints
    were trained; the small configuration multiplies all samples by one fixed `input_gain` instead. Where it says
    `input_levelled`, the valid samples are first brought to one RMS, as the features of the spectral stream are
    (setting `features.level`), so that a microphone's gain says nothing to either stream.

    Dropout follows the settings; layer drop and SpecAugment masking are off, so that a seed settles everything.
    What is frozen neither moves nor drops out.
    """

    def __init__(self, config: Config, settings: Wav2Vec, network: Any) -> None:
        super().__init__()
        self.config = config
        self.network = network
        if isinstance(getattr(self.network, "masked_spec_embed", None), nn.Parameter):
            self.network.masked_spec_embed.requires_grad_(False)    # serves SpecAugment alone
        if hasattr(self.network, "feature_extractor"):
            # Set, it asks for the waveform's gradient, which nobody reads: up to a third of a small model's step.
            self.network.feature_extractor._requires_grad = False
        self.layer_sum = LayerSum(config.num_hidden_layers + 1) if settings.states == "weighted" else None
        self.statistics = settings.states == "statistics"
        self._tuned: list[nn.Module] = [self.network]
        if settings.trainable != "all":
            self.network.requires_grad_(False)
            number = settings.tuned_layers if settings.trainable == "partly" else 0
            self._tuned = list(self.encoder_layers)[-number:] if number else []
            for layer in self._tuned:
                layer.requires_grad_(True)
        self.train()

    @property
    def hidden(self) -> int:
        """Width H of the states that forward gives."""
        return self.config.hidden_size * (self.kept_shape(1)[0] if self.statistics else 1)

    @property
    def encoder_layers(self) -> nn.ModuleList:
        """The transformer layers, from the first to the last."""
        return self.network.encoder.layers

    @property
    def shortest(self) -> int:
        """Samples that one frame needs."""
        return receptive_field(self.config)

    @property
    def depends_on_padding(self) -> bool:
        """Whether the length of the padding, though not its content, has an influence on the states.

        A mask on attention alone does not keep it out: norms over time, and convolutions between layers, which
        the conformer and data2vec have, mix in what stands there.
        """
        return not (self.config.input_masked and getattr(self.config, "feat_extract_norm", "") == "layer"
                    and self.config.model_type in _MASKED_THROUGHOUT)

    def frames(self, samples: Tensor) -> Tensor:
        """How many frames lie whole in so many samples, at least 1."""
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            samples = torch.div(samples - kernel, stride, rounding_mode="floor") + 1
        return samples.clamp_min(1)

    def kept_shape(self, frames: int) -> tuple[int, int, int]:
        """The shape (layers, T, H) of what `states` makes of an utterance of so many frames."""
        layers, width = self.config.num_hidden_layers, self.config.hidden_size
        if self.statistics:
            return 2 * layers, 1, width
        return (1 if self.layer_sum is None else layers + 1), frames, width

    def same_states(self, other: "Backbone") -> bool:
        """Whether `states` gives the same of both, since their weights and how they are fed are the same."""
        own, others = self.network.state_dict(), other.network.state_dict()
        return (config_record(self.config) == config_record(other.config) and own.keys() == others.keys()
                and (self.statistics, self.layer_sum is None) == (other.statistics, other.layer_sum is None)
                and all(torch.equal(values, others[name]) for name, values in own.items()))

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.network.eval()
        for module in self._tuned:
            module.train(mode)
        return self

    def forward(self, waveform: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        states = waveform.float() if waveform.ndim == 4 else self.states(waveform, valid)
        if self.statistics:
            return states.flatten(1)[:, None], torch.ones(states.shape[0], 1, dtype=torch.bool, device=states.device)
        mixed = states[:, -1] if self.layer_sum is None else self.layer_sum(states)
        return mixed, torch.arange(mixed.shape[1], device=mixed.device) < self.frames(valid)[:, None]

    def states(self, waveform: Tensor, valid: Tensor) -> Tensor:
        """What forward makes its answer of, (B, layers, T, H): the last layer alone or, for a sum, all.

        All are what goes into the first layer and comes out of each, the last one as the network gives it back, with
        its final norm. For statistics the mean and then the deviation over valid frames of what comes out of each
        layer, (B, 2 x layers, 1, H). Of a frozen network they are the same in each epoch.
        """
        outside = torch.arange(waveform.shape[1], device=waveform.device) >= valid[:, None]
        waveform = waveform.masked_fill(outside, 0.0)
        if self.config.input_levelled:
            waveform = waveform * (LEVEL / _rms(waveform, valid).clamp_min(SILENT))
        if self.config.input_normalised:
            waveform = _normalised(waveform, ~outside)
        waveform = waveform * self.config.input_gain
        mask = None
        if self.config.input_masked:
            # All that the network does with a mask is to add it up: one column of sums says the same. It cannot do
            # with no frame at all.
            mask = valid.clamp_min(self.shortest)[:, None]
        every = self.layer_sum is not None or self.statistics
        output = self.network(waveform, attention_mask=mask, output_hidden_states=every)
        states = torch.stack([*(output.hidden_states[:-1] if every else ()), output.last_hidden_state], 1)
        return _statistics(states[:, 1:], self.frames(valid)) if self.statistics else states


def _statistics(states: Tensor, frames: Tensor) -> Tensor:
    """Mean and deviation over the first `frames` (B,) of states (B, layers, T, H): (B, 2 x layers, 1, H)."""
    inside = (torch.arange(states.shape[2], device=states.device) < frames[:, None])[:, None, :, None]
    number = frames[:, None, None, None]
    mean = states.where(inside, 0.0).sum(2, keepdim=True) / number
    deviation = ((states - mean).where(inside, 0.0).square().sum(2, keepdim=True) / number).sqrt()
    return torch.stack([mean, deviation], 2).flatten(1, 2)


class LayerSum(nn.Module):
    """States of all layers (B, layers, T, H) to their weighted sum (B, T, H) (SUPERB, Yang et al. 2021).

    The weights are a softmax of one parameter a layer; they begin equal.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))

    @property
    def weights(self) -> Tensor:
        """The weight of each layer, (layers,), from the first one's input to the last one's output, adding up to 1."""
        return self.scores.softmax(0)

    def forward(self, states: Tensor) -> Tensor:
        return torch.einsum("l,blth->bth", self.weights.to(states.dtype), states)


def receptive_field(config: Config) -> int:
    """Samples that one frame of the feature encoder sees."""
    field = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        field = (field - 1) * stride + kernel
    return field


def _rms(waveform: Tensor, valid: Tensor) -> Tensor:
    """RMS (B, 1) of the valid samples of waveforms (B, N) that are 0 elsewhere."""
    return torch.linalg.vector_norm(waveform, dim=1, keepdim=True) / valid[:, None].clamp_min(1).sqrt()


def _normalised(waveform: Tensor, inside: Tensor) -> Tensor:
    """Waveforms (B, N) whose samples `inside` have mean 0 and variance 1, the others 0."""
    number = inside.sum(1, keepdim=True).clamp_min(1)
    centred = (waveform - waveform.sum(1, keepdim=True) / number) * inside
    return centred / (centred.square().sum(1, keepdim=True) / number + 1e-7).sqrt()


def config_record(config: Config) -> dict[str, Any]:
    """A backbone's configuration as JSON can hold it, without where it came from."""
    values = config.record() if isinstance(config, Wav2VecSizes | WhisperSizes) else \
        json.loads(config.to_json_string(use_diff=False))
    return {key: value for key, value in sorted(values.items()) if not key.startswith("_")}


def backbone(settings: Wav2Vec, features: Features, kept: Mapping[str, Any] | None = None,
             source: Origin | None = None) -> Backbone:
    """The Wav2Vec 2.0 stream: of the kept configuration, else of the checkpoint, else small with random weights.

    A kept configuration gives random weights and loads nothing. `source`: where the checkpoint is loaded from, if that
    was asked before. Raises UserError when the checkpoint cannot be had, is not of the family, or lacks weights of its
    own architecture, and where sizes do not fit.
    """
    if kept is None and settings.checkpoint is None:
        return _small_backbone(small_sizes(settings, features), settings, features, "params.yaml and preset: wav2vec")
    if kept is None:
        return _pretrained(str(settings.checkpoint), settings, features, source)
    if kept.get("model_type") == MODEL_TYPE:
        sizes = replace(_kept_sizes(kept), dropout=settings.dropout)
        return _small_backbone(sizes, settings, features, "backbone_config")
    config = _with_settings(_kept_config(kept), settings, features, "backbone_config")
    return Backbone(config, settings, random_network(config))


def small_sizes(settings: Wav2Vec, features: Features) -> Wav2VecSizes:
    """A Wav2Vec 2.0 of any size for random weights: layer norm in every convolution, transformer with norm first.

    Both are those of the large published models; layer norm looks at one frame at a time, so that padding cannot
    leak, and the convolutions' biases keep quiet apart from loud. Its level is that of the spectral stream.
    Raises UserError where sizes do not fit.
    """
    if settings.hidden % settings.heads:
        raise UserError(f"params.yaml and preset: wav2vec: hidden {settings.hidden} is no multiple of heads "
                        f"{settings.heads}: change one of them")
    channels, kernels, strides = zip(*settings.convolutions, strict=True)
    return Wav2VecSizes(
        hidden_size=settings.hidden, num_hidden_layers=settings.layers, num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden, conv_dim=channels, conv_kernel=kernels, conv_stride=strides,
        num_conv_pos_embeddings=max(2, _POSITIONS // math.prod(strides)),
        num_conv_pos_embedding_groups=math.gcd(16, settings.hidden), dropout=settings.dropout,
        input_gain=_GAIN, input_normalised=False, input_masked=True, input_levelled=features.level == "same")


def _small_backbone(sizes: Wav2VecSizes, settings: Wav2Vec, features: Features, where: str) -> Backbone:
    """The network of these sizes with random weights, if they are within bounds."""
    _check_window(sizes, features, where)
    check_network(sizes, where, _widest(sizes, round(features.seconds * SAMPLE_RATE)), lambda: Wav2VecNetwork(sizes))
    return Backbone(sizes, settings, Wav2VecNetwork(sizes))


def _kept_sizes(values: Mapping[str, Any]) -> Wav2VecSizes:
    """The sizes of a small network as they were kept with a model."""
    sizes = checked_sizes(Wav2VecSizes, values)
    if not len(sizes.conv_dim) == len(sizes.conv_kernel) == len(sizes.conv_stride) > 0:
        raise UserError("backbone_config: conv_dim, conv_kernel and conv_stride are not one number a layer each: "
                        "restore the model folder")
    if min(*sizes.conv_dim, *sizes.conv_kernel, *sizes.conv_stride) < 1:
        raise UserError("backbone_config: conv_dim, conv_kernel and conv_stride begin at 1: restore the model folder")
    return sizes


def _kept_config(kept: Mapping[str, Any]) -> "PreTrainedConfig":
    """A checkpoint's configuration as it was kept with a model, how its input is prepared included."""
    by_layer = kept.get("feat_extract_norm", "group") == "layer"
    defaults = {"input_gain": 1.0, "input_normalised": True, "input_masked": by_layer, "input_levelled": False}
    values = {**defaults, **kept}
    if wrong := [key for key, default in defaults.items() if type(values[key]) is not type(default)]:
        raise UserError(f"backbone_config: {wrong[0]} is {reprlib.repr(values[wrong[0]])}, which is impossible: "
                        "restore the model folder")
    return kept_config(values, FAMILY, "the Wav2Vec 2.0 family")


def _pretrained(name: str, settings: Wav2Vec, features: Features, source: Origin | None) -> Backbone:
    """The checkpoint of that hub name or folder."""
    def settle(config: "PreTrainedConfig", arguments: Mapping[str, Any]) -> "PreTrainedConfig":
        return _follow_preprocessor(_with_settings(config, settings, features, name), features, name, arguments)

    config, network = read(name, settings.revision, "wav2vec", settle, new={"masked_spec_embed"}, source=source)
    return Backbone(config, settings, network)


def _follow_preprocessor(config: "PreTrainedConfig", features: Features, name: str,
                         arguments: Mapping[str, Any]) -> "PreTrainedConfig":
    """Input as the checkpoint was trained on: what its preprocessor file says, else the family's habit.

    It is kept in the configuration, so that it stays with the model. The level is that of the spectral stream: where
    the features are brought to one level, so is a waveform that is not normalised anyway.
    """
    from transformers import FeatureExtractionMixin
    file = Path(name) / "preprocessor_config.json"
    try:
        preprocessor = read_json(file, GET_AGAIN, GET_AGAIN) if file.exists() else \
            FeatureExtractionMixin.get_feature_extractor_dict(name, **arguments)[0]
    except (OSError, ValueError):
        preprocessor = {}
    if not isinstance(preprocessor, dict):
        raise UserError(f"{file}: holds no settings: {GET_AGAIN}")
    rate = preprocessor.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise UserError(f"{name}: wants {rate} Hz, the waveform stream is {SAMPLE_RATE} Hz: choose another checkpoint")
    by_layer = getattr(config, "feat_extract_norm", "layer") == "layer"
    config.input_gain, config.input_normalised = 1.0, bool(preprocessor.get("do_normalize", True))
    config.input_masked = bool(preprocessor.get("return_attention_mask", by_layer))
    config.input_levelled = features.level == "same" and not config.input_normalised
    return config


def _with_settings(config: "PreTrainedConfig", settings: Wav2Vec, features: Features, where: str) -> "PreTrainedConfig":
    """The configuration with what the settings decide; layer drop, SpecAugment and adapters off."""
    if config.model_type not in FAMILY:
        raise UserError(f"{where}: is a {config.model_type} model, not of the Wav2Vec 2.0 family: choose one of "
                        f"{', '.join(FAMILY)}")
    config.layerdrop, config.apply_spec_augment, config.add_adapter = 0.0, False, False
    for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"):
        setattr(config, name, settings.dropout)
    _check_window(config, features, where)
    check_network(config, where, _widest(config, round(features.seconds * SAMPLE_RATE)), lambda: random_network(config))
    return config


def _check_window(config: Config, features: Features, where: str) -> None:
    """Raises UserError where a window is shorter than what one frame sees."""
    if receptive_field(config) > round(features.seconds * SAMPLE_RATE):
        raise UserError(f"{where}: one frame sees {receptive_field(config)} samples, more than a window of "
                        f"{features.seconds} s has: lengthen features.seconds or shorten the convolutions")


def _widest(config: Config, samples: int) -> int:
    """Values that the widest layer gives for a window of so many samples."""
    widest = frames = samples
    convolutions = list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True))
    if min(map(min, convolutions)) < 1:
        raise ValueError("conv_dim, conv_kernel and conv_stride begin at 1")
    for channels, kernel, stride in convolutions:
        frames = (frames - kernel) // stride + 1
        widest = max(widest, frames * channels)
    return max(widest, frames * max(config.hidden_size, config.intermediate_size, frames * config.num_attention_heads))
