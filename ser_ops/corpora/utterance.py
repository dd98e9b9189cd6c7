"""What a corpus holds: utterances, what was left out, and why."""

from dataclasses import dataclass
from pathlib import Path

from ser_ops.audio.admission import Clip


@dataclass(frozen=True)
class Utterance:
    """One labelled recording, or the part of one that a manifest cuts out.

    utterance: "<corpus>/<path below the corpus without suffix>", and of a part what is cut: "@1.5-3"; speaker:
    "<corpus>/<speaker>"; path: the file; emotion: one of the seven; gender: female, male or ""; language, intensity,
    text: "" where the corpus does not say. `text` is the corpus's own code of the sentence, or the word. start, end
    (seconds; None is the file's end) and channel (from 1 on; None: `ser_ops.audio.channels` chooses): the part of the
    file that is read.
    """

    utterance: str
    corpus: str
    layout: str
    synthetic: bool
    path: Path
    emotion: str
    speaker: str
    gender: str = ""
    language: str = ""
    intensity: str = ""
    text: str = ""
    start: float = 0.0
    end: float | None = None
    channel: int | None = None

    @property
    def clip(self) -> Clip:
        """The part of the file that is read."""
        return Clip(self.path, self.start, self.end, self.channel)


@dataclass(frozen=True)
class Scan:
    """Utterances in the order of their ids; files left out, counted by reason; oddities in words."""

    utterances: list[Utterance]
    skipped: dict[str, int]
    oddities: list[str]
