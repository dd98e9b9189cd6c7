"""The Wav2Vec 2.0 stream: any model of the family behind one way to call it."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig

from ser_ops.config import Wav2Vec


class Backbone(nn.Module):
    """Waveform (B, N) at 16 kHz and valid samples (B,) to states (B, T, H) and valid frames (B, T) bool.

    Padding never counts: samples from `valid` on are set to zero, whatever they hold, and only frames that lie
    whole in the valid samples are valid (at least one). Where the configuration says `input_masked`, attention does
    not see the others either, so that an utterance gets the same states however far it is padded. Checkpoints whose
    feature encoder normalises over time (`feat_extract_norm: group`) were trained on zero padding without a mask and
    are given that: with them the length of the padding, though not its content, has an influence.
    Where it says `input_normalised`, the valid samples are brought to mean 0 and variance 1, as such checkpoints
    were trained; the small configuration multiplies all samples by one fixed `input_gain` instead, because loudness
    tells of emotion.

    Dropout follows the settings; layer drop and SpecAugment masking are off, so that a seed settles everything.
    What is frozen neither moves nor drops out.
    """

    def __init__(self, config: PreTrainedConfig, settings: Wav2Vec, network: Any = None) -> None:
        super().__init__()
        self.config = config
        self.network = network or AutoModel.from_config(config, attn_implementation="eager")
        if isinstance(getattr(self.network, "masked_spec_embed", None), nn.Parameter):
            self.network.masked_spec_embed.requires_grad_(False)    # serves SpecAugment alone
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
        inside = torch.arange(waveform.shape[1], device=waveform.device) < valid[:, None]
        waveform = waveform * inside * self.config.input_gain
        if self.config.input_normalised:
            waveform = _normalised(waveform, inside)
        mask = None
        if self.config.input_masked:
            shortest = receptive_field(self.config)     # the network itself cannot do with no frame at all
            mask = torch.arange(waveform.shape[1], device=waveform.device) < valid.clamp_min(shortest)[:, None]
        states = self.network(waveform, attention_mask=None if mask is None else mask.long()).last_hidden_state
        return states, torch.arange(states.shape[1], device=states.device) < self.frames(valid)[:, None]


def receptive_field(config: PreTrainedConfig) -> int:
    """Samples that one frame of the feature encoder sees."""
    field = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        field = (field - 1) * stride + kernel
    return field


def _normalised(waveform: Tensor, inside: Tensor) -> Tensor:
    number = inside.sum(1, keepdim=True).clamp_min(1)
    centred = (waveform - waveform.sum(1, keepdim=True) / number) * inside
    return centred / (centred.square().sum(1, keepdim=True) / number + 1e-7).sqrt()
