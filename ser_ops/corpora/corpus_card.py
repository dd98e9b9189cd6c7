"""corpus.yaml: what a corpus folder says about itself."""

import os
import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ser_ops import documents
from ser_ops.corpora.layout import CARD
from ser_ops.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Card(BaseModel):
    """The card of one corpus; `synthetic` speech is said to be so wherever a number made from it appears."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    layout: Literal["ravdess", "crema_d", "tess", "savee"]
    synthetic: bool
    licence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    note: str = ""

    def write(self, folder: Path) -> None:
        """Write it as corpus.yaml into the corpus's folder."""
        text = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=120)
        (folder / CARD).write_text(text, encoding="utf-8")


def read_card(corpora_folder: Path, name: str) -> Card:
    """Read the card of the corpus `name`.

    Raises UserError when there is no such corpus, or its card is missing, malformed or another corpus's.
    """
    path = corpora_folder / name / CARD
    if not os.path.isdir(path.parent):
        there = ", ".join(installed_names(corpora_folder)) or "none"
        raise UserError(f"{path.parent}: no such corpus (there are: {there}): bring it in with `ser-ops corpora add` "
                        "or take it out of data.corpora in params.yaml")
    return documents.read_card(Card, path, "ser-ops corpora add")


def installed_names(corpora_folder: Path) -> list[str]:
    """Names of the folders that hold a card, sorted."""
    return sorted(card.parent.name for card in corpora_folder.glob(f"*/{CARD}") if NAME.fullmatch(card.parent.name))
