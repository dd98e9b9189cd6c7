"""s3:// addresses, and where what lies under one has its place in a folder."""

from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from ser_ops.errors import UserError


def is_remote(source: str) -> bool:
    """Whether `source` is an s3:// address rather than a path.

    >>> is_remote("s3://bucket/ravdess"), is_remote("/data/ravdess")
    (True, False)
    """
    return source.startswith("s3://")


class Address(NamedTuple):
    """A bucket, and the key of one object or the folder-like prefix of many ("" for all).

    >>> Address.read("s3://voices/sets/ravdess/").name
    'ravdess'
    """

    bucket: str
    prefix: str

    @classmethod
    def read(cls, source: str) -> "Address":
        """Raises UserError when no bucket is named."""
        parts = urlsplit(source, allow_fragments=False)
        if not parts.netloc:
            raise UserError(f"{source}: names no bucket: write s3://BUCKET/PREFIX")
        return cls(parts.netloc, (parts.path + (f"?{parts.query}" if parts.query else "")).strip("/"))

    @property
    def name(self) -> str:
        """What the folder or file is called."""
        return PurePosixPath(self.prefix).name or self.bucket

    def holds(self, key: str) -> bool:
        """Whether an object lies here: by its own name or below the prefix, whose name may begin others too.

        >>> [Address("voices", "a").holds(key) for key in ("a", "a/b.wav", "ab.wav", "a/")]
        [True, True, False, False]
        """
        return not key.endswith("/") and (key == self.prefix or not self.prefix or key.startswith(self.prefix + "/"))

    def place(self, key: str) -> PurePosixPath:
        """Where the object goes in a folder. Raises UserError for a key that would lead out of it."""
        inside = PurePosixPath(key).name if key == self.prefix else key[len(self.prefix) + 1 if self.prefix else 0:]
        path = PurePosixPath(inside)
        if path.is_absolute() or ".." in path.parts or "\0" in key:
            raise UserError(f"s3://{self.bucket}/{self.prefix}: the key {key!r} leads out of its folder: nothing more "
                            "was brought")
        return path
