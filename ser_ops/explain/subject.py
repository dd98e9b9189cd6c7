"""A model with what its explanations need, as a function of sound and as one of features alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops import methods
from ser_ops.config.model_json import input_of
from ser_ops.config.models import Features, Window
from ser_ops.explain.map_axes import MapAxis, map_axes
from ser_ops.features.index_map import grid, shape_of
from ser_ops.models.base import EmotionModel
from ser_ops.models.paper1 import AttentivePooling


@dataclass(frozen=True)
class Subject:
    """A model that is explained.

    features         the window and features that it reads
    standardisation  "mean" and "std" of each kind of feature; None: the model standardises nothing
    sample_rate      hertz, of the data
    receptive_field  frames that one position of the spectral stream's last convolution has seen; 1 without that stream
    """

    model: EmotionModel
    features: Window
    standardisation: Mapping[str, Sequence[float]] | None
    sample_rate: int
    device: torch.device
    receptive_field: int

    @classmethod
    def of(cls, model: EmotionModel, card: Mapping[str, Any], device: torch.device) -> "Subject":
        """From a model and the card that was saved with it."""
        return cls(model.to(device).eval(), input_of(card), card["standardisation"], card["sample_rate"], device,
                   model.spectral.receptive_field if "spectral" in model.streams else 1)

    @property
    def has_cam_layer(self) -> bool:
        """Whether a layer of the model still has a place in time."""
        try:
            self.model.cam_layer()
        except ValueError:
            return False
        return True

    @property
    def attends(self) -> bool:
        """Whether a learned weight for each frame pools the waveform stream's states (equation 21)."""
        return isinstance(getattr(self.model, "pooling", None), AttentivePooling)

    @property
    def admitted(self) -> tuple[str, ...]:
        """The methods that the model admits, in the order of the catalogue."""
        return methods.admitted(self.model.streams, self.has_cam_layer, self.attends)

    @property
    def not_admitted(self) -> dict[str, str]:
        """The other methods, each with the reason."""
        return methods.not_admitted(self.model.streams, self.has_cam_layer, self.attends)

    @property
    def needs_background(self) -> bool:
        """Whether a method that the model admits needs other utterances to compare with."""
        return any(methods.METHODS[name].needs_background for name in self.admitted)

    @cached_property
    def map_axes(self) -> tuple[MapAxis, ...]:
        """Axes of the maps of the model's cam_layer() against those of the features: (time,) or (bands, time)."""
        silence = torch.zeros(round(self.features.seconds * self.sample_rate), device=self.device)
        classify = FeatureClassifier(self.model, silence, torch.tensor(len(silence), device=self.device))
        return map_axes(classify, self.model.cam_layer(), self.model.maps,
                        torch.zeros(shape_of(self.features), device=self.device))

    def baseline(self) -> Tensor:
        """Zero for a model that standardises its input, in the input's own units: the training mean of each kind.

        The paper's X_b is 'typically zero'. Zero before standardisation would be an extreme input, such as an
        energy that no recording has, and masking would then add a cue where it should take one away.
        """
        flat = np.zeros(int(np.prod(shape_of(self.features))), np.float32)
        if self.standardisation is not None:
            mean = np.asarray(self.standardisation["mean"], np.float32)
            flat[grid(cast(Features, self.features))] = mean[:, None]
        return torch.from_numpy(flat.reshape(shape_of(self.features))).to(self.device)


class FeatureClassifier(nn.Module):
    """The model over features alone, for one utterance: features (b, ...) in, logits (b, classes) out.

    The waveform is held: its context (1, H) is computed once, unless `context` gives it. The model is set to
    evaluation: no dropout, fixed batch statistics.
    """

    def __init__(self, model: EmotionModel, waveform: Tensor, valid: Tensor, context: Tensor | None = None) -> None:
        super().__init__()
        self.model = model.eval()
        with torch.no_grad():
            self.context = model.context(waveform[None], valid[None]) if context is None else context

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the utterance with these features in place of its own."""
        return self.model.classify(self.context.expand(len(features), -1), features)


class CentredScores(nn.Module):
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
