"""One utterance's model with everything but the spectral features held: what the spectral stream is asked."""

import torch
from torch import Tensor, nn

from ser_ops.models.base import EmotionModel


class Held(nn.Module):
    """Features of shape (b, ...) in, logits (b, classes) out, the waveform's context computed once.

    The model is set to evaluation: no dropout, fixed batch statistics. `context`, (1, H), is what it makes of the
    waveform, for whoever has that already.
    """

    def __init__(self, model: EmotionModel, waveform: Tensor, valid: Tensor, context: Tensor | None = None) -> None:
        super().__init__()
        self.model = model.eval()
        with torch.no_grad():
            self.context = model.context(waveform[None], valid[None]) if context is None else context

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the utterance with these features in place of its own."""
        return self.model.classify(self.context.expand(len(features), -1), features)


class Centred(nn.Module):
    """Scores that SHAP explains: logits less their mean over the classes.

    What all logits share moves no probability; left in, it would be credited to features that change nothing.
    """

    def __init__(self, classify: nn.Module) -> None:
        super().__init__()
        self.classify = classify

    def forward(self, features: Tensor) -> Tensor:
        """Shape (b, ...) to (b, classes); each row sums to 0."""
        logits = self.classify(features)
        return logits - logits.mean(1, keepdim=True)
