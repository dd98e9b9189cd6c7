"""The published corpora: their layouts by name, the card that a corpus folder has, and what one holds."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ser_ops.cards import Card
from ser_ops.config.data import ManifestSource
from ser_ops.corpora.crema_d import CREMA_D
from ser_ops.corpora.layout import CORPUS_CARD, Layout
from ser_ops.corpora.ravdess import RAVDESS
from ser_ops.corpora.savee import SAVEE
from ser_ops.corpora.tess import TESS
from ser_ops.corpora.utterance import Scan
from ser_ops.errors import UserError

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (RAVDESS, CREMA_D, TESS, SAVEE)}


def layout_named(name: str) -> Layout:
    """The layout of that name; UserError, which lists those that there are, for another."""
    if name not in LAYOUTS:
        raise UserError(f"{name!r}: is not a known corpus: choose one of {', '.join(LAYOUTS)}, or manifest for a CSV "
                        "file that lists any other")
    return LAYOUTS[name]


def known_faults(layout: str) -> dict[str, str]:
    """Reason by file name (without suffix) of the published recordings of a layout that must not be used.

    They are those of the published corpora: a synthetic corpus with the same names does not have them.

    >>> known_faults("crema_d")["1076_MTI_SAD_XX"]
    'published without any speech in it, not used'
    """
    return LAYOUTS[layout].known_faults() if layout in LAYOUTS else {}


class CorpusCard(Card):
    """The card of one corpus, corpus.yaml."""

    file = CORPUS_CARD
    kind = "corpus"
    command = "ser-ops corpora add"
    setting = "data.corpora"

    layout: Literal["ravdess", "crema_d", "tess", "savee"]


def scan_corpus(corpora_folder: Path, name: str, calm: str = "neutral") -> Scan:
    """Utterances of the corpus `name`, by the layout that its card names.

    calm: what RAVDESS calm counts as, neutral or excluded. Raises UserError when there is no such corpus or its
    folder holds none of its recordings.
    """
    card = CorpusCard.read(corpora_folder, name)
    return LAYOUTS[card.layout].scan(corpora_folder / name, name, calm, card.synthetic)


@dataclass(frozen=True)
class CorpusSummary:
    """What a corpus holds, in counts. `expected...`: of the complete corpus; None where there is no such thing."""

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

        >>> CorpusSummary("ravdess", "ravdess", False, 60, 1440, 1, 24, {}, {"sad": 192}, {}, [], "", "").sentence()
        'ravdess: PARTIAL, 60 of 1440 recordings, 1 of 24 speakers'
        """
        if self.expected is None:
            kind = "synthetic speech, " if self.synthetic else ""
            return f"{self.corpus}: {kind}{self.found} recordings, {self.speakers} speakers"
        return (f"{self.corpus}: {'complete' if self.complete else 'PARTIAL'}, {self.found} of {self.expected} "
                f"recordings, {self.speakers} of {self.expected_speakers} speakers")


def summarise_corpus(card: CorpusCard, scan: Scan, calm: str) -> CorpusSummary:
    """Count a scan beside what the complete corpus holds; synthetic corpora have no complete one."""
    layout = LAYOUTS[card.layout]
    expected = None if card.synthetic else layout.expected(calm)
    return _count(card.name, card.layout, card.synthetic, scan, card.licence, card.source, expected,
                  None if card.synthetic else layout.speakers)


def summarise_manifest(source: ManifestSource, scan: Scan) -> CorpusSummary:
    """Count the scan of a CSV manifest, which has no complete corpus to be held against."""
    return _count(source.name, "manifest", False, scan, "not stated", str(source.file), None, None)


def _count(corpus: str, layout: str, synthetic: bool, scan: Scan, licence: str, source: str,
           expected: dict[str, int] | None, expected_speakers: int | None) -> CorpusSummary:
    emotions = Counter(utterance.emotion for utterance in scan.utterances)
    speakers = {utterance.speaker for utterance in scan.utterances}
    return CorpusSummary(corpus, layout, synthetic, len(scan.utterances), sum(expected.values()) if expected else None,
                         len(speakers), expected_speakers, dict(sorted(emotions.items())), expected, scan.skipped,
                         scan.oddities, licence, source)
