"""The LSTM layer of paper 2's networks."""

import torch
from torch import Tensor, nn


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
