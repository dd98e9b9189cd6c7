"""Which noise recordings there are, and which of them come from one source."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ser_ops.audio.admission import FORMATS
from ser_ops.errors import UserError
from ser_ops.folders import HIDDEN, Contents, contents
from ser_ops.noise.colour import BETA
from ser_ops.noise.recordings.noise_card import NAME, read_card
from ser_ops.outside_table import read_table

SOURCES = "sources.csv"
# Fold, source, take, class; collections that mix sets put esc50_ before it.
_ESC50 = re.compile(r"(?:esc50_)?\d-(\d+)-[A-Z]-\d+", re.IGNORECASE)
_TAKEN = {*BETA, "clean"}


@dataclass(frozen=True)
class NoiseRecording:
    """One recording. Two with the same `source` were cut from one original and share a partition."""

    recording: str
    collection: str
    category: str
    synthetic: bool
    path: Path
    source: str


@dataclass(frozen=True)
class Scanned:
    """Recordings by id; and by path below the folder why others are left out, `clashes` because of another's name."""

    recordings: list[NoiseRecording]
    skipped: dict[PurePosixPath, str]
    clashes: dict[PurePosixPath, str]


def source_of(recording: str) -> str:
    """Original recording that `recording` (an id) was cut from as far as its name says, the same in every collection.

    ESC-50 names its clips fold-source-take-class. Recordings in one sub-folder of a category are of one source; any
    other is its own.

    >>> source_of("recorded/railway_engine/esc50_4-165791-B-45")
    'esc50/165791'
    >>> source_of("recorded/kitchen/dishes/ch01"), source_of("recorded/children/classroom")
    ('recorded/kitchen/dishes', 'recorded/children/classroom')
    """
    parts = recording.split("/")
    clip = _ESC50.fullmatch(parts[-1])
    return f"esc50/{clip[1]}" if clip else "/".join(parts[:3])


def check_category(category: str, where: object) -> None:
    """Raise UserError that says `where` when `category` is no name for one, or means something else already."""
    if not NAME.fullmatch(category):
        raise UserError(f"{where}: {category!r} is no name for a category of noise: use letters, digits, point, dash "
                        "and underscore")
    if category in _TAKEN:
        raise UserError(f"{where}: {category!r} is taken ({', '.join(sorted(_TAKEN))} have a meaning of their own): "
                        "give the category another name")


def scan(noise_folder: Path, collections: Iterable[str]) -> list[NoiseRecording]:
    """Recordings of the collections, by id, as `scan_folder` finds them in `noise_folder`/<collection>.

    Raises UserError when a collection is missing, has no card or no recordings, a category has a name that is taken,
    two files differ in nothing but their suffix, or a table of sources is wrong.
    """
    recordings: list[NoiseRecording] = []
    for collection in collections:
        card = read_card(noise_folder, collection)
        scanned = scan_folder(noise_folder / collection, collection, card.synthetic)
        for path, reason in scanned.clashes.items():
            raise UserError(f"{noise_folder / collection / path}: {reason}")
        if not scanned.recordings:
            raise UserError(f"{noise_folder / collection}: holds no recordings: bring some in with `ser-ops noise "
                            "add`, or take it out of data.noise in params.yaml")
        recordings += scanned.recordings
    return sorted(recordings, key=lambda one: one.recording)


def scan_folder(folder: Path, collection: str, synthetic: bool = False) -> Scanned:
    """Recordings of `folder`/<category>, at any depth, each with its source.

    Sources are named, the first that there is: by a table sources.csv (columns path and source) in the category, then
    in `folder`; by the file's name (`source_of`); by the sub-folder of the category. An id is
    "<collection>/<path without suffix>". Files that are no audio are passed over.
    Raises UserError when it is no folder, and for a table or a category's name that is wrong.
    """
    below = contents(folder)
    named = {path: f"{collection}/{label}" for path, label in named_sources(folder, below.files).items()}
    for category in sorted({path.parts[0] for path in below.files if len(path.parts) == 2 and path.name == SOURCES}):
        inside = [path.relative_to(category) for path in below.files if path.parts[0] == category]
        named |= {PurePosixPath(category, path): f"{collection}/{category}/{label}"
                  for path, label in named_sources(folder / category, inside).items()}
    taken: dict[str, NoiseRecording] = {}
    skipped, clashes = unreadable(below), {}
    for path in audio(below):
        category, name = path.parts[0], f"{collection}/{path.with_suffix('').as_posix()}"
        if len(path.parts) == 1:
            skipped[path] = "lies in no folder that names its kind of noise"
            continue
        check_category(category, folder / category)
        if name in taken:
            clashes[path] = f"differs from {taken[name].path.name} in its suffix alone: rename one of them"
            continue
        taken[name] = NoiseRecording(name, collection, category, synthetic, folder / path,
                                     named.get(path) or source_of(name))
    return Scanned([taken[name] for name in sorted(taken)], skipped, clashes)


def audio(below: Contents) -> list[PurePosixPath]:
    """The files that are audio by their suffix."""
    return [path for path in below.files if path.suffix.lower() in FORMATS]


def unreadable(below: Contents) -> dict[PurePosixPath, str]:
    """What is no file, with the reason; hidden files are not worth a word."""
    return {path: reason for path, reason in below.skipped.items() if reason != HIDDEN}


def named_sources(folder: Path, files: Iterable[PurePosixPath]) -> dict[PurePosixPath, str]:
    """Source by path, as the table sources.csv of `folder` names them; nothing where there is no table.

    files: what there is, relative to `folder`, as the table's paths are. Raises UserError in one line for a table that
    lacks a column or a value, names a file that is not there, or names two sources for one.
    """
    table, there = folder / SOURCES, set(files)
    named: dict[PurePosixPath, str] = {}
    if PurePosixPath(SOURCES) not in there:
        return named
    for line, row in read_table(table, ("path", "source")):
        path, source = PurePosixPath(row["path"].replace("\\", "/")), row["source"]
        if not source:
            raise UserError(f"{table}: line {line} has no source: fill it in, or remove the line")
        if path not in there:
            raise UserError(f"{table}: line {line} names {row['path']!r}, which is not there: a path counts from "
                            f"{folder}")
        if named.setdefault(path, source) != source:
            raise UserError(f"{table}: line {line} names a second source of {row['path']!r}: keep one line of each")
    return named


def write_sources(folder: Path, named: Mapping[PurePosixPath, str]) -> None:
    """Write the table of sources into `folder`, where there are any."""
    if named:
        (folder / SOURCES).unlink(missing_ok=True)      # it may be a link to the table that stays until all is well
        with (folder / SOURCES).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "source"))
            writer.writerows((path.as_posix(), source) for path, source in sorted(named.items()))
