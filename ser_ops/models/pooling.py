"""From the states of valid frames to one vector."""

import torch
from torch import Tensor, nn


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
