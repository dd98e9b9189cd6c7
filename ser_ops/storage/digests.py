"""What a store says of an object's bytes, and whether a file has those bytes."""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

Algorithm = Literal["sha256", "sha1", "crc32", "md5"]
_HEADERS: tuple[tuple[str, Algorithm], ...] = (("ChecksumSHA256", "sha256"), ("ChecksumSHA1", "sha1"),
                                               ("ChecksumCRC32", "crc32"))
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Expected:
    """A digest of the whole object, or where `parts` has the sizes of its stored parts, of their digests in a row."""

    algorithm: Algorithm
    digest: bytes
    parts: tuple[int, ...] = ()

    def fits(self, file: Path) -> bool:
        """Whether the file has the bytes that the store has."""
        with file.open("rb") as opened:
            if not self.parts:
                return _digest(self.algorithm, _blocks(opened, file.stat().st_size)) == self.digest
            row = [_digest(self.algorithm, _blocks(opened, size)) for size in self.parts]
            return _digest(self.algorithm, row) == self.digest


def expected(about: Mapping[str, Any], size: int, part_sizes: Callable[[int], Iterable[int]]) -> Expected | None:
    """The strongest digest that `about`, the answer to a HEAD or GET of the whole object, gives.

    part_sizes: asks the store for the sizes (bytes) of so many stored parts. A checksum that was given at upload
    comes before the ETag, which is an MD5 where the object is not encrypted with a key of its own. None where the
    store says nothing that can be computed from the bytes; size and ETag are then all that is known.
    """
    found: list[tuple[Algorithm, bytes, int]] = []
    for header, algorithm in _HEADERS:
        if value := about.get(header):
            digest, _, count = value.partition("-")
            found.append((algorithm, base64.b64decode(digest), int(count or 0)))
    md5 = re.fullmatch(r'"?([0-9a-f]{32})(?:-(\d+))?"?', about.get("ETag", ""))
    if md5 and about.get("ServerSideEncryption") in (None, "AES256") and not about.get("SSECustomerAlgorithm"):
        found.append(("md5", bytes.fromhex(md5[1]), int(md5[2] or 0)))
    for algorithm, digest, count in found:
        parts = tuple(part_sizes(count)) if count else ()
        if sum(parts) == (size if count else 0):
            return Expected(algorithm, digest, parts)
    return None


def crc32(file: Path, start: int, stop: int) -> int:
    """CRC-32 of the bytes from `start` up to `stop`, or of as many as there are."""
    with file.open("rb") as opened:
        opened.seek(start)
        return int.from_bytes(_digest("crc32", _blocks(opened, stop - start)))


def _digest(algorithm: Algorithm, blocks: Iterable[bytes]) -> bytes:
    if algorithm == "crc32":
        found = 0
        for block in blocks:
            found = zlib.crc32(block, found)
        return found.to_bytes(4)
    state = hashlib.new(algorithm, usedforsecurity=False)
    for block in blocks:
        state.update(block)
    return state.digest()


def _blocks(opened: BinaryIO, size: int) -> Iterable[bytes]:
    while size > 0 and (block := opened.read(min(size, _BLOCK))):
        size -= len(block)
        yield block
