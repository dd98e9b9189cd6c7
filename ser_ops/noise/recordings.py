"""Noise recordings: the card of a collection, which recordings there are, of which source, and in which partition.

Recordings that were cut from one source share a partition, so that no test noise was heard in training.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from ser_ops.audio.admission import FORMATS
from ser_ops.cards import FOLDER_NAME, Card
from ser_ops.config.data import Partitions
from ser_ops.config.section import Call, Room
from ser_ops.errors import UserError
from ser_ops.folders import HIDDEN, Contents, list_contents
from ser_ops.manifest import NoiseRow
from ser_ops.noise.mixing import NOISE_COLOURS
from ser_ops.outside_table import read_table
from ser_ops.seeds import derive_seed

SOURCES_FILE = "sources.csv"
# Fold, source, take, class; collections that mix sets put esc50_ before it.
_ESC50 = re.compile(r"(?:esc50_)?\d-(\d+)-[A-Z]-\d+", re.IGNORECASE)
_TAKEN = {*NOISE_COLOURS, "clean", *get_args(Call), *get_args(Room)}


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
class NoiseScan:
    """Recordings by id; and by path below the folder why others are left out, `clashes` because of another's name."""

    recordings: list[NoiseRecording]
    skipped: dict[PurePosixPath, str]
    clashes: dict[PurePosixPath, str]


class NoiseCard(Card):
    """The card of one collection, noise.yaml."""

    file = "noise.yaml"
    kind = "collection of noise"
    command = "ser-ops noise add"
    setting = "data.noise"


def scan_noise(noise_folder: Path, collections: Iterable[str]) -> list[NoiseRecording]:
    """Recordings of the collections, by id, as `scan_collection` finds them in `noise_folder`/<collection>.

    Raises UserError when a collection is missing, has no card or no recordings, a category has a name that is taken,
    two files differ in nothing but their suffix, or a table of sources is wrong.
    """
    recordings: list[NoiseRecording] = []
    for collection in collections:
        card = NoiseCard.read(noise_folder, collection)
        scanned = scan_collection(noise_folder / collection, collection, card.synthetic)
        for path, reason in scanned.clashes.items():
            raise UserError(f"{noise_folder / collection / path}: {reason}")
        if not scanned.recordings:
            raise UserError(f"{noise_folder / collection}: holds no recordings: bring some in with `ser-ops noise "
                            "add`, or take it out of data.noise in params.yaml")
        recordings += scanned.recordings
    return sorted(recordings, key=lambda recording: recording.recording)


def scan_collection(folder: Path, collection: str, synthetic: bool = False) -> NoiseScan:
    """Recordings of `folder`/<category>, at any depth, each with its source.

    Sources are named, the first that there is: by a table sources.csv (columns path and source) in the category, then
    in `folder`; by the file's name (`source_by_name`); by the sub-folder of the category. An id is
    "<collection>/<path without suffix>". Files that are no audio are passed over.
    Raises UserError when it is no folder, and for a table or a category's name that is wrong.
    """
    below = list_contents(folder)
    named = {path: f"{collection}/{label}" for path, label in read_sources(folder, below.files).items()}
    tables = (path for path in below.files if len(path.parts) == 2 and path.name == SOURCES_FILE)
    for category in sorted({table.parts[0] for table in tables}):
        inside = [path.relative_to(category) for path in below.files if path.parts[0] == category]
        named |= {PurePosixPath(category, path): f"{collection}/{category}/{label}"
                  for path, label in read_sources(folder / category, inside).items()}
    taken: dict[str, NoiseRecording] = {}
    skipped, clashes = unreadable_paths(below), {}
    for path in audio_files(below):
        category, name = path.parts[0], f"{collection}/{path.with_suffix('').as_posix()}"
        if len(path.parts) == 1:
            skipped[path] = "lies in no folder that names its kind of noise"
            continue
        check_category(category, folder / category)
        if name in taken:
            clashes[path] = f"differs from {taken[name].path.name} in its suffix alone: rename one of them"
            continue
        taken[name] = NoiseRecording(name, collection, category, synthetic, folder / path,
                                     named.get(path) or source_by_name(name))
    return NoiseScan([taken[name] for name in sorted(taken)], skipped, clashes)


def check_category(category: str, where: object) -> None:
    """Raise UserError that says `where` when `category` is no name for one, or means something else already."""
    if not FOLDER_NAME.fullmatch(category):
        raise UserError(f"{where}: {category!r} is not a valid name for a category: use letters, digits, point, dash "
                        "and underscore")
    if category in _TAKEN:
        raise UserError(f"{where}: {category!r} is taken ({', '.join(sorted(_TAKEN))} are reserved): "
                        "give the category another name")


def audio_files(below: Contents) -> list[PurePosixPath]:
    """The files that are audio by their suffix."""
    return [path for path in below.files if path.suffix.lower() in FORMATS]


def unreadable_paths(below: Contents) -> dict[PurePosixPath, str]:
    """What is no file, with the reason; hidden files are not worth a word."""
    return {path: reason for path, reason in below.skipped.items() if reason != HIDDEN}


def source_by_name(recording: str) -> str:
    """Original recording that `recording` (an id) was cut from as far as its name says, the same in every collection.

    ESC-50 names its clips fold-source-take-class. Recordings in one sub-folder of a category are of one source; any
    other is its own.

    >>> source_by_name("recorded/railway_engine/esc50_4-165791-B-45")
    'esc50/165791'
    >>> source_by_name("recorded/kitchen/dishes/ch01"), source_by_name("recorded/children/classroom")
    ('recorded/kitchen/dishes', 'recorded/children/classroom')
    """
    parts = recording.split("/")
    clip = _ESC50.fullmatch(parts[-1])
    return f"esc50/{clip[1]}" if clip else "/".join(parts[:3])


def read_sources(folder: Path, files: Iterable[PurePosixPath]) -> dict[PurePosixPath, str]:
    """Source by path, as the table sources.csv of `folder` names them; nothing where there is no table.

    files: what there is, relative to `folder`, as the table's paths are. Raises UserError in one line for a table that
    lacks a column or a value, names a file that is not there, or names two sources for one.
    """
    table, existing = folder / SOURCES_FILE, set(files)
    named: dict[PurePosixPath, str] = {}
    if PurePosixPath(SOURCES_FILE) not in existing:
        return named
    for line, row in read_table(table, ("path", "source")):
        path, source = PurePosixPath(row["path"].replace("\\", "/")), row["source"]
        if not source:
            raise UserError(f"{table}: line {line} has no source: fill it in, or remove the line")
        if path not in existing:
            raise UserError(f"{table}: line {line} names {row['path']!r}, which is not there: a path counts from "
                            f"{folder}")
        if named.setdefault(path, source) != source:
            raise UserError(f"{table}: line {line} names a second source of {row['path']!r}: keep one line of each")
    return named


def write_sources(folder: Path, named: Mapping[PurePosixPath, str]) -> None:
    """Write the table of sources into `folder`, where there are any."""
    if named:
        table = folder / SOURCES_FILE
        table.unlink(missing_ok=True)       # it may be a link to the table that stays until all is well
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "source"))
            writer.writerows((path.as_posix(), source) for path, source in sorted(named.items()))


def assign_noise_partitions(rows: Sequence[NoiseRow], settings: Partitions) -> list[str]:
    """train, validation or test for each row, in their order.

    Recordings of one source, of the same content, or of one sound, stay together. In each category the shares of
    `settings.noise_validation` and `noise_test` count sources, with at least one for training, from two sources on
    one for testing, from three on one for validation (unless a share is 0). A category of `settings.held_out_noise`
    goes to test with every source that occurs in it. Depends on names and seed, not on the order of rows. Rows with
    an error are not counted.
    """
    sources = _joined(rows)
    members: dict[str, set[str]] = defaultdict(set)
    for row, source in zip(rows, sources, strict=True):
        if not row.error:
            members[row.category].add(source)
    partition_of = {source: "test" for category in settings.held_out_noise for source in members.get(category, ())}
    for category in sorted(set(members) - set(settings.held_out_noise)):
        left = _wanted(len(members[category]), settings)
        left.subtract(partition_of[source] for source in members[category] if source in partition_of)
        free = sorted(members[category] - set(partition_of),
                      key=lambda source: derive_seed(settings.seed, "noise", source))
        # Sources that occur in two categories may have been placed already, so training has the first choice.
        queue = ["train"] * min(1, left["train"]) + ["test"] * left["test"] + ["validation"] * left["validation"]
        partition_of.update((source, queue[rank] if rank < len(queue) else "train") for rank, source in enumerate(free))
    return [partition_of.get(source, "train") for source in sources]


def _wanted(sources: int, settings: Partitions) -> Counter[str]:
    """How many of a category's sources each partition should get.

    >>> from types import SimpleNamespace
    >>> quarters = SimpleNamespace(noise_test=0.25, noise_validation=0.25)
    >>> [tuple(_wanted(sources, quarters).values()) for sources in (1, 2, 3, 8)]
    [(1, 0, 0), (1, 1, 0), (1, 1, 1), (4, 2, 2)]
    """
    tested = sources >= 2 and settings.noise_test > 0
    validated = sources >= 3 and settings.noise_validation > 0
    test = min(max(1, round(sources * settings.noise_test)), sources - 1 - validated) if tested else 0
    validation = min(max(1, round(sources * settings.noise_validation)), sources - 1 - test) if validated else 0
    return Counter(train=sources - test - validation, test=test, validation=validation)


def _joined(rows: Sequence[NoiseRow]) -> list[str]:
    """The source of each row, the same one for sources that have a recording of the same content or sound."""
    parent: dict[str, str] = {}

    def top(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for row in rows:
        for key in (row.content, row.sound):
            if key:
                # A tilde sorts after every source, so that the top of a tree is always a source.
                first, second = sorted((top(_source(row)), top(f"~{key}")))
                parent[second] = first
    return [top(_source(row)) for row in rows]


def _source(row: NoiseRow) -> str:
    return row.source or source_by_name(row.recording)
