"""Whisper's encoder (Radford and others, 2022) over the window alone, as a plain torch module.

The published encoder insists on 30 s: what a window lacks is filled with silence, over which it attends and for which
it pays. Here only the valid samples are encoded: positions are cut, and frames of padding are seen by no other frame,
so that an utterance gets the same states however far it is padded. Over 30 s the states are the published ones.
Names of weights are those of the transformers library's `WhisperEncoder`, to which tests hold them.
"""

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from ser_ops.features.descriptors import mel_filters

MODEL_TYPE = "whisper-encoder"
SAMPLE_RATE = 16000
_FFT, HOP = 400, 160            # samples of a frame and between frames, as Whisper was trained
_DECADES = 8.0                  # the log-mel picture reaches so far below its loudest cell
_FLOOR = 1e-10
_STRIDE = 2                     # of the second convolution, mel frames to a state


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WhisperSizes:
    """Sizes of an encoder, and how many of its layers are computed."""

    hidden_size: int
    num_hidden_layers: int          # of those computed: layers above are neither built nor loaded
    published_layers: int           # only the last of these is followed by the final norm
    num_attention_heads: int
    intermediate_size: int
    mel_bins: int
    positions: int                  # the most states that an utterance may have
    dropout: float
    input_levelled: bool
    model_type: str = MODEL_TYPE
    input_normalised: bool = False
    input_masked: bool = True
    input_gain: float = 1.0

    @property
    def longest(self) -> int:
        """Samples that have a position: 480,000 for the published encoders, 30 s."""
        return self.positions * _STRIDE * HOP

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return dict(sorted(asdict(self).items()))


class WhisperStates(NamedTuple):
    """Float (B, T, H): what came out last; what went into each layer and what came out, () where not asked for."""

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...]


class WhisperEncoder(nn.Module):
    """Waveforms (B, N), 16 kHz, to states (B, T, H), one each 20 ms.

    attention_mask: (B, any), the sum of each row is how many samples of it are valid; states beyond them are zero.
    None: all are valid. Raises ValueError for a waveform that is longer than the encoder has positions.
    """

    mel: Tensor
    hann: Tensor

    def __init__(self, sizes: WhisperSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.hidden_size
        self.conv1 = nn.Conv1d(sizes.mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=_STRIDE, padding=1)
        self.embed_positions = nn.Embedding(sizes.positions, width)
        self.layers = nn.ModuleList(_Layer(sizes) for _ in range(sizes.num_hidden_layers))
        whole = sizes.num_hidden_layers == sizes.published_layers
        self.layer_norm = nn.LayerNorm(width) if whole else None
        self.dropout = nn.Dropout(sizes.dropout)
        filters = mel_filters(SAMPLE_RATE, _FFT, sizes.mel_bins).astype(np.float32)
        self.register_buffer("mel", torch.from_numpy(filters), persistent=False)
        self.register_buffer("hann", torch.hann_window(_FFT), persistent=False)

    def forward(self, waveform: Tensor, attention_mask: Tensor | None = None,
                output_hidden_states: bool = False) -> WhisperStates:
        if waveform.shape[1] > self.sizes.longest:
            raise ValueError(f"{waveform.shape[1]} samples: the encoder has positions for {self.sizes.longest}")
        valid = torch.full((len(waveform),), waveform.shape[1], device=waveform.device) if attention_mask is None \
            else attention_mask.sum(1)
        picture = self.log_mel(waveform, valid)
        inside = _inside(picture.shape[2], mel_frames(valid))
        states = functional.gelu(self.conv1(picture)) * inside[:, None]
        states = functional.gelu(self.conv2(states)).transpose(1, 2)
        inside = _inside(states.shape[1], frames(valid))
        states = self.dropout(states + self.embed_positions.weight[: states.shape[1]])
        seen = None if attention_mask is None else inside[:, None, None]
        earlier = []
        for layer in self.layers:
            earlier.append(states)
            states = layer(states, seen)
        if self.layer_norm is not None:
            states = self.layer_norm(states)
        outside = ~inside[..., None]
        states = states.masked_fill(outside, 0.0)
        every = (*(state.masked_fill(outside, 0.0) for state in earlier), states) if output_hidden_states else ()
        return WhisperStates(states, every)

    def log_mel(self, waveform: Tensor, valid: Tensor) -> Tensor:
        """Whisper's log-mel picture of the valid samples alone: (B, mel_bins, frames), 0 where there are none.

        Frames of 25 ms each 10 ms; the end is mirrored where the valid samples end, not where the padding does.
        """
        waveform = functional.pad(waveform, (0, max(0, HOP - waveform.shape[1])))
        position = torch.arange(-_FFT // 2, waveform.shape[1] + _FFT // 2, device=waveform.device).abs()
        last = valid[:, None] - 1
        mirrored = torch.where(position > last, 2 * last - position, position)
        sound = waveform.gather(1, mirrored.clamp(0, waveform.shape[1] - 1)).masked_fill(mirrored < 0, 0.0)
        spectrum = torch.stft(sound, _FFT, HOP, window=self.hann, center=False, return_complex=True)
        power = spectrum[..., :-1].abs().square()
        levels = (self.mel @ power).clamp_min(_FLOOR).log10()
        inside = _inside(levels.shape[2], mel_frames(valid))[:, None]
        loudest = levels.masked_fill(~inside, -torch.inf).amax((1, 2), keepdim=True)
        return ((torch.maximum(levels, loudest - _DECADES) + 4) / 4) * inside


class _Layer(nn.Module):
    def __init__(self, sizes: WhisperSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.self_attn = _Attention(width, sizes.num_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, sizes.intermediate_size)
        self.fc2 = nn.Linear(sizes.intermediate_size, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        states = states + self.dropout(self.self_attn(self.self_attn_layer_norm(states), seen))
        return states + self.dropout(self.fc2(functional.gelu(self.fc1(self.final_layer_norm(states)))))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(3))
        self.k_proj = nn.Linear(width, width, bias=False)

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        query, key, value = (project(states).unflatten(2, (self.heads, -1)).transpose(1, 2)
                             for project in (self.q_proj, self.k_proj, self.v_proj))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def mel_frames(samples: Tensor) -> Tensor:
    """How many mel frames so many samples give, at least 1."""
    return torch.div(samples, HOP, rounding_mode="floor").clamp_min(1)


def frames(samples: Tensor) -> Tensor:
    """How many states so many samples give, at least 1."""
    return torch.div(mel_frames(samples) + _STRIDE - 1, _STRIDE, rounding_mode="floor")


def _inside(length: int, number: Tensor) -> Tensor:
    """Which of `length` frames are the first `number` (B,): bool (B, length)."""
    return torch.arange(length, device=number.device) < number[:, None]
