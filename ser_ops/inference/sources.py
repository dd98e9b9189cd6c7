"""Which recordings somebody names: files, folders, patterns, and what comes through a pipe."""

import glob
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from ser_ops.audio.admission import FORMATS
from ser_ops.errors import UserError
from ser_ops.files import named_path, path_on_disk
from ser_ops.folders import HIDDEN, walk_folder

STANDARD_INPUT = "-"
_PATTERN = set("*?[")


def recordings_named(names: Sequence[str]) -> Iterator[str | UserError]:
    """The recordings that names stand for, in their order, and an error in the place of a name that stands for none.

    A folder stands for all recordings below it, by suffix; a pattern (*, ?, [a-z], ** for folders) for the files and
    folders that it fits; what is there by that very name comes before a pattern; `-` for standard input.
    """
    for name in names:
        try:
            yield from _named(name)
        except UserError as error:
            yield error


def _named(name: str) -> list[str]:
    if name == STANDARD_INPUT:
        return [name]
    path = path_on_disk(named_path(name))
    if os.path.isdir(path):     # not Path.is_dir, which raises for a name that is too long
        return _below(path)
    if os.path.lexists(path) or not _PATTERN & set(name):
        return [str(Path(name))]
    if not (fitting := sorted(glob.glob(name, recursive=True))):
        raise UserError(f"{name}: fits no file here: correct the pattern")
    return [file for fits in fitting for file in (_below(Path(fits)) if os.path.isdir(fits) else [fits])]


def _below(folder: Path) -> list[str]:
    # A link to nothing or a pipe is a recording too: why it cannot be read is said in its place.
    files = sorted(path for path, _, reason in walk_folder(folder, any_name=True)
                   if reason != HIDDEN and path.suffix.lower() in FORMATS)
    if not files:
        raise UserError(f"{folder}: holds no recording ({', '.join(FORMATS)}): give a folder of recordings")
    return [str(folder / file) for file in files]


@contextmanager
def on_disk(name: str) -> Iterator[Path]:
    """The file of a recording; what comes through standard input is kept in a temporary file meanwhile.

    Raises UserError where standard input is a terminal.
    """
    if name != STANDARD_INPUT:
        yield path_on_disk(Path(name))
        return
    if sys.stdin.isatty():
        raise UserError("-: no recording comes through standard input: cat FILE | ser-ops predict -")
    with NamedTemporaryFile(prefix="ser-ops-input-", suffix=FORMATS[0]) as file:    # its content says which it is
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)
