"""What replaces an absent part of the input: training utterances, as features and as Wav2Vec 2.0 contexts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ser_ops.config.models import Features
from ser_ops.dataset.examples import Batch
from ser_ops.explain.clip import Clip
from ser_ops.explain.subject import Subject
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import shape_of


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

    @classmethod
    def of_card(cls, subject: Subject, clip: Clip) -> "Background":
        """One row, where no training data are at hand: what the model's card keeps of them.

        The features are the mean by which the model standardises them, alike in every frame, or those of silence where
        it does not; the context is that of silence as long as the clip.
        """
        silence = torch.zeros_like(clip.batch.waveform)
        with torch.no_grad():
            context = subject.model.context(silence, clip.batch.valid)
            if subject.standardisation is None:
                features, words = Extractor(subject.features, subject.sample_rate)(silence), "the features of silence"
            else:
                features, words = _mean(subject)[None], ("the mean of the training features, alike in every frame, "
                                                         "which is all that the model's card keeps of them")
        if context.shape[1]:
            words += ", and silence in the place of the waveform"
        return cls(features, context, words)


def _mean(subject: Subject) -> Tensor:
    if isinstance(subject.features, Features):
        return subject.baseline()
    mean = torch.tensor((subject.standardisation or {})["mean"], device=subject.device)
    return mean[:, None].expand(shape_of(subject.features)).contiguous()
