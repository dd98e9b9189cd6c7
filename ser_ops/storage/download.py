"""One object into one file: part by part, and after a cut or a kill on from the parts that have come."""

import random
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ser_ops.config.sections import Storage
from ser_ops.errors import UserError
from ser_ops.storage.digests import crc32, expected
from ser_ops.storage.journal import Journal, Part

_BLOCK = 1 << 18


class Object(NamedTuple):
    """An object as its bucket lists it; size in bytes, the ETag stands for its content."""

    bucket: str
    key: str
    size: int
    etag: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Download:
    """Brings an object to `target`: its parts go into `partial`, which takes that place when the whole is checked."""

    def __init__(self, client: Any, one: Object, target: Path, partial: Path, journal: Journal, limits: Storage,
                 moved: Callable[[int], object], stopped: threading.Event) -> None:
        """moved: told the bytes as they come (negative: they have to come again); stopped: ends `fetch`."""
        self._client, self.object, self.target, self.partial = client, one, target, partial
        self._journal, self._limits, self._moved, self._stopped = journal, limits, moved, stopped
        self._about: Any = None
        step = limits.part_megabytes << 20
        self.parts = [Part(start, min(start + step, one.size)) for start in range(0, one.size, step)]

    def missing(self) -> list[Part]:
        """The parts that are not here, by the CRC-32 of what is; the file is made ready for them."""
        if self.target.exists() and (self.target.stat().st_size != self.object.size or self._bad(self.target)):
            self.target.replace(self.partial)
        if self.target.exists():
            return []
        self.partial.touch()
        bad = self._bad(self.partial)
        with self.partial.open("r+b") as file:
            file.truncate(self.object.size)
        return bad

    def _bad(self, file: Path) -> list[Part]:
        come = self._journal.come(self.object.key, self.object.etag)
        return [part for part in self.parts if part not in come or crc32(file, *part) != come[part]]

    def fetch(self, part: Part) -> None:
        """Bring one part. A connection that is cut goes on from its last byte, after a wait that grows.

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
                except _cuts() as error:
                    failed = 0 if came > before else failed + 1
                    if failed >= self._limits.attempts:
                        raise UserError(f"{self.object}: the connection was cut {failed} times and nothing came: run "
                                        "the same command again, it goes on from what is here") from error
                    self._stopped.wait(random.uniform(0, min(2 ** failed, self._limits.longest_wait)))
        self._journal.note(self.object.key, self.object.etag, part, crc)

    def _blocks(self, part: Part) -> Iterator[bytes]:
        whole = part == (0, self.object.size)
        answer = self._ask("get_object", **({"ChecksumMode": "ENABLED"} if whole else
                                            {"Range": f"bytes={part.start}-{part.stop - 1}"}))
        # A store that knows no If-Match answers with another content.
        if answer["ETag"] != self.object.etag or answer["ContentLength"] != part.stop - part.start:
            raise self._changed()
        self._about = answer if whole else self._about
        blocks: Iterator[bytes] = answer["Body"].iter_chunks(_BLOCK)
        return blocks

    def finish(self) -> bool:
        """Put the whole file in its place; False when its bytes are not the store's: then no part of it counts."""
        if self.target.exists():
            return True
        about = self._about or self._ask("head_object", ChecksumMode="ENABLED")
        truth = expected(about, self.object.size, self._stored_parts)
        if truth and not truth.fits(self.partial):
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
        one = self.object
        try:
            return getattr(self._client, operation)(Bucket=one.bucket, Key=one.key, IfMatch=one.etag, **arguments)
        except self._client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                raise self._changed() from error
            raise

    def _changed(self) -> UserError:
        return UserError(f"{self.object}: was changed while it came: run the same command again when nobody writes "
                         "there")


def _cuts() -> tuple[type[Exception], ...]:
    """What a body raises that ends too early or late, or whose checksum boto3 finds wrong: `finish` looks again."""
    from botocore import exceptions
    return (exceptions.ResponseStreamingError, exceptions.IncompleteReadError, exceptions.ReadTimeoutError,
            exceptions.FlexibleChecksumError)
