"""The table from a layout's name to its rules."""

from pathlib import Path

from ser_ops.corpora.corpus_card import read_card
from ser_ops.corpora.crema_d import CREMA_D
from ser_ops.corpora.layout import Layout
from ser_ops.corpora.ravdess import RAVDESS
from ser_ops.corpora.savee import SAVEE
from ser_ops.corpora.tess import TESS
from ser_ops.corpora.utterance import Scan
from ser_ops.errors import UserError

LAYOUTS: dict[str, Layout] = {one.name: one for one in (RAVDESS, CREMA_D, TESS, SAVEE)}


def of_name(name: str) -> Layout:
    """The layout of that name; UserError, which lists those that there are, for another."""
    if name not in LAYOUTS:
        raise UserError(f"{name!r}: is no known corpus: choose of {', '.join(LAYOUTS)}, or manifest for a CSV file "
                        "that lists any other")
    return LAYOUTS[name]


def known_faults(layout: str) -> dict[str, str]:
    """Reason by file name (without suffix) of the published recordings of a layout that must not be used.

    They are those of the published corpora: a synthetic corpus with the same names does not have them.

    >>> known_faults("crema_d")["1076_MTI_SAD_XX"]
    'published without any speech in it, not used'
    """
    return LAYOUTS[layout].known_faults() if layout in LAYOUTS else {}


def scan(corpora_folder: Path, name: str, calm: str = "neutral") -> Scan:
    """Utterances of the corpus `name`, by the layout that its card names.

    calm: what RAVDESS calm counts as, neutral or excluded. Raises UserError when there is no such corpus or its
    folder holds none of its recordings.
    """
    card = read_card(corpora_folder, name)
    return LAYOUTS[card.layout].scan(corpora_folder / name, name, calm, card.synthetic)
