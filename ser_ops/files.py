"""Nothing half written: write beside, then rename."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser_ops.errors import UserError

_LEFTOVER = re.compile(r"\..+\.[a-z0-9_]{8}")  # as `replacing` names the folder beside a path
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A fault in writing `path` in the block (a full disk, a folder that is read-only) becomes a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise UserError(f"{path}: cannot be written ({error.strerror or error}): free space or choose another "
                        "folder, then run the same command again") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (file or folder); renamed over it when the block ends well.

    On an exception the temporary is removed and what stood at `path` before is untouched.
    Raises UserError when the disk is full or the folder cannot be written.
    """
    temporary: Path | None = None
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            temporary = holder / path.name
            yield temporary
            if temporary.is_dir() and path.is_dir():
                path.rename(holder / "before")
            os.replace(temporary, path)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary.parent, ignore_errors=True)


def sweep(path: Path) -> None:
    """Remove what a killed process left beside `path`, where only one process at a time writes it."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def sweep_below(folder: Path) -> None:
    """Remove what killed processes left anywhere below `folder`, where nobody writes now."""
    for leftover in [path for path in folder.rglob(".*") if _LEFTOVER.fullmatch(path.name) and path.is_dir()]:
        shutil.rmtree(leftover, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON (no NaN), keys in the order given, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON. Raises UserError when the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): run the stage that writes it") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}): remove it and run its stage again") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
