"""What a method is asked about one clip, and what it answers.

Each method of the catalogue (`ser_ops.methods`) is a file of that name in `ser_ops/explain/methods`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from torch import Tensor

from ser_ops.config.explaining import Explain
from ser_ops.explain.clip import Clip, WindowClassifier
from ser_ops.explain.subject import FeatureClassifier, Subject
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS, method


@dataclass(frozen=True)
class Question:
    """A clip and the class, 0 to 6, that is explained of it.

    context      (1, H): what the model's waveform stream makes of the clip; None: it is computed when it is needed
    background   features (b, *shape_of(subject.features)), not standardised, to compare with; None: there are none
    samples      that a method with sampling draws
    seed_key     another key makes such a method draw other samples
    every_class  whether a method that can is to explain all seven classes
    """

    subject: Subject
    clip: Clip
    target: int
    settings: Explain
    background: Tensor | None = None
    context: Tensor | None = None
    samples: int = 0
    seed_key: str = ""
    every_class: bool = False

    @cached_property
    def classify_features(self) -> FeatureClassifier:
        """The model over features, with the clip's waveform held: what a method over features asks."""
        batch = self.clip.batch
        return FeatureClassifier(self.subject.model, batch.waveform[0], batch.valid[0], self.context)

    @cached_property
    def classify_windows(self) -> WindowClassifier:
        """The model over sound."""
        return WindowClassifier(self.subject, self.settings.batch_size)

    @property
    def held(self) -> str:
        """What a method over features leaves as it was, in words; "" for nothing."""
        return "the stream over the waveform, which kept hearing all of it" \
            if "wav2vec" in self.subject.model.streams else ""


@dataclass(frozen=True)
class Explanation:
    """What a method gives to the clip over time; details: what this method alone has (see its file), None for most."""

    trace: Trace
    details: Any = None


def explain_clip(question: Question, only: Collection[str] | None = None) -> dict[str, Explanation]:
    """What each method that the model admits answers, by name, in the order of the catalogue.

    A method that needs a background is left out where there is none. only: names; other methods are left out.
    """
    return {name: method_module(name).explain(question) for name in question.subject.admitted
            if (only is None or name in only) and not (METHODS[name].needs_background and question.background is None)}


def method_module(name: str) -> Any:
    """The module of a method: `explain(question) -> Explanation` and `blur(subject, settings)`, seconds of sound.

    Raises UserError for a name that is not in the catalogue.
    """
    return import_module(f"ser_ops.explain.methods.{method(name).name}")
