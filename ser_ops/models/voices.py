"""A voice that a model knows: where its clips lie on average in what the pretrained stream makes of speech.

People differ in that stream by who they are, more than by what they feel. Of a voice that was heard before, without any
label, the difference between its mean and the mean of the training speakers is taken out before the classifiers look;
with few clips only a share of it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Voice:
    """The mean, (H,) float32, of what a model's pretrained stream made of so many clips of one speaker."""

    clips: int
    mean: Tensor

    def with_clip(self, context: Tensor) -> "Voice":
        """The same with one more clip, given by what the stream made of it, (H,).

        >>> Voice(1, torch.tensor([1.0])).with_clip(torch.tensor([4.0])).with_clip(torch.tensor([1.0])).mean
        tensor([2.])
        """
        return Voice(self.clips + 1, self.mean + (context - self.mean) / (self.clips + 1))


class Population(nn.Module):
    """The mean of the training speakers' means, (H,), onto which a known voice is moved.

    `prior`: the number of clips with which the training speakers speak for a voice that nobody has heard, so that a
    voice known from as many clips is moved half of the way (shrinkage, James and Stein 1961).
    """

    mean: Tensor

    def __init__(self, hidden: int, prior: float) -> None:
        super().__init__()
        self.prior = prior
        self.register_buffer("mean", torch.zeros(hidden))

    def forward(self, context: Tensor, means: Tensor, clips: Tensor) -> Tensor:
        """Context (B, H) of speakers whose voices have these means (B, H), from so many clips (B,); 0: as it is.

        >>> Population(1, prior=4.0)(torch.tensor([[3.0]]), torch.tensor([[2.0]]), torch.tensor([4.0]))
        tensor([[2.]])
        """
        share = clips / (clips + self.prior)
        return context + share[:, None] * (self.mean - means)


def population_of(model: nn.Module) -> Population | None:
    """What a model needs to make use of a known voice, None for a model that cannot."""
    return next((part for part in model.modules() if isinstance(part, Population)), None)

