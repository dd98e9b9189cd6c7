"""Files below a folder."""

import filecmp
import os
from pathlib import Path, PurePosixPath

from ser_ops.errors import UserError


def walk(folder: Path) -> list[PurePosixPath]:
    """Paths of all files below `folder`, relative to it, sorted; linked folders are entered once.

    Raises UserError when it is no folder or a part of it cannot be listed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder: give the folder that holds the recordings")

    def unreadable(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be listed ({error.strerror}): allow reading it") from error

    found, seen = [], set()
    for top, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        place = os.path.realpath(top)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        below = PurePosixPath(os.path.relpath(top, folder))
        found += [below / file for file in files]
    return sorted(found)


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes; False when one of them cannot be read."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
