"""Where recordings are brought in from: a folder or a zip, behind one interface."""

import bz2
import copy
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Protocol

from ser_ops.errors import UserError
from ser_ops.folders import list_contents, same_bytes
from ser_ops.terminal import excerpt

_LARGE = 10**9
_DENSEST = 100
_HEADER = 30                # bytes of an entry before its name, at least
_PIECE = 1 << 20
_DICTIONARY = 1 << 27       # bytes that LZMA may look back, twice what its strongest common setting uses
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, ValueError, RuntimeError,
            MemoryError, OverflowError)     # bz2 raises OSError; NotImplementedError is a RuntimeError
_OTHERS = ((0, b"Rar!", "RAR"), (0, b"7z\xbc\xaf", "7z"), (0, b"\x1f\x8b", "gzip"), (0, b"BZh", "bzip2"),
           (0, b"\xfd7zXZ", "xz"), (0, b"(\xb5/\xfd", "Zstandard"), (257, b"ustar", "tar"))
_OFFICIAL = "take the archive from the corpus's official source"


class Source(Protocol):
    """Files by path: what is there, how large (bytes), whether two are the same, and a copy of one.

    skipped: reasons for what cannot be read at all, one for each path.
    """

    paths: list[PurePosixPath]
    skipped: list[str]

    def size(self, path: PurePosixPath) -> int: ...

    def same(self, first: PurePosixPath, second: PurePosixPath) -> bool: ...

    def copy(self, path: PurePosixPath, target: Path) -> None: ...


def copy_file(file: Path, target: Path) -> None:
    """Copy a file's bytes. Raises UserError when it cannot be read, OSError when the copy cannot be written."""
    with _read(file) as source, target.open("wb") as copy_of:
        shutil.copyfileobj(source, copy_of, 1 << 20)


def link_file(file: Path, target: Path) -> None:
    """Make `target` a symbolic link to a file."""
    os.symlink(file.resolve(), target)


def _read(file: Path) -> BinaryIO:
    # A fault in reading must not be taken for one in writing, which `replacing` would name.
    try:
        return file.open("rb")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}): allow reading it or remove it") from error


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.top = PurePosixPath(folder.resolve().name)
        below = list_contents(folder, closed=True)
        self.paths = [self.top / path for path in below.files]
        self.skipped = list(below.skipped.values())

    def file(self, path: PurePosixPath) -> Path:
        """The file itself, as an absolute path."""
        return (self.folder / path.relative_to(self.top)).resolve()

    def size(self, path: PurePosixPath) -> int:
        with _read(self.file(path)) as file:
            return os.fstat(file.fileno()).st_size

    def same(self, first: PurePosixPath, second: PurePosixPath) -> bool:
        return same_bytes(self.file(first), self.file(second))

    def copy(self, path: PurePosixPath, target: Path) -> None:
        copy_file(self.file(path), target)


class _Linked(_Folder):
    def copy(self, path: PurePosixPath, target: Path) -> None:
        link_file(self.file(path), target)

    def size(self, path: PurePosixPath) -> int:
        return 0


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path = archive, path
        self.skipped: list[str] = []
        top = PurePosixPath(path.stem)
        self.entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            _refuse(path, entry)
            if entry.is_dir():
                continue
            inside = top / entry.filename.replace("\\", "/")
            if inside in self.entries:
                raise UserError(f"{path}: refused: it holds {excerpt(entry.filename)!r} twice: {_OFFICIAL}")
            self.entries[inside] = entry
        self.paths = sorted(self.entries)
        declared = sum(entry.file_size for entry in self.entries.values())
        if declared > max(_LARGE, _DENSEST * path.stat().st_size):
            raise UserError(f"{path}: refused: it would unpack to {declared / 1e9:.1f} GB, more than {_DENSEST} times "
                            f"its size, which no speech does: {_OFFICIAL}")
        _refuse_overlaps(path, list(self.entries.values()))

    def size(self, path: PurePosixPath) -> int:
        return self.entries[path].file_size

    def same(self, first: PurePosixPath, second: PurePosixPath) -> bool:
        entries = (self.entries[path] for path in (first, second))
        return len({(entry.file_size, entry.CRC) for entry in entries}) == 1

    def copy(self, path: PurePosixPath, target: Path) -> None:
        with target.open("wb") as file:
            for piece in self._pieces(self.entries[path]):
                file.write(piece)

    def _pieces(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """An entry's bytes, never more than the size it declares, which was held against the free space."""
        try:
            if entry.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
                yield from _unpacked(self.archive, entry)
            else:
                with self.archive.open(entry) as file:
                    yield from iter(lambda: file.read(_PIECE), b"")
        except NotImplementedError as error:
            raise UserError(f"{self.path}: its entry {excerpt(entry.filename)!r} is compressed in a way that is "
                            f"not supported ({error}): extract it yourself and give the folder") from error
        except _DAMAGED as error:
            raise UserError(f"{self.path}: its entry {excerpt(entry.filename)!r} is damaged ({_said(error)}): fetch "
                            "the archive again from its official source") from error


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Bytes of a bzip2 or LZMA entry in small pieces: zipfile unpacks all that it has read, a million times as much."""
    raw = copy.copy(entry)
    raw.compress_type, raw.file_size, raw.CRC = zipfile.ZIP_STORED, entry.compress_size, None  # type: ignore[assignment]
    length = digest = 0
    with archive.open(raw) as file:
        unpacker = bz2.BZ2Decompressor() if entry.compress_type == zipfile.ZIP_BZIP2 else _lzma(file)
        while not unpacker.eof:
            packed = file.read(_PIECE) if unpacker.needs_input else b""
            piece = unpacker.decompress(packed, min(_PIECE, entry.file_size - length + 1))
            if not piece and unpacker.needs_input and not packed:
                break
            length, digest = length + len(piece), zlib.crc32(piece, digest)
            if length > entry.file_size:
                break
            yield piece
    if (length, digest) != (entry.file_size, entry.CRC):
        raise zipfile.BadZipFile("its size or its CRC-32 is not the one declared")


def _lzma(file: IO[bytes]) -> lzma.LZMADecompressor:
    """By the properties before the data: version, their size, three small numbers in one byte, size of dictionary."""
    _, size, numbers, dictionary = struct.unpack("<HHBI", file.read(9))
    if size != 5 or dictionary > _DICTIONARY:
        raise lzma.LZMAError(f"{size} bytes of properties, a dictionary of {dictionary} bytes")
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[
        {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": numbers % 9, "lp": numbers // 9 % 5,
         "pb": numbers // 45}])


def _said(error: BaseException) -> str:
    return excerpt(error) or type(error).__name__


def _refuse(path: Path, entry: zipfile.ZipInfo) -> None:
    """Raise UserError for an entry that would leave the folder, is a link or device, or is encrypted."""
    name = entry.filename
    mode = entry.external_attr >> 16
    # orig_filename: the name before the zip module cut it at a null byte.
    outside = (not name or name.startswith(("/", "\\")) or name[1:2] == ":"
               or ".." in name.replace("\\", "/").split("/") or "\0" in entry.orig_filename)
    special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
    if outside or special:
        fault = "points outside its folder" if outside else "is a link or a device"
        raise UserError(f"{path}: refused: its entry {excerpt(name)!r} {fault}: {_OFFICIAL}")
    if entry.flag_bits & 0x1:
        raise UserError(f"{path}: its entry {excerpt(name)!r} is encrypted: extract it yourself and give the folder")


def _refuse_overlaps(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise UserError where two entries share bytes of the archive, as in one that unpacks to more than it holds."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, following in pairwise(ordered):
        if entry.header_offset + _HEADER + entry.compress_size > following.header_offset:
            raise UserError(f"{path}: refused: its entries {excerpt(entry.filename)!r} and "
                            f"{excerpt(following.filename)!r} overlap: "
                            f"{_OFFICIAL}")


@contextmanager
def open_source(path: Path, link: bool = False) -> Iterator[Source]:
    """The folder or zip at `path` as a source; `link` makes links to a folder's files instead of copies.

    Raises UserError when it is neither, is damaged, or holds an entry or a link that must be refused.
    """
    if os.path.isdir(path):
        yield _Linked(path) if link else _Folder(path)
        return
    if not os.path.exists(path):
        raise UserError(f"{path}: is missing: give the folder or zip that holds the recordings")
    if not path.is_file():      # a pipe would be waited for
        raise UserError(f"{path}: is neither a folder nor a file: give the folder or zip that holds the recordings")
    if link:
        raise UserError(f"{path}: the files of a zip cannot be linked: extract it and give the folder, or copy")
    with _archive(path) as archive:
        yield _Zip(archive, path)


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            begins = file.read(512)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): allow reading it") from error
    for offset, mark, kind in _OTHERS:
        if begins[offset:].startswith(mark):
            raise UserError(f"{path}: is a {kind} archive, not a zip: extract it yourself and give the folder")
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise UserError(f"{path}: is neither a folder nor an intact zip ({_said(error)}): fetch it again from its "
                        "official source") from error
