"""What a corpus turned out to hold, beside what the complete one holds."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ser_ops.config import ManifestSource
from ser_ops.corpora.corpus_card import Card
from ser_ops.corpora.layouts import LAYOUTS
from ser_ops.corpora.utterance import Scan


@dataclass(frozen=True)
class Found:
    """Counts of one corpus. `expected...`: of the complete corpus; None where there is no such thing."""

    corpus: str
    layout: str
    synthetic: bool
    found: int
    expected: int | None
    speakers: int
    expected_speakers: int | None
    emotions: dict[str, int]
    expected_emotions: dict[str, int] | None
    skipped: dict[str, int]
    oddities: list[str]
    licence: str
    source: str

    @property
    def complete(self) -> bool:
        """Every emotion and speaker of the published corpus is there; a corpus of no fixed size is complete."""
        return self.expected_emotions is None or (
            self.emotions == self.expected_emotions and self.speakers == self.expected_speakers)

    def record(self) -> dict[str, Any]:
        """The corpus's entry in corpora.json, and what the command line answers."""
        return {"name": self.corpus, "layout": self.layout, "synthetic": self.synthetic, "complete": self.complete,
                "found": self.found, "expected": self.expected, "speakers": self.speakers,
                "expected_speakers": self.expected_speakers,
                "emotions": self.emotions, "expected_emotions": self.expected_emotions, "skipped": self.skipped,
                "oddities": self.oddities, "licence": self.licence, "source": self.source}

    def sentence(self) -> str:
        """In one line: how much of the corpus is there.

        >>> Found("ravdess", "ravdess", False, 60, 1440, 1, 24, {}, {"sad": 192}, {}, [], "", "").sentence()
        'ravdess: PARTIAL, 60 of 1440 recordings, 1 of 24 speakers'
        """
        if self.expected is None:
            kind = "synthetic speech, " if self.synthetic else ""
            return f"{self.corpus}: {kind}{self.found} recordings, {self.speakers} speakers"
        return (f"{self.corpus}: {'complete' if self.complete else 'PARTIAL'}, {self.found} of {self.expected} "
                f"recordings, {self.speakers} of {self.expected_speakers} speakers")


def summarise(card: Card, scan: Scan, calm: str) -> Found:
    """Count a scan beside what the complete corpus holds; synthetic corpora have no complete one."""
    kind = LAYOUTS[card.layout]
    expected = None if card.synthetic else kind.expected(calm)
    return _count(card.name, card.layout, card.synthetic, scan, card.licence, card.source, expected,
                  None if card.synthetic else kind.speakers)


def summarise_manifest(source: ManifestSource, scan: Scan) -> Found:
    """Count the scan of a CSV manifest, which has no complete corpus to be held against."""
    return _count(source.name, "manifest", False, scan, "not stated", str(source.file), None, None)


def _count(corpus: str, layout: str, synthetic: bool, scan: Scan, licence: str, source: str,
           expected: dict[str, int] | None, expected_speakers: int | None) -> Found:
    emotions = Counter(one.emotion for one in scan.utterances)
    return Found(corpus, layout, synthetic, len(scan.utterances), sum(expected.values()) if expected else None,
                 len({one.speaker for one in scan.utterances}), expected_speakers, dict(sorted(emotions.items())),
                 expected, scan.skipped, scan.oddities, licence, source)
