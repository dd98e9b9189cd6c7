"""What a method is asked about one clip, and what it answers.

Every method that a model admits asked about one clip, each by its own file of the catalogue's name.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from torch import Tensor

from ser_ops import config
from ser_ops.explain.condition import Answering, Heard
from ser_ops.explain.subject import Held, Subject
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS, method

_WAVEFORM = "the Wav2Vec 2.0 stream, which kept hearing the whole waveform"


@dataclass(frozen=True)
class Question:
    """A clip and the class, 0 to 6, that is explained of it.

    context      (1, H): what the model's waveform stream makes of the clip; None: it is made when it is asked for
    background   features (b, *shape_of(subject.features)), not standardised, to compare with; None where there are none
    samples      of a method with chance in it
    seed_key     another one draws that chance anew
    every_class  whether a method that can is to speak of all seven classes
    """

    subject: Subject
    heard: Heard
    target: int
    settings: config.Explain
    background: Tensor | None = None
    context: Tensor | None = None
    samples: int = 0
    seed_key: str = ""
    every_class: bool = False

    @cached_property
    def held(self) -> Held:
        """The model with the clip's waveform held: what a method over features asks."""
        batch = self.heard.batch
        return Held(self.subject.model, batch.waveform[0], batch.valid[0], self.context)

    @cached_property
    def answering(self) -> Answering:
        """The model over sound."""
        return Answering(self.subject, self.settings.batch_size)

    @property
    def holding(self) -> str:
        """What a method over features leaves as it was, in words; "" for nothing."""
        return _WAVEFORM if "wav2vec" in self.subject.model.streams else ""


@dataclass(frozen=True)
class Explanation:
    """What a method gives to the clip over time, and what this method alone has (see its file), None for most."""

    trace: Trace
    details: Any = None


_FILES = "ser_ops.explain.methods"   # the package in which the catalogue's files lie


def computed_by(name: str) -> Any:
    """The module of a method: `explain(question) -> Explanation` and `blur(subject, settings)`, seconds of sound.

    Raises UserError for a name that is not in the catalogue.
    """
    return import_module(f"{_FILES}.{method(name).name}")


def explanations(question: Question, only: Collection[str] | None = None) -> dict[str, Explanation]:
    """What each method gives, by name, in the order of the catalogue.

    A method that compares is left out without a background. only: leaves out other methods.
    """
    return {name: computed_by(name).explain(question) for name in question.subject.admitted
            if (only is None or name in only) and not (METHODS[name].compares and question.background is None)}
