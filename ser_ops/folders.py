"""What lies below a folder that comes from outside: files that can be read, and why the others are left out."""

import filecmp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ser_ops.errors import UserError

HIDDEN = "hidden file"
# Of macOS, Windows and network drives; what begins with a point is hidden as well.
_DESKTOPS = {"__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin",
             "system volume information", "@eadir", "#recycle"}


@dataclass(frozen=True)
class Contents:
    """Regular files below a folder, sorted, and the reason for each path that is left out; paths relative to it."""

    files: list[PurePosixPath]
    skipped: dict[PurePosixPath, str]


@dataclass(frozen=True)
class UnusableFolder:
    """A corpus, or a collection of noise, that cannot be used, and why, in one line."""

    name: str
    error: str

    def record(self) -> dict[str, str]:
        """As a JSON object."""
        return {"name": self.name, "error": self.error}

    def lines(self) -> list[str]:
        """For people."""
        return [f"{self.name}: CANNOT BE USED: {self.error}"]


def is_hidden(path: PurePosixPath) -> bool:
    """Whether a path is hidden, or lies in a hidden folder, on the system that made it: no recording and no table.

    >>> [is_hidden(PurePosixPath(path)) for path in ("a/._b.wav", "__MACOSX/a.wav", "~$list.csv", "a/b.wav")]
    [True, True, True, False]
    """
    return any(part.startswith((".", "~$")) or part.lower() in _DESKTOPS for part in path.parts)


def list_contents(folder: Path, closed: bool = False) -> Contents:
    """Files below `folder`; links are followed, linked folders are entered once, hidden ones never.

    Links to nothing, what is no file (a pipe, a socket, a device) and names that are not UTF-8 are left out and never
    opened. `closed`: a link that leads out of the folder is refused.
    Raises UserError when it is no folder, when a part of it cannot be listed, and for a link that is refused.
    """
    files: list[PurePosixPath] = []
    skipped: dict[PurePosixPath, str] = {}
    for path, _, reason in walk_folder(folder, closed):
        if reason:
            skipped[path] = reason
        else:
            files.append(path)
    return Contents(sorted(files), dict(sorted(skipped.items())))


def walk_folder(folder: Path, closed: bool = False,
                any_name: bool = False) -> Iterator[tuple[PurePosixPath, os.stat_result | None, str]]:
    """What `list_contents` lists, in no order and in memory that only the folders fill, not the files.

    A path relative to `folder`, what the system says of it (None for a link to nothing), and why it is left out, or "".
    `any_name`: names that are not UTF-8 are as good as others. Raises as `list_contents`.
    """
    if not os.path.isdir(folder):   # Path.is_dir raises for a name that is too long
        raise UserError(f"{folder}: is not a folder: give the folder that holds the recordings")
    root, top = os.path.realpath(folder), folder.stat()
    waiting, entered = [PurePosixPath()], {(top.st_dev, top.st_ino)}
    while waiting:
        below, subfolders = waiting.pop(), list[tuple[str, tuple[int, int]]]()
        for entry, status in _entries(folder / below, gone=bool(below.parts)):
            path = below / entry.name
            if is_hidden(PurePosixPath(entry.name)):
                yield path, status, HIDDEN
            elif not any_name and not _is_text(entry.name):     # no table could name it
                yield path, status, "its name is not UTF-8: rename it"
            elif status is None:
                yield path, status, "link to nothing"
            elif closed and entry.is_symlink() and not is_inside(root, Path(entry.path)):
                raise UserError(f"{folder}: refused: its link {str(path)!r} leads out of it: give a folder that holds "
                                "the files themselves (cp -rL copies what links point to)")
            elif stat.S_ISREG(status.st_mode):
                yield path, status, ""
            elif not stat.S_ISDIR(status.st_mode):
                yield path, status, "a pipe, a socket or a device, not a file"
            else:
                subfolders.append((entry.name, (status.st_dev, status.st_ino)))
        for name, inode in sorted(subfolders):      # so that a folder linked twice has the same name each time
            if inode not in entered:
                entered.add(inode)
                waiting.append(below / name)


def subfolder_names(folder: Path) -> list[str]:
    """Names of the folders in `folder` that are not hidden, sorted; none when it is not there.

    Raises UserError when it cannot be listed.
    """
    if not os.path.exists(folder):
        return []
    return sorted(entry.name for entry, status in _entries(folder) if status and stat.S_ISDIR(status.st_mode)
                  and not is_hidden(PurePosixPath(entry.name)))


def _entries(folder: Path, gone: bool = False) -> Iterator[tuple[os.DirEntry[str], os.stat_result | None]]:
    """What a folder lists, and what it is: None for a link to nothing or to itself.

    What is removed meanwhile is not there; with `gone` the folder may be removed too.
    """
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                try:
                    yield entry, _status(folder, entry)
                except FileNotFoundError:
                    continue
    except OSError as error:
        if gone and isinstance(error, FileNotFoundError):
            return
        raise UserError(f"{folder}: cannot be listed ({error.strerror}): allow reading it") from error


def _status(folder: Path, entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError as error:
        if entry.is_symlink():
            return None
        if isinstance(error, FileNotFoundError):
            raise
        raise UserError(f"{folder}: what lies in it cannot be read ({error.strerror}): move or remove it") from error


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_inside(root: str, path: Path) -> bool:
    """Whether a file or folder, links followed, lies in the folder `root`, which is no link."""
    return os.path.join(os.path.realpath(path), "").startswith(os.path.join(root, ""))


def same_bytes(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes; False when one of them cannot be read."""
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:
        return False
