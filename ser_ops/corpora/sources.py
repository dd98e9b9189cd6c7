"""Where recordings are brought in from: a folder or a zip, with one face."""

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from ser_ops.corpora.folders import same_bytes, walk
from ser_ops.errors import UserError

_LARGE = 10**9
_DENSEST = 100


class Source(Protocol):
    """Files by path: what is there, how large (bytes), whether two are the same, and a copy of one."""

    paths: list[PurePosixPath]

    def size(self, path: PurePosixPath) -> int: ...

    def same(self, one: PurePosixPath, other: PurePosixPath) -> bool: ...

    def copy(self, path: PurePosixPath, target: Path) -> None: ...


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.top = PurePosixPath(folder.resolve().name)
        self.paths = [self.top / path for path in walk(folder)]

    def file(self, path: PurePosixPath) -> Path:
        """The file itself, as an absolute path."""
        return (self.folder / path.relative_to(self.top)).resolve()

    def size(self, path: PurePosixPath) -> int:
        with self._open(path) as file:
            return os.fstat(file.fileno()).st_size

    def same(self, one: PurePosixPath, other: PurePosixPath) -> bool:
        return same_bytes(self.file(one), self.file(other))

    def copy(self, path: PurePosixPath, target: Path) -> None:
        with self._open(path) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def _open(self, path: PurePosixPath) -> BinaryIO:
        # A fault in reading must not be taken for one in writing, which `replacing` would name.
        try:
            return self.file(path).open("rb")
        except OSError as error:
            raise UserError(f"{self.file(path)}: cannot be read ({error.strerror}): allow reading it or remove "
                            "it") from error


class _Linked(_Folder):
    def copy(self, path: PurePosixPath, target: Path) -> None:
        os.symlink(self.file(path), target)

    def size(self, path: PurePosixPath) -> int:
        return 0


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive = archive
        top = PurePosixPath(path.stem)
        self.entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            _refuse(path, entry)
            if not entry.is_dir():
                self.entries[top / entry.filename.replace("\\", "/")] = entry
        self.paths = sorted(self.entries)
        declared = sum(entry.file_size for entry in self.entries.values())
        if declared > max(_LARGE, _DENSEST * path.stat().st_size):
            raise UserError(f"{path}: refused: it would unpack to {declared / 1e9:.1f} GB, more than {_DENSEST} times "
                            "its size, which no speech does: take the archive from the corpus's official source")

    def size(self, path: PurePosixPath) -> int:
        return self.entries[path].file_size

    def same(self, one: PurePosixPath, other: PurePosixPath) -> bool:
        first, second = self.entries[one], self.entries[other]
        return (first.file_size, first.CRC) == (second.file_size, second.CRC)

    def copy(self, path: PurePosixPath, target: Path) -> None:
        # An entry never yields more than the size it declares, which was held against the free space.
        with self.archive.open(self.entries[path]) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)


def _refuse(path: Path, entry: zipfile.ZipInfo) -> None:
    """Raise UserError for an entry that would leave the folder, is a link or device, or is encrypted."""
    name = entry.filename
    mode = entry.external_attr >> 16
    # orig_filename: the name before the zip module cut it at a null byte.
    outside = (name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in name.replace("\\", "/").split("/")
               or "\0" in entry.orig_filename)
    special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
    if outside or special:
        fault = "points outside its folder" if outside else "is a link or a device"
        raise UserError(f"{path}: refused: its entry {name!r} {fault}: take the archive from the corpus's official "
                        "source")
    if entry.flag_bits & 0x1:
        raise UserError(f"{path}: its entry {name!r} is encrypted: extract it yourself and give the folder")


@contextmanager
def opened(path: Path, link: bool = False) -> Iterator[Source]:
    """The folder or zip at `path` as a source; `link` makes links to a folder's files instead of copies.

    Raises UserError when it is neither, is damaged, or holds an entry that must be refused.
    """
    if path.is_dir():
        yield _Linked(path) if link else _Folder(path)
        return
    if not path.exists():
        raise UserError(f"{path}: is missing: give the folder or zip that holds the recordings")
    if link:
        raise UserError(f"{path}: the files of a zip cannot be linked: extract it and give the folder, or copy")
    try:
        with zipfile.ZipFile(path) as archive:
            yield _Zip(archive, path)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise UserError(f"{path}: is no folder and no sound zip ({error}): fetch it again from its official "
                        "source") from error
