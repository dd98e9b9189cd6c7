"""Wav2Vec 2.0 (Baevski and others, 2020) of any size as a plain torch module, for streams with random weights.

Layer norm in every convolution and before each part of a transformer layer, as in the large published models. Names,
layout and first weights are those of the transformers library's `Wav2Vec2Model`, to which tests hold it; published
checkpoints are loaded by that library, which takes seconds to import.
"""

import math
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

MODEL_TYPE = "wav2vec2-plain"
_SPREAD = 0.02      # deviation of the transformer's first weights


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Wav2VecSizes:
    """Sizes of a network, and how a backbone prepares its input (`ser_ops.models.wav2vec_backbone.Backbone`)."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    conv_dim: tuple[int, ...]
    conv_kernel: tuple[int, ...]
    conv_stride: tuple[int, ...]
    num_conv_pos_embeddings: int
    num_conv_pos_embedding_groups: int
    dropout: float
    input_gain: float
    input_normalised: bool
    input_masked: bool
    input_levelled: bool
    model_type: str = MODEL_TYPE
    feat_extract_norm: str = "layer"

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in sorted(asdict(self).items())}


class Wav2VecStates(NamedTuple):
    """Float (B, T, H): after the final norm, and what went into each layer, () where it was not asked for."""

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...]


class Wav2VecNetwork(nn.Module):
    """Waveforms (B, N), 16 kHz, to states (B, T, H).

    attention_mask: (B, any), the sum of each row is how many samples of it are valid; frames beyond them are zero and
    seen by no other frame. None: all are valid.
    """

    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.feature_extractor = _FeatureExtractor(sizes)
        self.feature_projection = _Projection(sizes)
        self.encoder = _Encoder(sizes)

    def forward(self, waveform: Tensor, attention_mask: Tensor | None = None,
                output_hidden_states: bool = False) -> Wav2VecStates:
        states = self.feature_projection(self.feature_extractor(waveform[:, None]).transpose(1, 2))
        inside = None
        if attention_mask is not None:
            frames = attention_mask.sum(1)
            for kernel, stride in zip(self.sizes.conv_kernel, self.sizes.conv_stride, strict=True):
                frames = torch.div(frames - kernel, stride, rounding_mode="floor") + 1
            inside = torch.arange(states.shape[1], device=states.device) < frames[:, None]
        return self.encoder(states, inside, output_hidden_states)


class _FeatureExtractor(nn.Module):
    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        inputs = (1, *sizes.conv_dim[:-1])
        self.conv_layers = nn.ModuleList(map(_Convolution, inputs, sizes.conv_dim, sizes.conv_kernel,
                                             sizes.conv_stride))

    def forward(self, sound: Tensor) -> Tensor:
        for layer in self.conv_layers:
            sound = layer(sound)
        return sound


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride)
        self.layer_norm = nn.LayerNorm(outputs)
        _normal(self.conv.weight, math.sqrt(2 / (inputs * kernel)))
        _uniform(self.conv.bias, 1 / (inputs * kernel))

    def forward(self, sound: Tensor) -> Tensor:
        return functional.gelu(self.layer_norm(self.conv(sound).transpose(1, 2)).transpose(1, 2))


class _Projection(nn.Module):
    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(sizes.conv_dim[-1])
        self.projection = nn.Linear(sizes.conv_dim[-1], sizes.hidden_size)
        self.dropout = nn.Dropout(sizes.dropout)
        for parameter in self.projection.parameters():
            _uniform(parameter, 1 / sizes.conv_dim[-1])

    def forward(self, frames: Tensor) -> Tensor:
        return self.dropout(self.projection(self.layer_norm(frames)))


class _Encoder(nn.Module):
    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        self.pos_conv_embed = _Positions(sizes)
        self.dropout = nn.Dropout(sizes.dropout)
        self.layers = nn.ModuleList(_Layer(sizes) for _ in range(sizes.num_hidden_layers))
        self.layer_norm = nn.LayerNorm(sizes.hidden_size)

    def forward(self, states: Tensor, inside: Tensor | None, keep: bool) -> Wav2VecStates:
        if inside is not None:
            states = states * inside[:, :, None]
        states = self.dropout(states + self.pos_conv_embed(states))
        mask = None if inside is None else inside[:, None, None, :]
        kept = []
        for layer in self.layers:
            if keep:
                kept.append(states)
            states = layer(states, mask)
        states = self.layer_norm(states)
        return Wav2VecStates(states, (*kept, states) if keep else ())


class _Positions(nn.Module):
    """Positional embedding by convolution: a frame learns where it stands from the frames around it.

    The kernel is kept as a direction and a magnitude at each of its time steps (weight norm).
    """

    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        kernel, hidden = sizes.num_conv_pos_embeddings, sizes.hidden_size
        self.groups, self.padding = sizes.num_conv_pos_embedding_groups, kernel // 2
        self.direction = nn.Parameter(nn.Conv1d(hidden, hidden, kernel, groups=self.groups).weight.detach())
        self.magnitude = nn.Parameter(torch.empty(1, 1, kernel))
        self.bias = nn.Parameter(torch.zeros(hidden))
        if not self.direction.is_meta:
            self.magnitude.data.copy_(self._length())

    def _length(self) -> Tensor:
        return self.direction.square().sum((0, 1), keepdim=True).sqrt()

    def forward(self, states: Tensor) -> Tensor:
        kernel = self.direction * (self.magnitude / self._length())
        positions = functional.conv1d(states.transpose(1, 2), kernel, self.bias, padding=self.padding,
                                      groups=self.groups)
        return functional.gelu(positions[:, :, :states.shape[1]]).transpose(1, 2)


class _Layer(nn.Module):
    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        self.attention = _Attention(sizes)
        self.dropout = nn.Dropout(sizes.dropout)
        self.layer_norm = nn.LayerNorm(sizes.hidden_size)
        self.feed_forward = _FeedForward(sizes)
        self.final_layer_norm = nn.LayerNorm(sizes.hidden_size)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        states = states + self.dropout(self.attention(self.layer_norm(states), mask))
        return states + self.feed_forward(self.final_layer_norm(states))


class _Attention(nn.Module):
    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        if sizes.hidden_size % sizes.num_attention_heads:
            raise ValueError("hidden_size is no multiple of num_attention_heads")
        self.heads, self.dropout = sizes.num_attention_heads, sizes.dropout
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            _linear(sizes.hidden_size, sizes.hidden_size) for _ in range(4))

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (part(states).unflatten(2, (self.heads, -1)).transpose(1, 2)
                             for part in (self.q_proj, self.k_proj, self.v_proj))
        mixed = functional.scaled_dot_product_attention(query, key, value, mask,
                                                        self.dropout if self.training else 0.0)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, sizes: Wav2VecSizes) -> None:
        super().__init__()
        self.intermediate_dropout = nn.Dropout(sizes.dropout)
        self.intermediate_dense = _linear(sizes.hidden_size, sizes.intermediate_size)
        self.output_dense = _linear(sizes.intermediate_size, sizes.hidden_size)
        self.output_dropout = nn.Dropout(sizes.dropout)

    def forward(self, states: Tensor) -> Tensor:
        wide = self.intermediate_dropout(functional.gelu(self.intermediate_dense(states)))
        return self.output_dropout(self.output_dense(wide))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    _normal(layer.weight, _SPREAD)
    nn.init.zeros_(layer.bias)
    return layer


def _normal(parameter: Tensor, deviation: float) -> None:
    if not parameter.is_meta:   # where no memory is, torch would load its compiler to draw nothing
        nn.init.normal_(parameter, std=deviation)


def _uniform(parameter: Tensor | None, variance: float) -> None:
    if parameter is not None:
        nn.init.uniform_(parameter, -math.sqrt(variance), math.sqrt(variance))
