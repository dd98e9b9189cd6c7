"""Download one object into one file, part by part; after a cut or a kill it goes on from the parts that have come.

A journal keeps which parts of which objects have come. The whole is checked against what the store says of its bytes.
"""

import base64
import hashlib
import json
import random
import re
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from ser_ops.config.services import Storage
from ser_ops.documents import parse_json
from ser_ops.errors import UserError

Algorithm = Literal["sha256", "sha1", "crc32", "md5"]
_HEADERS: tuple[tuple[str, Algorithm], ...] = (("ChecksumSHA256", "sha256"), ("ChecksumSHA1", "sha1"),
                                               ("ChecksumCRC32", "crc32"))
_BLOCK = 1 << 20
_LINE = TypeAdapter(tuple[str, str, int, int, int])     # key, ETag, start, stop, CRC-32
_READ_BYTES = 1 << 18


class S3Object(NamedTuple):
    """An object as its bucket lists it; size in bytes, the ETag stands for its content."""

    bucket: str
    key: str
    size: int
    etag: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class ObjectChanged(UserError):
    """An object that is no longer the one that its bucket listed."""


class Part(NamedTuple):
    """Bytes of an object, from `start` up to `stop`."""

    start: int
    stop: int


class PartJournal:
    """The parts that have come: a line of JSON each, with object, content (ETag) and the CRC-32 of the bytes.

    A kill can cut the last line only.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._parts: defaultdict[tuple[str, str], dict[Part, int]] = defaultdict(dict)
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(UserError, ValidationError):     # the line that the kill cut
                    key, etag, start, stop, crc = _LINE.validate_python(parse_json(line, str(path)))
                    self._parts[key, etag][Part(start, stop)] = crc

    def parts(self, key: str, etag: str) -> dict[Part, int]:
        """The parts of an object that were written, with their CRC-32."""
        return dict(self._parts[key, etag])

    def add(self, key: str, etag: str, part: Part, crc: int) -> None:
        """Record that a part was written."""
        line = json.dumps([key, etag, *part, crc])
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}")                 # begins with the break, so that a cut line spoils no other
        self._parts[key, etag][part] = crc


class Download:
    """The download of one object to `target`, by way of the file `partial`, which is moved there when it is checked."""

    def __init__(self, client: Any, source: S3Object, target: Path, partial: Path, journal: PartJournal,
                 limits: Storage, moved: Callable[[int], object], stopped: threading.Event) -> None:
        """Prepare a download; nothing is asked of the store yet.

        Args:
            client: boto3's, of the object's store.
            source: The object, as its bucket lists it.
            target: Where the whole file goes.
            partial: Where its parts are written before.
            journal: Which parts have come, also of an earlier command.
            limits: The size of a part, the attempts and the longest wait.
            moved: Called with the number of bytes that came; a negative number has to come again.
            stopped: Ends `fetch` from another thread.
        """
        self._client, self.object, self.target, self.partial = client, source, target, partial
        self._journal, self._limits, self._moved, self._stopped = journal, limits, moved, stopped
        self._about: Any = None
        step = limits.part_megabytes << 20
        self.parts = [Part(start, min(start + step, source.size)) for start in range(0, source.size, step)]

    def missing(self) -> list[Part]:
        """The parts that are missing or damaged, by their CRC-32; the file `partial` is made ready for them."""
        if self.target.exists() and (self.target.stat().st_size != self.object.size or self._bad_parts(self.target)):
            self.target.replace(self.partial)
        if self.target.exists():
            return []
        self.partial.touch()
        bad = self._bad_parts(self.partial)
        with self.partial.open("r+b") as file:
            file.truncate(self.object.size)
        return bad

    def _bad_parts(self, file: Path) -> list[Part]:
        written = self._journal.parts(self.object.key, self.object.etag)
        return [part for part in self.parts if part not in written or crc32(file, *part) != written[part]]

    def fetch(self, part: Part) -> None:
        """Download one part. After a cut it goes on from the last byte that came, after a wait that grows.

        Raises UserError when nothing comes in `limits.attempts` attempts, and when the object was changed.
        """
        came = crc = failed = 0
        with self.partial.open("r+b") as file:
            file.seek(part.start)
            while came < part.stop - part.start:
                blocks, before = self._blocks(Part(part.start + came, part.stop)), came
                try:
                    for block in blocks:
                        if self._stopped.is_set():
                            return
                        file.write(block)
                        crc = zlib.crc32(block, crc)
                        came += len(block)
                        self._moved(len(block))
                except _cut_errors() as error:
                    failed = 0 if came > before else failed + 1
                    if failed >= self._limits.attempts:
                        raise UserError(f"{self.object}: the connection was cut {failed} times and nothing came: run "
                                        "the same command again, it goes on from what is here") from error
                    self._stopped.wait(random.uniform(0, min(2 ** failed, self._limits.longest_wait)))
        self._journal.add(self.object.key, self.object.etag, part, crc)

    def _blocks(self, part: Part) -> Iterator[bytes]:
        whole = part == (0, self.object.size)
        answer = self._ask("get_object", **({"ChecksumMode": "ENABLED"} if whole else
                                            {"Range": f"bytes={part.start}-{part.stop - 1}"}))
        # A store that knows no If-Match answers with another content.
        if answer["ETag"] != self.object.etag or answer["ContentLength"] != part.stop - part.start:
            raise self._changed()
        self._about = answer if whole else self._about
        blocks: Iterator[bytes] = answer["Body"].iter_chunks(_READ_BYTES)
        return blocks

    def finish(self) -> bool:
        """Move the whole file to `target`; False when its bytes are not the store's: then no part of it counts."""
        if self.target.exists():
            return True
        about = self._about or self._ask("head_object", ChecksumMode="ENABLED")
        digest = object_digest(about, self.object.size, self._stored_parts)
        if digest and not digest.fits(self.partial):
            self.partial.unlink()
            self._moved(-self.object.size)
            return False
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.partial.replace(self.target)
        return True

    def _stored_parts(self, count: int) -> list[int]:
        return [self._ask("head_object", PartNumber=number)["ContentLength"] for number in range(1, count + 1)]

    def _ask(self, operation: str, **arguments: Any) -> Any:
        """The store's answer about this object. Raises UserError when it is not the one that was listed."""
        try:
            return getattr(self._client, operation)(Bucket=self.object.bucket, Key=self.object.key,
                                                    IfMatch=self.object.etag, **arguments)
        except self._client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                raise self._changed() from error
            raise

    def _changed(self) -> ObjectChanged:
        return ObjectChanged(f"{self.object}: was changed during the download: run the same command again when nobody "
                         "writes there")


def _cut_errors() -> tuple[type[Exception], ...]:
    """What boto3 raises for an answer that is cut or whose checksum is wrong: `finish` checks the whole again."""
    from botocore import exceptions
    return (exceptions.ResponseStreamingError, exceptions.IncompleteReadError, exceptions.ReadTimeoutError,
            exceptions.FlexibleChecksumError)


@dataclass(frozen=True)
class ObjectDigest:
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


def object_digest(about: Mapping[str, Any], size: int,
                  part_sizes: Callable[[int], Iterable[int]]) -> ObjectDigest | None:
    """The strongest digest that `about`, the answer to a HEAD or GET of the whole object, gives.

    part_sizes: asks the store for the sizes (bytes) of so many stored parts. A checksum that was given at upload
    comes before the ETag, which is an MD5 where the object is not encrypted with a key of its own. None where the
    store says nothing that can be computed from the bytes; size and ETag are then all that is known.
    """
    digests: list[tuple[Algorithm, bytes, int]] = []
    for header, algorithm in _HEADERS:
        if value := about.get(header):
            digest, _, count = value.partition("-")
            digests.append((algorithm, base64.b64decode(digest), int(count or 0)))
    md5 = re.fullmatch(r'"?([0-9a-f]{32})(?:-(\d+))?"?', about.get("ETag", ""))
    if md5 and about.get("ServerSideEncryption") in (None, "AES256") and not about.get("SSECustomerAlgorithm"):
        digests.append(("md5", bytes.fromhex(md5[1]), int(md5[2] or 0)))
    for algorithm, digest, count in digests:
        parts = tuple(part_sizes(count)) if count else ()
        if sum(parts) == (size if count else 0):
            return ObjectDigest(algorithm, digest, parts)
    return None


def crc32(file: Path, start: int, stop: int) -> int:
    """CRC-32 of the bytes from `start` up to `stop`, or of as many as there are."""
    with file.open("rb") as opened:
        opened.seek(start)
        return int.from_bytes(_digest("crc32", _blocks(opened, stop - start)))


def _digest(algorithm: Algorithm, blocks: Iterable[bytes]) -> bytes:
    if algorithm == "crc32":
        crc = 0
        for block in blocks:
            crc = zlib.crc32(block, crc)
        return crc.to_bytes(4)
    state = hashlib.new(algorithm, usedforsecurity=False)
    for block in blocks:
        state.update(block)
    return state.digest()


def _blocks(opened: BinaryIO, size: int) -> Iterable[bytes]:
    while size > 0 and (block := opened.read(min(size, _BLOCK))):
        size -= len(block)
        yield block
