"""The CNN of paper 2 (section III-C)."""

from torch import Tensor, nn

from ser_ops.config import Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.stacked_network import StackedNetwork
from ser_ops.models.standardise import Standardisation


class CNNModel(StackedNetwork):
    """Conv1D 32 (kernel 3), max pooling 2, Conv1D 32 (kernel 3), flatten, dense 128, dropout 0.2, dense 64,
    dropout 0.2, dense 7; ReLU after each but the last.

    The paper names the second convolution last in its sentence, and its table 1 puts the flatten layer before the
    dropout: the second convolution stands before it here, where a convolution still has a time axis. Left open, and
    decided: ReLU after both convolutions and after the dense layer of 64 (the paper gives it to the dense layer of
    128 alone); no padding, stride of the pooling equal to its size (both what Keras does when nothing is said).
    """

    name = "cnn"
    FILTERS = (32, 32)
    KERNEL = 3
    POOL = 2
    DENSE = (128, 64)
    DROPOUT = 0.2

    def __init__(self, preset: Preset, standardisation: Standardisation | None = None) -> None:
        super().__init__(preset, standardisation)
        channels, frames = shape_of(preset.stacked)
        left = (frames - self.KERNEL + 1) // self.POOL - self.KERNEL + 1
        if left < 1:
            raise UserError(f"params.yaml: stacked: {frames} frames are too few for the CNN's two convolutions: "
                            "lengthen stacked.seconds or shorten stacked.hop")
        first, second = self.FILTERS
        self.convolutions = nn.Sequential(
            nn.Conv1d(channels, first, self.KERNEL), nn.ReLU(), nn.MaxPool1d(self.POOL),
            nn.Conv1d(first, second, self.KERNEL), nn.ReLU())
        wide, narrow = self.DENSE
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(second * left, wide), nn.ReLU(), nn.Dropout(self.DROPOUT),
            nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(self.DROPOUT), nn.Linear(narrow, len(EMOTIONS)))

    def camera(self) -> nn.Module:
        """The second convolution after its ReLU: maps (B, 32, T')."""
        return self.convolutions[-1]

    def logits(self, features: Tensor) -> Tensor:
        return self.dense(self.convolutions(features))
