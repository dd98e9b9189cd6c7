"""Row A of table VI: the spectral stream alone."""

from torch import Tensor

from ser_ops.config import Preset
from ser_ops.models.base import EmotionModel
from ser_ops.models.members import Members
from ser_ops.models.spectral_branch import spectral_branch
from ser_ops.models.standardise import Standardisation


class SpectralModel(EmotionModel):
    """Features to logits; the waveform is ignored."""

    name = "spectral"

    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset)
        self.spectral = spectral_branch(preset, standardisation)
        self.head = Members(preset.spectral.members, preset.spectral.embedding, preset.head)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(self.spectral(features))
