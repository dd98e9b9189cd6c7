"""Many recordings heard to their ends, before anything is done with them: which of them the door admits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser_ops.audio.reading import Listening
from ser_ops.errors import UserError

_RATE = 16000
_MANY = 200     # recordings: fewer are heard sooner than further processes start


@dataclass(frozen=True)
class Heard:
    """One recording: its duration in seconds, its peak (1 is full scale), and why it is refused, or ""."""

    seconds: float
    peak: float
    refusal: str = ""


def hear_all(paths: Sequence[Path], what: str) -> Iterator[Heard]:
    """What each recording turns out to be, in the order of `paths`, on all cores where there are many of them."""
    from ser_ops.progress.spreading import spread
    return spread(_hear, paths, what, 0 if len(paths) >= _MANY else 1, "file")


def _hear(path: Path) -> Heard:
    try:
        listening = Listening(path, _RATE)
        for _ in listening:
            pass
    except UserError as error:
        return Heard(0.0, 0.0, str(error).removeprefix(f"{path}: "))
    return Heard(listening.seconds, listening.peak)
