"""Row C of table VI: both streams, mean pooling, simple concatenation."""

import torch
from torch import Tensor

from ser_ops.config import Preset
from ser_ops.models.backbone import Backbone
from ser_ops.models.base import EmotionModel
from ser_ops.models.members import Members
from ser_ops.models.pooling import MeanPooling
from ser_ops.models.spectral_branch import spectral_branch
from ser_ops.models.standardise import Standardisation


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
