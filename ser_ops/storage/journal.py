"""Which parts of which objects have come: JSON lines, of which a kill can cut the last one only."""

import json
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from ser_ops.documents import parse_json
from ser_ops.errors import UserError

_LINE = TypeAdapter(tuple[str, str, int, int, int])     # key, ETag, start, stop, CRC-32


class Part(NamedTuple):
    """Bytes of an object, from `start` up to `stop`."""

    start: int
    stop: int


class Journal:
    """Each line one part of one object of one content (ETag), with the CRC-32 of its bytes."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._come: defaultdict[tuple[str, str], dict[Part, int]] = defaultdict(dict)
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(UserError, ValidationError):     # the line that the kill cut
                    key, etag, start, stop, crc = _LINE.validate_python(parse_json(line, str(path)))
                    self._come[key, etag][Part(start, stop)] = crc

    def come(self, key: str, etag: str) -> dict[Part, int]:
        """The parts of an object that were written, with their CRC-32."""
        return dict(self._come[key, etag])

    def note(self, key: str, etag: str, part: Part, crc: int) -> None:
        """A part was written."""
        line = json.dumps([key, etag, *part, crc])
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}")                 # begins with the break, so that a cut line spoils no other
        self._come[key, etag][part] = crc
