"""What an absent part of the input is replaced by: training utterances, as features and as Wav2Vec 2.0 contexts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ser_ops.dataset import Batch
from ser_ops.explain.subject import Subject


@dataclass(frozen=True)
class Background:
    """Utterances to compare with: features float32 (b, *shape_of(subject.features)), not standardised; context (b, H).

    H is 0 for a model without a waveform stream. words: what the rows are, for captions.
    """

    features: Tensor
    context: Tensor
    words: str

    @classmethod
    def of(cls, subject: Subject, batch: Batch, batch_size: int, words: str) -> "Background":
        """From utterances as the model takes them."""
        with torch.no_grad():
            contexts = [subject.model.context(batch.waveform[first:first + batch_size].to(subject.device),
                                              batch.valid[first:first + batch_size].to(subject.device))
                        for first in range(0, len(batch), batch_size)]
        return cls(batch.features.to(subject.device), torch.cat(contexts), words)
