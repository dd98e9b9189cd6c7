"""Corpora: naming rules and oddities of each, the CSV manifest, partitions and the leak audit."""

from pathlib import Path

from ser_ops.corpora.adding import add, check, free_place, list_all
from ser_ops.corpora.card import Card, read_card
from ser_ops.corpora.checksums import Comparison, compare_checksums
from ser_ops.corpora.csv_manifest import read_manifest
from ser_ops.corpora.found import Found, summarise, summarise_manifest
from ser_ops.corpora.layouts import LAYOUTS, known_faults
from ser_ops.corpora.utterance import Scan, Utterance
from ser_ops.folders import Unusable

__all__ = ["LAYOUTS", "Card", "Comparison", "Found", "Scan", "Unusable", "Utterance", "add", "check",
           "compare_checksums", "free_place", "known_faults", "list_all", "read_card", "read_manifest", "scan",
           "summarise", "summarise_manifest"]


def scan(corpora_folder: Path, name: str, calm: str = "neutral") -> Scan:
    """Utterances of the corpus `name`, by the layout that its card names.

    calm: what RAVDESS calm counts as, neutral or excluded. Raises UserError when there is no such corpus or its
    folder holds none of its recordings.
    """
    card = read_card(corpora_folder, name)
    return LAYOUTS[card.layout].scan(corpora_folder / name, name, calm, card.synthetic)
