"""The hybrid CNN-LSTM of paper 2 (section III-C), the model that it explains with Grad-CAM."""

from torch import Tensor, nn

from ser_ops.config import Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.recurrent import Recurrent
from ser_ops.models.stacked_network import StackedNetwork
from ser_ops.models.standardise import Standardisation


class CNNLSTMModel(StackedNetwork):
    """Conv1D 64 (kernel 3) with ReLU, max pooling 2, dropout 0.2, LSTM 128 of which the last output counts, dense 7.

    The order is that of the paper's table 1; its text names the LSTM before the pooling, which would leave "return
    sequences false" nothing to pool. Left open, and decided: no padding, stride of the pooling equal to its size (both
    what Keras does when nothing is said); how the LSTM starts, see Recurrent. The last output is that of the window's
    last frame, which of a short utterance is padding, as in the paper.
    """

    name = "cnn_lstm"
    FILTERS = 64
    KERNEL = 3
    POOL = 2
    DROPOUT = 0.2
    UNITS = 128

    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset, standardisation)
        channels, frames = shape_of(preset.stacked)
        if frames < self.KERNEL + self.POOL - 1:
            raise UserError(f"params.yaml: stacked: {frames} frames are too few for the CNN-LSTM's convolution: "
                            "lengthen stacked.seconds or shorten stacked.hop")
        self.convolution = nn.Sequential(nn.Conv1d(channels, self.FILTERS, self.KERNEL), nn.ReLU())
        self.shorten = nn.Sequential(nn.MaxPool1d(self.POOL), nn.Dropout(self.DROPOUT))
        self.recurrent = Recurrent(self.FILTERS, self.UNITS)
        self.dense = nn.Linear(self.UNITS, len(EMOTIONS))

    def camera(self) -> nn.Module:
        """The convolution after its ReLU: maps (B, 64, T')."""
        return self.convolution[-1]

    def logits(self, features: Tensor) -> Tensor:
        return self.dense(self.recurrent(self.shorten(self.convolution(features)).transpose(1, 2))[:, -1])
