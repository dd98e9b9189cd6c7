"""What could not be sent yet, in a file: entries in order, one line of JSON each, safe on disk before `append` returns.

Beside it lie copies of the files to be logged, as they were at that moment. It holds no credentials.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser_ops.documents import parse_json
from ser_ops.errors import UserError
from ser_ops.files import replacing

_REMOVE = "remove it to go on without what it holds"


class Journal:
    """The entries of one run. A killed process leaves them; the next one that opens the run finds them.

    Raises UserError when it cannot be written or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copies = path.with_suffix("")
        self.entries: list[dict[str, Any]] = self._read()

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        whole = content[:content.rfind(b"\n") + 1]
        if len(whole) < len(content):  # a line that a kill cut short: what it was for is done again
            os.truncate(self.path, len(whole))
        entries = [parse_json(line, str(self.path), _REMOVE, nan=True) for line in whole.splitlines()]
        if not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{self.path}: is damaged, a line of it is no entry: {_REMOVE}")
        return entries

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep an entry; an `artifact` is copied."""
        kept = dict(entry)
        if "artifact" in kept:
            kept["artifact"] = str(self._copy(Path(kept["artifact"])))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(json.dumps(kept).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}): free space, then run the same command "
                            "again") from error
        self.entries.append(kept)

    def _copy(self, source: Path) -> Path:
        with replacing(self._copies / f"{len(self.entries):06d}") as folder:
            folder.mkdir()
            if source.is_dir():
                shutil.copytree(source, folder / source.name)
            else:
                shutil.copyfile(source, folder / source.name)
        return self._copies / f"{len(self.entries):06d}" / source.name

    def clear(self) -> None:
        """Forget everything: it is sent."""
        self.entries = []
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self._copies, ignore_errors=True)
