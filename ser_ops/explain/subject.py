"""A model with what its explanations need.

One utterance's model with everything but the spectral features held: what the spectral stream is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops import config, methods
from ser_ops.config import input_of
from ser_ops.explain.places import Places, places
from ser_ops.features.index_map import grid, shape_of
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


@dataclass(frozen=True)
class Subject:
    """A model, the features as it reads them, what standardises them (None: nothing), and the data's sample rate."""

    model: EmotionModel
    features: config.Window
    standardisation: Mapping[str, Sequence[float]] | None
    sample_rate: int
    device: torch.device
    field: int

    @classmethod
    def of(cls, model: EmotionModel, card: Mapping[str, Any], device: torch.device) -> "Subject":
        """From a model and the card that was saved with it."""
        return cls(model.to(device).eval(), input_of(card),
                   card["standardisation"], card["sample_rate"], device,
                   model.spectral.receptive_field if "spectral" in model.streams else 1)

    @property
    def spectral(self) -> bool:
        """Whether the model has a spectral stream."""
        return "spectral" in self.model.streams

    @property
    def camera(self) -> bool:
        """Whether a layer of the model still has a place in time."""
        try:
            self.model.camera()
        except ValueError:
            return False
        return True

    @property
    def admitted(self) -> tuple[str, ...]:
        """The methods that can be asked of the model, in the order of the catalogue."""
        return methods.admitted(self.model.streams, self.camera)

    @property
    def not_admitted(self) -> dict[str, str]:
        """Those that cannot, each with the reason."""
        return methods.not_admitted(self.model.streams, self.camera)

    @property
    def compares(self) -> bool:
        """Whether anything that is asked of the model needs other utterances to compare with."""
        return any(methods.METHODS[name].compares for name in self.admitted)

    @cached_property
    def places(self) -> tuple[Places, ...]:
        """Where on the features the maps of the model's camera() lie: (time,) or (bands, time)."""
        silence = torch.zeros(round(self.features.seconds * self.sample_rate), device=self.device)
        held = Held(self.model, silence, torch.tensor(len(silence), device=self.device))
        return places(held, self.model.camera(), self.model.maps,
                      torch.zeros(shape_of(self.features), device=self.device))

    def baseline(self) -> Tensor:
        """Zero for a model that standardises its input, in the input's own units: the training mean of each kind.

        The paper's X_b is 'typically zero'. Zero before standardisation would be an extreme input, such as an
        energy that no recording has, and masking would then add a cue where it should take one away.
        """
        flat = np.zeros(int(np.prod(shape_of(self.features))), np.float32)
        if self.standardisation is not None:
            mean = np.asarray(self.standardisation["mean"], np.float32)
            flat[grid(cast(config.Features, self.features))] = mean[:, None]
        return torch.from_numpy(flat.reshape(shape_of(self.features))).to(self.device)
