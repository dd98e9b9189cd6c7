"""noise.yaml: what a collection of noise recordings says about itself."""

import os
import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ser_ops import documents
from ser_ops.errors import UserError
from ser_ops.files import write_text

CARD = "noise.yaml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Card(BaseModel):
    """The card of one collection; `synthetic` noise is said to be so wherever a number made from it appears."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    synthetic: bool
    licence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    note: str = ""

    def write(self, folder: Path) -> None:
        """Write it as noise.yaml into the collection's folder, whole or not at all."""
        write_text(folder / CARD, yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=120))


def read_card(noise_folder: Path, collection: str) -> Card:
    """Read the card of a collection.

    Raises UserError when there is no such collection, or its card is missing, malformed or another collection's.
    """
    path = noise_folder / collection / CARD
    if not os.path.isdir(path.parent):
        there = ", ".join(installed_names(noise_folder)) or "none"
        raise UserError(f"{path.parent}: no such collection of noise (there are: {there}): bring recordings in with "
                        "`ser-ops noise add` or take it out of data.noise in params.yaml")
    return documents.read_card(Card, path, "ser-ops noise add")


def installed_names(noise_folder: Path) -> list[str]:
    """Names of the folders that hold a card, sorted."""
    return sorted(card.parent.name for card in noise_folder.glob(f"*/{CARD}") if NAME.fullmatch(card.parent.name))
