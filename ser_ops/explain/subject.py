"""A model with what its explanations need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser_ops import config
from ser_ops.explain.scorecam import receptive_field
from ser_ops.features import grid, shape_of
from ser_ops.models import EmotionModel, input_of


@dataclass(frozen=True)
class Subject:
    """A model, the features as it reads them, and what standardises them."""

    model: EmotionModel
    features: config.Window
    standardisation: Mapping[str, Sequence[float]] | None
    sample_rate: int
    device: torch.device
    kernels: tuple[int, ...]

    @classmethod
    def of(cls, model: EmotionModel, card: Mapping[str, Any], device: torch.device) -> "Subject":
        """From a model and the card that was saved with it."""
        return cls(model.to(device).eval(), input_of(card),
                   card["standardisation"], card["sample_rate"], device,
                   tuple(card["preset_settings"]["spectral"]["kernels"]))

    @property
    def spectral(self) -> bool:
        """Whether the model has a spectral stream."""
        return "spectral" in self.model.streams

    def blur(self) -> str:
        """How sharp a map of the last convolution can be, in words."""
        seen, spectral = receptive_field(self.kernels), self.features
        if spectral.layout == "serial":
            return f"{seen} neighbouring values of the serial layout"
        return f"{((seen - 1) * spectral.hop + spectral.frame) / spectral.sample_rate:.1f} s of sound"

    def baseline(self) -> Tensor:
        """Zero for a model that standardises its input, in the input's own units: the training mean of each kind.

        The paper's X_b is 'typically zero'. Zero before standardisation would be an extreme input, such as an
        energy that no recording has, and masking would then add a cue where it should take one away.
        """
        flat = np.zeros(int(np.prod(shape_of(self.features))), np.float32)
        if self.standardisation is not None:
            flat[grid(self.features)] = np.asarray(self.standardisation["mean"], np.float32)[:, None]
        return torch.from_numpy(flat.reshape(shape_of(self.features))).to(self.device)
