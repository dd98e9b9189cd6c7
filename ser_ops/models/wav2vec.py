"""Row B of table VI: the Wav2Vec 2.0 stream alone."""

from torch import Tensor

from ser_ops.config import Preset
from ser_ops.models.backbone import Backbone
from ser_ops.models.base import EmotionModel
from ser_ops.models.head import head
from ser_ops.models.pooling import MeanPooling


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
