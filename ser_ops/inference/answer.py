"""What a recogniser answers: the whole recording and each of its windows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ser_ops.caveats import Caveat
from ser_ops.emotions import EMOTIONS


def _named(probabilities: np.ndarray) -> dict[str, float]:
    return {emotion: round(float(value), 6) for emotion, value in zip(EMOTIONS, probabilities, strict=True)}


@dataclass(frozen=True)
class Window:
    """One window: start and end in seconds, and probabilities, float64 of shape (7,) that sum to 1."""

    start: float
    end: float
    probabilities: np.ndarray

    @property
    def emotion(self) -> str:
        """The likeliest of the seven."""
        return EMOTIONS[int(self.probabilities.argmax())]


@dataclass(frozen=True)
class Answer:
    """The answer for one recording.

    probabilities: float64 of shape (7,), the mean over `windows`; seconds: duration of the recording;
    windows: those that hold a signal; warnings: sentences a user should read before relying on it; caveats: what the
    model's card says of every answer that it gives.
    """

    probabilities: np.ndarray
    seconds: float
    windows: list[Window]
    warnings: list[str] = field(default_factory=list)
    caveats: tuple[Caveat, ...] = ()

    @property
    def emotion(self) -> str:
        """The likeliest of the seven."""
        return EMOTIONS[int(self.probabilities.argmax())]

    def record(self) -> dict[str, Any]:
        """As plain values for JSON.

        >>> window = Window(0.0, 2.0, np.eye(7)[3])
        >>> Answer(np.eye(7)[3], 2.0, [window]).record()["windows"][0]["emotion"]
        'happy'
        """
        return {"emotion": self.emotion, "probabilities": _named(self.probabilities), "seconds": round(self.seconds, 3),
                "windows": [{"start": round(one.start, 3), "end": round(one.end, 3), "emotion": one.emotion,
                             "probabilities": _named(one.probabilities)} for one in self.windows],
                "warnings": list(self.warnings), "caveats": [caveat.sentence for caveat in self.caveats]}
