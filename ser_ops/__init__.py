"""Noise-robust, explainable speech emotion recognition as a pipeline that people can trust.

What answers recordings is at hand here, and is imported when it is asked for:

    from ser_ops import Recogniser
    Recogniser("model").answer_file("call.mp3").emotion

and from a registry:

    from ser_ops import model_folder
    Recogniser(model_folder("models:/ser-fusion@staging"))
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_ops.errors import UserError as UserError
    from ser_ops.inference.recogniser import Answer as Answer
    from ser_ops.inference.recogniser import Recogniser as Recogniser
    from ser_ops.inference.recogniser import WindowAnswer as WindowAnswer
    from ser_ops.tracking.models import model_folder as model_folder

_ANSWERS = "ser_ops.inference.recogniser"
# Where each is; not __all__: the API page would show these alone.
_OFFERED = {"Answer": _ANSWERS, "Recogniser": _ANSWERS, "UserError": "ser_ops.errors", "WindowAnswer": _ANSWERS,
            "model_folder": "ser_ops.tracking.models"}


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module 'ser_ops' has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
