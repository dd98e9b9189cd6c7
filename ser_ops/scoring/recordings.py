"""Which recordings a source lists, one after another, and how each is brought to where a decoder can open it.

A source is a folder, an s3:// prefix, a table with a column path (.csv; start, end and channel cut its recordings), or
any other file: a list with a path or an s3:// address on each line. None of them is held in memory.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ser_ops.audio.admission import FORMATS
from ser_ops.config.services import Storage
from ser_ops.corpora.csv_manifest import ALIASES, check_span, parse_channel, parse_seconds, recording_path
from ser_ops.errors import UserError
from ser_ops.files import naming_write_errors, regular_file_size
from ser_ops.folders import HIDDEN, walk_folder
from ser_ops.outside_table import read_table
from ser_ops.storage import s3
from ser_ops.storage.client import Address, connect, is_remote, s3_errors
from ser_ops.storage.download import ObjectChanged, S3Object

_LONGEST_LINE = 2**16       # bytes: longer than any path


class Recording(NamedTuple):
    """A recording of a source, or `start` to `end` seconds of it; path: also an s3:// address.

    channel: from 1 on, None: the door chooses. size: bytes, None for what is not there or was not looked at; state: the
    time of the last change (nanoseconds), or the ETag of an object.
    """

    path: str
    start: float | None
    end: float | None
    channel: int | None
    size: int | None
    state: str


class Refused(Exception):
    """A recording that is not answered; its text says why."""


def recordings_of(source: str, limits: Storage) -> Iterator[Recording | None]:
    """What a source lists, in no order, with None for each file that is no recording by its suffix or is hidden.

    Raises UserError for a source that is not there, cannot be listed or is malformed.
    """
    if is_remote(source):
        return _of_bucket(source, limits)
    if os.path.isdir(source):
        return _of_folder(Path(source))
    return _of_table(Path(source)) if source.lower().endswith(".csv") else _of_list(Path(source))


def _of_folder(folder: Path) -> Iterator[Recording | None]:
    for path, status, reason in walk_folder(folder, any_name=True):
        if reason == HIDDEN or path.suffix.lower() not in FORMATS:
            yield None
        else:       # a link to nothing or a pipe is a recording that the door refuses: it says so beside the answers
            yield Recording(str(folder / path), None, None, None, *_seen(status))


def _of_bucket(source: str, limits: Storage) -> Iterator[Recording | None]:
    with s3_errors(source):
        for listed in s3.list_objects(connect(limits), Address.read(source)):
            is_recording = PurePosixPath(listed.key).suffix.lower() in FORMATS
            yield Recording(str(listed), None, None, None, listed.size, listed.etag) if is_recording else None


def _of_table(table: Path) -> Iterator[Recording | None]:
    for line, row in read_table(table, ["path"], ALIASES):
        where = f"{table}: line {line}"
        if not row["path"]:
            raise UserError(f"{where} has no path: fill it in")
        start, end = (parse_seconds(where, column, row.get(column, "")) for column in ("start", "end"))
        check_span(where, start, end)
        yield _named(table, row["path"])._replace(start=start, end=end,
                                                  channel=parse_channel(where, row.get("channel", "")))


def _of_list(file: Path) -> Iterator[Recording | None]:
    try:
        regular_file_size(file)
        with file.open("rb") as lines:
            number = 0
            while line := lines.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE or b"\0" in line:
                    raise UserError(f"{file}: line {number} is no path: give a folder, an s3:// prefix, a table (.csv) "
                                    "or a list with a path on each line")
                if path := os.fsdecode(line).strip("\r\n"):
                    yield _named(file, path)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}): give a folder, an s3:// prefix, a table (.csv) or "
                        "a list with a path on each line") from error


def _named(by: Path, given: str) -> Recording:
    """The recording that a table or list names; a relative path counts from its folder."""
    if is_remote(given):
        return Recording(given, None, None, None, None, "")
    path = recording_path(by, given)
    try:
        return Recording(str(path), None, None, None, *_seen(path.stat()))
    except (OSError, ValueError):
        return Recording(str(path), None, None, None, None, "")


def _seen(status: os.stat_result | None) -> tuple[int | None, str]:
    return (None, "") if status is None else (status.st_size, str(status.st_mtime_ns))


@contextmanager
def on_disk(recording: Recording, limits: Storage, megabytes: int) -> Iterator[Path]:
    """The file of a recording; an object of a bucket lies in a temporary file meanwhile.

    Raises Refused where the object is gone, changed or larger than `megabytes`; UserError where the store fails, which
    is no fault of the recording.
    """
    if not is_remote(recording.path):
        yield Path(recording.path)
        return
    bucket, _, key = recording.path.removeprefix("s3://").partition("/")
    with TemporaryDirectory(prefix="ser-ops-score-") as folder:
        file = Path(folder) / f"recording{PurePosixPath(key).suffix.lower()}"
        try:
            with s3_errors(recording.path), naming_write_errors(file):
                client = _client(limits)
                listed = (s3.look_up(client, bucket, key) if recording.size is None
                          else S3Object(bucket, key, recording.size, recording.state))
                if listed.size > megabytes * 2**20:
                    raise Refused(f"has {listed.size / 2**20:.0f} MB, more than score.megabytes ({megabytes}): raise "
                                  "that, or cut the recording into parts")
                s3.fetch_object(client, listed, file, limits)
        except ObjectChanged as error:
            raise Refused(str(error).removeprefix(f"{recording.path}: ")) from error
        yield file


@lru_cache(1)
def _client(limits: Storage) -> Any:
    return connect(limits)
