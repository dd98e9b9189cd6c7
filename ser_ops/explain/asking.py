"""Every method that a model admits asked about one clip, each by its own file of the catalogue's name."""

from collections.abc import Collection
from importlib import import_module
from typing import Any

from ser_ops.explain.question import Explanation, Question
from ser_ops.methods import METHODS, method

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
