"""The Wav2Vec 2.0 stream: any model of the family behind one way to call it."""

import json
from typing import TYPE_CHECKING, Any, Union

import torch
from torch import Tensor, nn

from ser_ops.config import Wav2Vec
from ser_ops.models.layer_sum import LayerSum
from ser_ops.models.wav2vec_network import Wav2VecSizes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Config = Union[Wav2VecSizes, "PreTrainedConfig"]

_LEVEL, _SILENT = 0.05, 1e-10     # RMS of a levelled waveform, about -26 dBFS; of one that is left silent
_MASKED_THROUGHOUT = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


class Backbone(nn.Module):
    """Waveform (B, N) at 16 kHz and valid samples (B,) to states (B, T, H) and valid frames (B, T) bool.

    The states are the last layer's or, by the settings, a learned sum of all layers'. In the place of the waveform it
    takes what `states` made of it before.

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
        # Set, it asks for the waveform's gradient, which nobody reads: up to a third of a small model's step.
        self.network.feature_extractor._requires_grad = False
        self.layer_sum = LayerSum(config.num_hidden_layers + 1) if settings.states == "weighted" else None
        self._tuned: list[nn.Module] = [self.network]
        if settings.trainable != "all":
            self.network.requires_grad_(False)
            number = settings.tuned_layers if settings.trainable == "partly" else 0
            self._tuned = list(self.network.encoder.layers)[-number:] if number else []
            for layer in self._tuned:
                layer.requires_grad_(True)
        self.train()

    @property
    def hidden(self) -> int:
        """Width H of the states."""
        return self.config.hidden_size

    @property
    def hears_padding(self) -> bool:
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

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.network.eval()
        for module in self._tuned:
            module.train(mode)
        return self

    def forward(self, waveform: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        states = waveform.float() if waveform.ndim == 4 else self.states(waveform, valid)
        mixed = states[:, -1] if self.layer_sum is None else self.layer_sum(states)
        return mixed, torch.arange(mixed.shape[1], device=mixed.device) < self.frames(valid)[:, None]

    def states(self, waveform: Tensor, valid: Tensor) -> Tensor:
        """What forward makes its answer of, (B, layers, T, H): the last layer alone or, for a sum, all.

        All are what goes into the first layer and comes out of each, the last one as the network gives it back, with
        its final norm. Of a frozen network they are the same in each epoch.
        """
        outside = torch.arange(waveform.shape[1], device=waveform.device) >= valid[:, None]
        waveform = waveform.masked_fill(outside, 0.0)
        if self.config.input_levelled:
            waveform = waveform * (_LEVEL / _rms(waveform, valid).clamp_min(_SILENT))
        if self.config.input_normalised:
            waveform = _normalised(waveform, ~outside)
        waveform = waveform * self.config.input_gain
        mask = None
        if self.config.input_masked:
            # All that the network does with a mask is to add it up: one column of sums says the same. It cannot do
            # with no frame at all.
            mask = valid.clamp_min(receptive_field(self.config))[:, None]
        found = self.network(waveform, attention_mask=mask, output_hidden_states=self.layer_sum is not None)
        earlier = found.hidden_states[:-1] if self.layer_sum is not None else ()
        return torch.stack([*earlier, found.last_hidden_state], 1)


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
    number = inside.sum(1, keepdim=True).clamp_min(1)
    centred = (waveform - waveform.sum(1, keepdim=True) / number) * inside
    return centred / (centred.square().sum(1, keepdim=True) / number + 1e-7).sqrt()


def config_record(config: Config) -> dict[str, Any]:
    """A backbone's configuration as JSON can hold it, without where it came from."""
    values = config.record() if isinstance(config, Wav2VecSizes) else json.loads(config.to_json_string(use_diff=False))
    return {key: value for key, value in sorted(values.items()) if not key.startswith("_")}
