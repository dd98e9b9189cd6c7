"""What the CNN, LSTM and CNN-LSTM of paper 2 have in common."""

from torch import Tensor

from ser_ops.config import Preset
from ser_ops.models.base import EmotionModel
from ser_ops.models.standardise import Standardisation, Standardise


class StackedNetwork(EmotionModel):
    """Paper 2's stacked features, float32 (B, 187, T), standardised per channel, to logits (B, 7).

    The waveform is ignored. Short utterances are zero padded at the end of the window, and the padded frames are
    features like any other: as in the paper nothing masks them.
    """


    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset)
        self.standardise = Standardise(preset.stacked, standardisation)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.logits(self.standardise(features))

    def logits(self, features: Tensor) -> Tensor:
        """Logits (B, 7) of standardised features (B, 187, T)."""
        raise NotImplementedError
