"""The LSTM of paper 2 (section III-C)."""

from torch import Tensor, nn

from ser_ops.config import Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.features.index_map import channels_of
from ser_ops.models.recurrent import Recurrent
from ser_ops.models.stacked_network import StackedNetwork
from ser_ops.models.standardise import Standardisation


class LSTMModel(StackedNetwork):
    """LSTM 128 returning sequences, LSTM 64 of which the last output counts, dense 64 with ReLU, dropout 0.3, dense 7.

    The last output is that of the window's last frame, which of a short utterance is padding: so it is in the paper,
    whose recordings are cut or padded to one length. The paper leaves open how the layers start: see Recurrent.
    """

    name = "lstm"
    UNITS = (128, 64)
    DENSE = 64
    DROPOUT = 0.3

    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset, standardisation)
        first, second = self.UNITS
        self.recurrent = nn.Sequential(Recurrent(channels_of(preset.stacked), first), Recurrent(first, second))
        self.dense = nn.Sequential(nn.Linear(second, self.DENSE), nn.ReLU(), nn.Dropout(self.DROPOUT),
                                   nn.Linear(self.DENSE, len(EMOTIONS)))

    def logits(self, features: Tensor) -> Tensor:
        return self.dense(self.recurrent(features.transpose(1, 2))[:, -1])
