"""Several heads that answer together: an ensemble inside one model."""

import math

import torch
from torch import Tensor, nn

from ser_ops.config import Head
from ser_ops.models.head import head


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
