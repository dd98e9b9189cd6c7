"""Which part of which file is meant: a recording, or a stretch of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """A recording, or `start` to `end` seconds of it; channel: from 1 on, None lets the door choose."""

    path: Path
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
