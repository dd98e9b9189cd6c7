"""Several heads that answer together: an ensemble inside one model.

Features at mean 0 and deviation 1 of the training rows, channel by channel.

From the states of valid frames to one vector.

The classifier on top (equation 23 of paper 1).

The LSTM layer of paper 2's networks.

Which layers of a pretrained backbone serve the task is learned, not chosen.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config import Features, Head, Window
from ser_ops.emotions import EMOTIONS
from ser_ops.features.index_map import channels_of, frames_of, shape_of

Standardisation = Mapping[str, Sequence[float]]


class Standardise(nn.Module):
    """Each channel of the features (ZCR, each MFCC, each row of paper 2's stack) to mean 0 and deviation 1.

    Takes features float32 (B, *shape_of(settings)), either layout, and gives the same shape back. The means and
    deviations, channels_of(settings) of each, are buffers: they travel with the weights. Without any, features pass
    unchanged. Raises ValueError for another number of values.
    """

    mean: Tensor
    std: Tensor
    applied = False     # to what comes in, already: see `ahead`

    def __init__(self, settings: Window, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.frames, self.shape = frames_of(settings), shape_of(settings)
        self.serial = isinstance(settings, Features) and settings.layout == "serial"
        channels = channels_of(settings)
        values = standardisation or {"mean": [0.0] * channels, "std": [1.0] * channels}
        for name in ("mean", "std"):
            buffer = torch.tensor(values[name], dtype=torch.float32)
            if buffer.shape != (channels,):
                raise ValueError(f"standardisation: {name} has {len(values[name])} values, not {channels}")
            self.register_buffer(name, buffer)

    def spread(self, values: Tensor) -> Tensor:
        """One value per channel, (..., C), laid over the features: (..., C, 1), or (..., L) in the serial layout."""
        if not self.serial:
            return values[..., None]
        ones = [1] * (values.ndim - 1)
        return torch.cat([values[..., :2].repeat_interleave(self.frames, dim=-1),
                          values[..., 2:].repeat(*ones, self.frames)], dim=-1)

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each value of one example's features, float32 of their shape."""
        mean, std = (self.spread(one).expand(self.shape).cpu().contiguous().numpy() for one in (self.mean, self.std))
        return mean, std

    def forward(self, features: Tensor) -> Tensor:
        if self.applied:
            return features
        return (features - self.spread(self.mean)) / self.spread(self.std)


@contextmanager
def ahead(model: nn.Module) -> Iterator[Standardise | None]:
    """Meanwhile the model takes features that its `Standardise`, which this gives, was applied to already.

    For who reads features again and again: while one example lies in the processor's cache it costs next to nothing,
    for a whole batch it costs a small network a tenth of its time. None for a model without.
    """
    found = next((one for one in model.modules() if isinstance(one, Standardise)), None)
    if found is None:
        yield None
        return
    found.applied = True
    try:
        yield found
    finally:
        found.applied = False


class MeanPooling(nn.Module):
    """The mean over valid frames: states (B, T, H) and valid (B, T) bool to (B, H)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()

    def weights(self, states: Tensor, valid: Tensor) -> Tensor:
        """The weight of each frame, (B, T), adding up to 1 over valid frames, 0 elsewhere."""
        return valid.to(states.dtype) / valid.sum(1, keepdim=True)

    def forward(self, states: Tensor, valid: Tensor) -> Tensor:
        return torch.einsum("bt,bth->bh", self.weights(states, valid).to(states.dtype), states)


class AttentivePooling(MeanPooling):
    """A learned weight for each frame: e_t = w^T tanh(W h_t + b), softmax over valid frames (equations 20 and 21)."""

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden)
        self.project = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def weights(self, states: Tensor, valid: Tensor) -> Tensor:
        """The weight of each frame, (B, T), adding up to 1 over valid frames, 0 elsewhere."""
        scores = self.score(torch.tanh(self.project(states)))[..., 0]
        return scores.float().masked_fill(~valid, -torch.inf).softmax(1)


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time under learned weights (Okabe et al. 2018): values (B, C, T) to (B, 2 C)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv1d(channels, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, 1, 1))

    def weights(self, values: Tensor) -> Tensor:
        """The weight of each frame, (B, 1, T), adding up to 1."""
        scores = self.score(values)
        return scores.to(torch.promote_types(scores.dtype, torch.float32)).softmax(-1)

    def forward(self, values: Tensor) -> Tensor:
        weights = self.weights(values)
        values = values.to(weights.dtype)
        mean = (weights * values).sum(-1)
        deviation = ((weights * values.square()).sum(-1) - mean.square()).clamp_min(1e-5).sqrt()
        return torch.cat([mean, deviation], dim=1)


def head(inputs: int, settings: Head) -> nn.Sequential:
    """Linear, ReLU, dropout, Linear: (B, inputs) to logits (B, 7)."""
    return nn.Sequential(nn.Linear(inputs, settings.hidden), nn.ReLU(), nn.Dropout(settings.dropout),
                         nn.Linear(settings.hidden, len(EMOTIONS)))


class Recurrent(nn.LSTM):
    """One LSTM layer over time: (B, T, inputs) to the outputs of all frames, (B, T, units).

    Starts as Keras starts its layer, which the paper used: Glorot uniform for the input's weights, orthogonal ones for
    the state's, biases 0 but the forget gate's 1, so that a fresh layer remembers. PyTorch has two bias vectors where
    Keras has one: 4 * units more parameters, of which the second begins at 0; what can be computed is the same.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units, batch_first=True)

    def reset_parameters(self) -> None:
        units = self.hidden_size
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(parameter)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                else:
                    nn.init.zeros_(parameter)
                    if name.startswith("bias_ih"):      # gates in PyTorch's order: input, forget, cell, output
                        parameter[units:2 * units] = 1.0

    def forward(self, frames: Tensor) -> Tensor:  # type: ignore[override]
        if frames.is_cuda and torch.is_grad_enabled() and not self.training:
            with torch.backends.cudnn.flags(enabled=False):     # cuDNN has no gradient outside training
                return super().forward(frames)[0]
        return super().forward(frames)[0]


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


class Members(nn.Module):
    """A head for each member: embeddings (B, K, inputs) to logits.

    In training (B, K, 7), each member's own, for its own loss (`separate`); in evaluation (B, 7), the logarithm of the
    mean of their probabilities (Lakshminarayanan et al. 2017), divided by `temperature`. One member's logits are (B, 7)
    in either case, and in evaluation divided alike.
    """

    temperature: Tensor

    def __init__(self, number: int, inputs: int, settings: Head) -> None:
        super().__init__()
        self.heads = nn.ModuleList(head(inputs, settings) for _ in range(number))
        self.register_buffer("temperature", torch.ones(()))

    def each(self, embeddings: Tensor) -> Tensor:
        """Every member's own logits, (B, K, 7)."""
        return torch.stack([one(own) for one, own in zip(self.heads, embeddings.unbind(1), strict=True)], dim=1)

    def forward(self, embeddings: Tensor) -> Tensor:
        logits = self.each(embeddings)
        if self.training:
            return logits[:, 0] if len(self.heads) == 1 else logits
        return mean_answer(logits) / self.temperature


def mean_answer(logits: Tensor) -> Tensor:
    """Log of the mean probabilities of members' logits (B, K, 7): (B, 7). One member's logits stay as they are.

    >>> mean_answer(torch.tensor([[[0.8, 0.2], [0.4, 0.6]]]).log()).exp()
    tensor([[0.6000, 0.4000]])
    """
    if logits.shape[1] == 1:
        return logits[:, 0]
    return logits.log_softmax(2).logsumexp(1) - math.log(logits.shape[1])


def separate(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Members' logits (B, K, 7) and labels (B,) as examples of their own, (B K, 7) and (B K,); (B, 7) stays."""
    if logits.ndim == 2:
        return logits, labels
    return logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1])
