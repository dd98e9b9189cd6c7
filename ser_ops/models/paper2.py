"""The three convolutional and recurrent networks of paper 2 (section III-C): CNN, LSTM and the hybrid CNN-LSTM.

All read the stacked features. The hybrid is the one that the paper explains with Grad-CAM.
"""

import torch
from torch import Tensor, nn

from ser_ops.config.models import Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.features.index_map import channels_of, shape_of
from ser_ops.features.standardise import Standardisation
from ser_ops.models.base import EmotionModel, Standardise


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
        last_frames = (frames - self.KERNEL + 1) // self.POOL - self.KERNEL + 1
        if last_frames < 1:
            raise UserError(f"params.yaml and preset: stacked: {frames} frames are too few for the CNN's two "
                            "convolutions: lengthen stacked.seconds or shorten stacked.hop")
        first, second = self.FILTERS
        self.convolutions = nn.Sequential(
            nn.Conv1d(channels, first, self.KERNEL), nn.ReLU(), nn.MaxPool1d(self.POOL),
            nn.Conv1d(first, second, self.KERNEL), nn.ReLU())
        wide, narrow = self.DENSE
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(second * last_frames, wide), nn.ReLU(), nn.Dropout(self.DROPOUT),
            nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(self.DROPOUT), nn.Linear(narrow, len(EMOTIONS)))

    def cam_layer(self) -> nn.Module:
        """The second convolution after its ReLU: maps (B, 32, T')."""
        return self.convolutions[-1]

    def logits(self, features: Tensor) -> Tensor:
        return self.dense(self.convolutions(features))


class Recurrent(nn.LSTM):
    """One LSTM layer over time: (B, T, inputs) to the outputs of all frames, (B, T, units).

    Starts as Keras starts its layer, which the paper used: Glorot uniform for the input's weights, orthogonal ones for
    the state's, biases 0 but the forget gate's 1, so that a fresh layer remembers. PyTorch has two bias vectors where
    Keras has one: 4 * units more parameters, of which the second begins at 0; what can be computed is the same.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units, batch_first=True)

    def reset_parameters(self) -> None:
        units = self.hidden_size
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(parameter)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                else:
                    nn.init.zeros_(parameter)
                    if name.startswith("bias_ih"):      # gates in PyTorch's order: input, forget, cell, output
                        parameter[units:2 * units] = 1.0

    def forward(self, frames: Tensor) -> Tensor:  # type: ignore[override]
        if frames.is_cuda and torch.is_grad_enabled() and not self.training:
            with torch.backends.cudnn.flags(enabled=False):     # cuDNN has no gradient outside training
                return super().forward(frames)[0]
        return super().forward(frames)[0]


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
            raise UserError(f"params.yaml and preset: stacked: {frames} frames are too few for the CNN-LSTM's "
                            "convolution: lengthen stacked.seconds or shorten stacked.hop")
        self.convolution = nn.Sequential(nn.Conv1d(channels, self.FILTERS, self.KERNEL), nn.ReLU())
        self.shorten = nn.Sequential(nn.MaxPool1d(self.POOL), nn.Dropout(self.DROPOUT))
        self.recurrent = Recurrent(self.FILTERS, self.UNITS)
        self.dense = nn.Linear(self.UNITS, len(EMOTIONS))

    def cam_layer(self) -> nn.Module:
        """The convolution after its ReLU: maps (B, 64, T')."""
        return self.convolution[-1]

    def logits(self, features: Tensor) -> Tensor:
        return self.dense(self.recurrent(self.shorten(self.convolution(features)).transpose(1, 2))[:, -1])
