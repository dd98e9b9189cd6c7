"""Nothing half written: write beside, then rename."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser_ops.errors import UserError
from ser_ops.terminal import print_line

_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}", re.DOTALL)  # as `replacing` names the folder beside a path
_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]*://")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST = 255 - len("..") - 8  # bytes of a name that fits into the name of that folder
_BEFORE = ".before"     # beside the temporary: what stood in its place, for the moment between two renames
_DEVICES = Path("/dev")     # its links, such as stdout, lead to what no file may replace
_FULL, _CLOSED = "free space or choose another folder", "choose a folder that you may write"
_IN_THE_WAY = "a file stands where a folder must be: choose another folder"
_REMEDIES = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL, errno.EROFS: _CLOSED, errno.EACCES: _CLOSED,
             errno.EPERM: _CLOSED, errno.ENAMETOOLONG: "choose a shorter name", errno.ENOTDIR: _IN_THE_WAY,
             errno.EEXIST: _IN_THE_WAY}


@contextmanager
def naming_write_errors(path: Path) -> Iterator[None]:
    """A fault in writing `path` in the block (a full disk, a folder that is read-only) becomes a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written ({error.strerror or error}): "
                     f"{_REMEDIES.get(error.errno or 0, 'choose another folder')}, then run the same command again")


def make_folder(folder: Path) -> None:
    """Make a folder, and those around it, where it is missing. Raises UserError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


@contextmanager
def replacing(path: Path, file: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` (file or folder); renamed over it when the block ends well.

    On an exception the temporary is removed and what stood at `path` before is untouched. A symbolic link is replaced
    itself: DVC links what it tracks into its cache, where nothing may change.

    Args:
        path: What is written.
        file: Whether it is a file, so that a folder at `path` is refused before the block begins.

    Raises:
        UserError: The disk is full, the folder cannot be written, or at `path` stands what must not be replaced: a
            pipe, a socket, a device, or a folder where a file is written.
    """
    temporary: Path | None = None
    try:
        with naming_write_errors(path):
            holder = _holder_beside(path, file)
            temporary = holder / path.name
            yield temporary
            _check_target(path, temporary.is_file())
            if temporary.is_dir() and path.is_dir():
                path.rename(holder / _BEFORE)
            os.replace(temporary, path)
    finally:
        if temporary is not None:
            _put_back(temporary.parent / _BEFORE, path)
            shutil.rmtree(temporary.parent, ignore_errors=True)


def _check_target(path: Path, file: bool) -> None:
    """Raise UserError where a file, or else a file or a folder, must not take the place of what stands at `path`."""
    if os.path.realpath(path.parent) == str(_DEVICES) or (path.exists() and not (path.is_file() or path.is_dir())):
        raise UserError(f"{path}: no file may take the place of a pipe or a device: give the name of a file")
    if file and path.is_dir():
        raise UserError(f"{path}: is a folder: give the name of a file")


def _holder_beside(path: Path, file: bool) -> Path:
    """A new folder beside `path`, for what will take its place. Raises UserError where nothing may, or none can be."""
    try:
        _check_target(path, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{_within(path.name)}.", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error


def _put_back(before: Path, path: Path) -> None:
    """What stood at `path` and was moved to `before`, where nothing took its place."""
    if before.is_dir() and not os.path.lexists(path):
        before.rename(path)


def _within(name: str) -> str:
    """A name as it stands within that of the folder beside it; one too long for that by its digest."""
    raw = os.fsencode(name)
    return name if len(raw) <= _LONGEST else hashlib.sha256(raw).hexdigest()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left anywhere below `folder`, where nobody writes now; nothing of the user's.

    A folder that one of them had moved away, and came no further, is put back.
    """
    for leftover in [path for path in folder.rglob(".*") if path.is_dir()]:
        named = _LEFTOVER.fullmatch(leftover.name)
        if named and leftover.is_dir() and all(     # one that lay in another is gone with it
                entry.name == _BEFORE or _within(entry.name) == named[1] for entry in leftover.iterdir()):
            _put_back(leftover / _BEFORE, leftover.with_name(named[1]))
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def one_writer_at_a_time(lock: Path | None, folder: Path) -> Iterator[None]:
    """Let only one process at a time write into `folder`, by a lock on the file `lock`.

    It prints a line when it waits for another one; one that was killed is not waited for, and what it left in
    `folder` is removed. Without a lock nobody waits and nothing is removed. Raises UserError when the lock cannot be
    written.
    """
    if lock is None:
        yield
        return
    from filelock import FileLock, Timeout

    with naming_write_errors(lock):
        make_folder(lock.parent)
        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            print_line(f"{folder}: waits for another command that brings data in (it holds {lock})", aside=True)
            held.acquire()
    try:
        remove_leftovers(folder)
        yield
    finally:
        held.release()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path, file=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON (no NaN), keys in the order given, whole or not at all.

    What is no character by itself, as in a name that is not UTF-8, stands there as an escape.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(path, _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text))


def named_path(name: str) -> Path:
    """The path that a user names.

    Raises UserError for an empty name, as of a shell variable without value, which Path takes for the folder we are in;
    and for an address, which Path makes another name of.
    """
    if not name:
        raise UserError("'': the name is empty: give the name of a file or folder")
    if _ADDRESS.match(name) and not os.path.lexists(name):
        raise UserError(f"{name}: is an address, and a file or folder is taken here: fetch it first (ser-ops score, "
                        "corpora add and noise add take s3:// themselves)")
    return Path(name)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def regular_file_size(path: Path) -> int:
    """Bytes of a file. To open a pipe may wait for ever, so this comes before opening what somebody named.

    Raises OSError when it cannot be looked at, and UserError when it is a folder, a pipe or a device.
    """
    try:
        status = path.stat()
    except ValueError as error:     # a NUL, which no name may hold
        raise UserError(f"{str(path)!r}: is not a valid file name ({error}): correct it") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise UserError(f"{path}: is {kind}: give a file")
    return status.st_size


def path_on_disk(path: Path) -> Path:
    """The path as it is spelt on this disk: a Mac writes an accent apart from its letter, others both as one character.

    Each part that is not there as it stands is looked for in both spellings. What is nowhere is given back unchanged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "u\u0308.wav").touch()
    ...     [path_on_disk(Path(folder, name)).name == "u\u0308.wav" for name in ("\u00fc.wav", "\u00f6.wav")]
    [True, False]
    """
    if str(path).isascii() or os.path.lexists(path):
        return path
    existing = path.anchor
    for part in path.parts[1 if path.anchor else 0:]:
        spellings = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        candidates = [os.path.join(existing, spelling) for spelling in spellings]
        existing = next((candidate for candidate in candidates if os.path.lexists(candidate)), "")
        if not existing:
            return path
    return Path(existing)
