"""Row D of table VI: both streams with attentive temporal pooling, the proposed model.

Row A of table VI: the spectral stream alone.

Row B of table VI: the Wav2Vec 2.0 stream alone.

Row C of table VI: both streams, mean pooling, simple concatenation.
"""

import torch
from torch import Tensor

from ser_ops.config import Preset
from ser_ops.models.base import EmotionModel
from ser_ops.models.layers import AttentivePooling, MeanPooling, Members, Standardisation, head
from ser_ops.models.spectral_streams import spectral_branch
from ser_ops.models.wav2vec_backbone import Backbone


class SpectralModel(EmotionModel):
    """Features to logits; the waveform is ignored."""

    name = "spectral"

    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset)
        self.spectral = spectral_branch(preset, standardisation)
        self.head = Members(preset.spectral.members, preset.spectral.embedding, preset.head)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(self.spectral(features))


class Wav2VecModel(EmotionModel):
    """Waveform to logits by the mean over valid frames; the features are ignored."""

    name = "wav2vec"
    backbone: Backbone

    def __init__(self, preset: Preset, backbone: Backbone) -> None:
        super().__init__(preset)
        self.backbone = backbone
        self.pooling = MeanPooling(backbone.hidden)
        self.head = head(backbone.hidden, preset.head)

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        return self.pooling(*self.backbone(waveform, valid))

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(context)


class ConcatModel(EmotionModel):
    """Waveform and features to logits (equations 22 and 23)."""

    name = "concat"
    backbone: Backbone
    Pooling: type[MeanPooling] = MeanPooling

    def __init__(self, preset: Preset, backbone: Backbone,
                 standardisation: Standardisation | None = None) -> None:
        super().__init__(preset)
        self.backbone = backbone
        self.pooling = self.Pooling(backbone.hidden)
        self.spectral = spectral_branch(preset, standardisation)
        self.head = Members(preset.spectral.members, backbone.hidden + preset.spectral.embedding, preset.head)

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        return self.pooling(*self.backbone(waveform, valid))

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        own = self.spectral(features)
        return self.head(torch.cat([context[:, None].expand(-1, own.shape[1], -1), own], dim=2))


class FusionModel(ConcatModel):
    """Waveform and features to logits (equations 20 to 23)."""

    name = "fusion"
    Pooling = AttentivePooling
