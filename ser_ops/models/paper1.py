"""The four models of paper 1 (section III-E, table VI): both streams, alone and fused.

Row A is the spectral stream alone, B the Wav2Vec 2.0 stream alone, C both with mean pooling and concatenation, D both
with attentive temporal pooling: the model that the paper proposes. The streams stand in `spectral_streams` and
`wav2vec_backbone`; what follows them stands here.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ser_ops.config.models import Head, Preset, Wav2Vec
from ser_ops.emotions import EMOTIONS
from ser_ops.features.standardise import Standardisation
from ser_ops.models.base import EmotionModel
from ser_ops.models.spectral_streams import spectral_branch
from ser_ops.models.voices import Population
from ser_ops.models.wav2vec_backbone import Backbone


class ContextEmbedding(nn.Module):
    """What each member's classifier reads of the context (B, H): (B, members, `size`).

    Of statistics over time an embedding of its own: BatchNorm, dropout, Linear, ReLU, BatchNorm, dropout. Of pooled
    states the states, the same for all members (equation 22).
    """

    def __init__(self, members: int, hidden: int, settings: Wav2Vec) -> None:
        super().__init__()
        self.members, self.size = members, hidden
        self.embed: nn.ModuleList | None = None
        if settings.states == "statistics":
            self.size = settings.embedding
            self.embed = nn.ModuleList(nn.Sequential(
                nn.BatchNorm1d(hidden), nn.Dropout(settings.statistics_dropout), nn.Linear(hidden, self.size),
                nn.ReLU(), nn.BatchNorm1d(self.size), nn.Dropout(settings.statistics_dropout))
                for _ in range(members))

    def forward(self, context: Tensor) -> Tensor:
        if self.embed is None:
            return context[:, None].expand(-1, self.members, -1)
        return torch.stack([embed(context) for embed in self.embed], dim=1)


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


def head(inputs: int, settings: Head) -> nn.Sequential:
    """The classifier (equation 23): Linear, ReLU, dropout, Linear; (B, inputs) to logits (B, 7)."""
    return nn.Sequential(nn.Linear(inputs, settings.hidden), nn.ReLU(), nn.Dropout(settings.dropout),
                         nn.Linear(settings.hidden, len(EMOTIONS)))


class Members(nn.Module):
    """An ensemble inside one model, a head for each of K members: embeddings, (B, inputs[k]) of member k, to logits.

    In training (B, K, 7), each member's own, for its own loss (`base.member_examples`); in evaluation (B, 7), the
    logarithm of the mean of their probabilities (Lakshminarayanan et al. 2017), divided by `temperature`. One member's
    logits are (B, 7) in either case, and in evaluation divided alike.
    """

    temperature: Tensor

    def __init__(self, inputs: Sequence[int], settings: Head) -> None:
        super().__init__()
        self.heads = nn.ModuleList(head(size, settings) for size in inputs)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, embeddings: Sequence[Tensor]) -> Tensor:
        logits = torch.stack([member(embedding) for member, embedding
                              in zip(self.heads, embeddings, strict=True)], dim=1)
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


class LateFusion(nn.Module):
    """Members for each stream, and the answer of the streams together: embeddings by stream, (B, K, inputs), to logits.

    In training (B, streams x K, 7), for each member's own loss, so that neither stream leans on the other. In
    evaluation (B, 7), the sum of the streams' logarithmic probabilities by their `weights`, which
    `training.loop.calibrate` fits to validation answers. `alone`: the stream that answers by itself, None for all.
    """

    weights: Tensor
    alone: str | None = None

    def __init__(self, inputs: Mapping[str, Sequence[int]], settings: Head) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({stream: Members(sizes, settings) for stream, sizes in inputs.items()})
        self.register_buffer("weights", torch.full((len(inputs),), 1 / len(inputs)))

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        logits = {stream: members(embeddings[stream].unbind(1)) for stream, members in self.streams.items()}
        if self.training:
            return torch.cat([answer.flatten(1).unflatten(1, (-1, len(EMOTIONS))) for answer in logits.values()], dim=1)
        if self.alone is not None:
            return logits[self.alone]
        return torch.einsum("s,sbc->bc", self.weights, torch.stack(list(logits.values())).log_softmax(2))


class SpectralModel(EmotionModel):
    """Row A. Features to logits; the waveform is ignored."""

    name = "spectral"

    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset)
        self.spectral = spectral_branch(preset, standardisation)
        self.head = Members([preset.spectral.embedding] * preset.spectral.members, preset.head)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(self.spectral(features).unbind(1))

    def cam_layer(self) -> nn.Module:
        return self.spectral.last_convolution


class _WaveformModel(EmotionModel):
    """A model with the Wav2Vec 2.0 stream, pooled over valid frames, or with statistics over time in place of that."""

    backbone: Backbone
    Pooling: type[MeanPooling] = MeanPooling

    def __init__(self, preset: Preset, backbone: Backbone) -> None:
        super().__init__(preset)
        self.backbone = backbone
        self.pooling = (MeanPooling if backbone.statistics else self.Pooling)(backbone.hidden)
        self.members = preset.spectral.members
        self.embed = ContextEmbedding(self.members, backbone.hidden, preset.wav2vec)
        if backbone.statistics:
            self.population = Population(backbone.hidden, preset.wav2vec.voice_prior)

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        return self.pooling(*self.backbone(waveform, valid))

    @property
    def depends_on_padding(self) -> bool:
        return self.backbone.depends_on_padding


class Wav2VecModel(_WaveformModel):
    """Row B. Waveform to logits by the mean over valid frames; the features are ignored."""

    name = "wav2vec"

    def __init__(self, preset: Preset, backbone: Backbone) -> None:
        super().__init__(preset, backbone)
        self.head = Members([self.embed.size] * self.members, preset.head) if backbone.statistics else \
            head(backbone.hidden, preset.head)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(self.embed(context).unbind(1) if self.backbone.statistics else context)


class ConcatModel(_WaveformModel):
    """Row C. Waveform and features to logits by mean pooling and concatenation (equations 22 and 23)."""

    name = "concat"

    def __init__(self, preset: Preset, backbone: Backbone,
                 standardisation: Standardisation | None = None) -> None:
        super().__init__(preset, backbone)
        self.spectral = spectral_branch(preset, standardisation)
        self.head = Members([self.embed.size + preset.spectral.embedding] * self.members, preset.head)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(torch.cat([self.embed(context), self.spectral(features)], dim=2).unbind(1))

    def cam_layer(self) -> nn.Module:
        return self.spectral.last_convolution


class FusionModel(ConcatModel):
    """Row D. Waveform and features to logits by attentive temporal pooling (equations 20 to 23).

    Of statistics over time there is nothing left to pool. Each stream then has classifiers of its own and the answer
    is theirs together (`LateFusion`), where row C joins their embeddings.
    """

    name = "fusion"
    Pooling = AttentivePooling

    def __init__(self, preset: Preset, backbone: Backbone,
                 standardisation: Standardisation | None = None) -> None:
        super().__init__(preset, backbone, standardisation)
        self.late: LateFusion | None = None
        if backbone.statistics:
            del self.head
            sizes = {"wav2vec": self.embed.size, "spectral": preset.spectral.embedding}
            self.late = LateFusion({stream: [size] * self.members for stream, size in sizes.items()}, preset.head)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        if self.late is None:
            return super().classify(context, features)
        return self.late(self.embeddings(context, features))

    def embeddings(self, context: Tensor, features: Tensor) -> dict[str, Tensor]:
        """What each stream's members read, (B, members, inputs), by stream: `late` answers from it."""
        return {"wav2vec": self.embed(context), "spectral": self.spectral(features)}
