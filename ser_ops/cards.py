"""Cards: the YAML file in which a corpus or a collection of noise says what it is and under which licence."""

import os
import re
from pathlib import Path
from typing import ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ser_ops.documents import read_yaml, validated_model
from ser_ops.errors import UserError
from ser_ops.files import write_text

FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")     # of a folder that has a card, and of what lies in it


class Card(BaseModel):
    """The card of one folder, of the same name; every number made from what is `synthetic` is marked as such."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    file: ClassVar[str]         # its name in the folder
    kind: ClassVar[str]         # what such a folder is, for messages
    command: ClassVar[str]      # brings one in and writes its card
    setting: ClassVar[str]      # of params.yaml that lists them

    name: str = Field(pattern=rf"^{FOLDER_NAME.pattern}$")
    synthetic: bool
    licence: str = Field(min_length=1)
    source: str = Field(min_length=1)
    note: str = ""

    @classmethod
    def read(cls, parent: Path, name: str) -> Self:
        """The card of the folder `name` in `parent`.

        Raises:
            UserError: There is no such folder, or its card is missing, malformed or another folder's.
        """
        path = parent / name / cls.file
        if not os.path.isdir(path.parent):
            there = ", ".join(cls.installed(parent)) or "none"
            raise UserError(f"{path.parent}: no such {cls.kind} (there are: {there}): bring it in with "
                            f"`{cls.command}` or take it out of {cls.setting} in params.yaml")
        content = read_yaml(path, f"bring it in with `{cls.command}`, which writes it")
        if not isinstance(content, dict) or content.get("name") != name:
            raise UserError(f"{path}: is not the card of {name!r}: set its name to that of its folder")
        return validated_model(cls, content, str(path), f"it holds {', '.join(cls.model_fields)}")

    @classmethod
    def installed(cls, parent: Path) -> list[str]:
        """Names of the folders in `parent` that hold a card, sorted."""
        names = (card.parent.name for card in parent.glob(f"*/{cls.file}"))
        return sorted(name for name in names if FOLDER_NAME.fullmatch(name))

    def write(self, folder: Path) -> None:
        """Write it into its folder, whole or not at all: its name, what is its kind's own, then what all cards have."""
        content = self.model_dump()
        own = {key: value for key, value in content.items() if key not in Card.model_fields}
        write_text(folder / self.file, yaml.safe_dump({"name": self.name, **own, **content}, sort_keys=False,
                                                      allow_unicode=True, width=120))
