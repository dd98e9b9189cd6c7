"""What a corpus gives: utterances, and what was left out and why."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Utterance:
    """One labelled recording.

    utterance: "<corpus>/<path below the corpus without suffix>"; speaker: "<corpus>/<speaker>"; path: the file;
    emotion: one of the seven; gender: female, male or ""; language, intensity, text: "" where the corpus does
    not say. `text` is the corpus's own code of the sentence, or the word.
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


@dataclass(frozen=True)
class Scan:
    """Utterances in the order of their ids; files left out, counted by reason; oddities in words."""

    utterances: list[Utterance]
    skipped: dict[str, int]
    oddities: list[str]
