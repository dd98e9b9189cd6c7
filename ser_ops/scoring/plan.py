"""The plan of a run: what was asked, and all recordings in parts, in an order that does not depend on the listing.

A listing is sorted in pieces on disk, which are then merged, so that memory does not grow with it.
"""

import heapq
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby, islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ser_ops.config.section import Count, CountOr0, Section
from ser_ops.config.services import Predict, Score, Storage
from ser_ops.documents import read_json, validated_model
from ser_ops.errors import UserError
from ser_ops.files import naming_write_errors, replacing, write_json
from ser_ops.scoring.recordings import Recording, recordings_of

PLAN = "plan"
_ASKED = "plan.json"
_PIECE = 100_000        # recordings that are sorted in memory: some 30 MB
_MERGED = 200           # pieces that are merged at a time: each is an open file


class Asked(Section):
    """What makes a run what it is. fingerprint: of the model; model: what to call it; records: their folder."""

    source: str
    model: str
    fingerprint: str
    records: str | None = None
    predict: Predict


class Plan(Asked):
    """What was asked, and how many recordings in parts of which size; repeated: lines that name one listed already;
    others: files that are no recordings by their suffix, or hidden."""

    part: Count
    recordings: CountOr0
    repeated: CountOr0
    others: CountOr0

    @property
    def parts(self) -> range:
        """The numbers of the parts."""
        return range(-(-self.recordings // self.part))

    def size(self, number: int) -> int:
        """Recordings in a part."""
        return min(self.part, self.recordings - number * self.part)


def part_name(number: int) -> str:
    """What the files of a part are called, without their suffix."""
    return f"part-{number:06d}"


def part_file(out: Path, table: str, number: int) -> Path:
    """The file of a part: of `plan` its recordings, of `answers` and `refused` what came of them."""
    return out / table / f"{part_name(number)}.{'jsonl' if table == PLAN else 'parquet'}"


def read_part(out: Path, number: int) -> list[Recording]:
    """The recordings of a part."""
    return [Recording(*json.loads(line)) for line in _lines(part_file(out, PLAN, number))]


def planned(out: Path, asked: Asked, score: Score, limits: Storage) -> Plan:
    """The plan of a folder: made where there is none, else the one that stands there, when it is for the same.

    Raises UserError where another model, other settings, another source or another folder of records are asked for than
    the run began with, where the source has changed since, for a source that lists no recording, and for a folder of
    records that holds others already.
    """
    if not (out / PLAN).exists():
        if asked.records and next(Path(asked.records).rglob("*.parquet"), None):
            raise UserError(f"{asked.records}: holds records already: give a folder of its own with --records")
        return _made(out, asked, score, limits)
    file = out / PLAN / _ASKED
    plan = validated_model(Plan, read_json(file, _other(out), _other(out)), str(file), _other(out))
    if plan.fingerprint != asked.fingerprint:
        raise UserError(f"{out}: was begun with the model {plan.model}, not with {asked.model}: name that one with "
                        f"--model, or {_other(out)}")
    for name in ("source", "predict", "records"):
        if (before := getattr(plan, name)) != (now := getattr(asked, name)):
            raise UserError(f"{out}: was begun with {_differing(name, before, now)}: {_other(out)}")
    with _sorted_listing(out, asked.source, limits) as (lines, _):
        planned_lines = (line for number in plan.parts for line in _lines(part_file(out, PLAN, number)))
        for before, now in zip_longest(planned_lines, _once(lines)):
            if before != now:
                raise UserError(f"{asked.source}: changed since {out} was begun ({_change(before, now)}): "
                                f"{_other(out)}")
    return plan


def _other(out: Path) -> str:
    return f"give another folder than {out} with --out"


def _differing(name: str, before: Any, now: Any) -> str:
    if name == "source":
        return f"the source {before}, not with {now}"
    if name == "records":
        return " and not ".join(f"with records in {folder}" if folder else "without records"
                                for folder in (before, now)).removeprefix("with ")
    old, new = before.model_dump(), now.model_dump()
    key = next(key for key in old if old[key] != new[key])
    return f"predict.{key} {json.dumps(old[key])}, not with {json.dumps(new[key])}"


def _change(before: str | None, now: str | None) -> str:
    """What the first line that differs says of two listings in the same order."""
    old, new = (None if line is None else Recording(*json.loads(line)) for line in (before, now))
    if old and new and old[:4] == new[:4]:
        return f"{old.path!r} has other bytes or another time"
    if old and (before or "") < (now or "~"):       # lines begin with a bracket, which sorts before the tilde
        return f"{old.path!r} is gone"
    return f"{new.path!r} is new" if new else ""


def _made(out: Path, asked: Asked, score: Score, limits: Storage) -> Plan:
    """Write the plan beside its place, and rename it."""
    number = 0
    with _sorted_listing(out, asked.source, limits) as (lines, listed), replacing(out / PLAN) as folder:
        once = _once(lines)
        while part := list(islice(once, score.part)):
            file = part_file(folder.parent, folder.name, number // score.part)
            file.parent.mkdir(exist_ok=True)
            with file.open("w", encoding="ascii") as opened:
                opened.writelines(part)
            number += len(part)
        if not number:
            raise UserError(f"{asked.source}: holds no recording: give a folder, an s3:// prefix, a table or a list of "
                            "recordings")
        plan = Plan(**dict(asked), part=score.part, recordings=number, repeated=listed["recordings"] - number,
                    others=listed["others"])
        write_json(folder / _ASKED, plan.model_dump())
    return plan


@contextmanager
def _sorted_listing(out: Path, source: str, limits: Storage) -> Iterator[tuple[Iterator[str], dict[str, int]]]:
    """A line of JSON for each recording, sorted, and how many there are, and how many other files."""
    with naming_write_errors(out), TemporaryDirectory(prefix=".listing.", dir=out) as holder, ExitStack() as opened:
        folder = Path(holder) / "listing"       # named so that it is cleared away after a kill
        folder.mkdir()
        counts = {"recordings": 0, "others": 0}
        lines = _counted(recordings_of(source, limits), counts)
        pieces: list[Path] = []
        while piece := sorted(islice(lines, _PIECE)):
            pieces = _add(pieces, piece, folder)
        yield heapq.merge(*(opened.enter_context(piece.open(encoding="ascii")) for piece in pieces)), counts


def _add(pieces: list[Path], piece: list[str], folder: Path) -> list[Path]:
    """Write a sorted piece; too many to be open at once become one."""
    if len(pieces) == _MERGED:
        merged = folder / f"{len(os.listdir(folder)):06d}"
        with ExitStack() as opened, merged.open("w", encoding="ascii") as file:
            file.writelines(heapq.merge(*(opened.enter_context(path.open(encoding="ascii")) for path in pieces)))
        pieces = [merged]
    path = folder / f"{len(os.listdir(folder)):06d}"
    with path.open("w", encoding="ascii") as file:
        file.writelines(piece)
    return [*pieces, path]


def _counted(listed: Iterator[Recording | None], counts: dict[str, int]) -> Iterator[str]:
    for recording in listed:
        counts["others" if recording is None else "recordings"] += 1
        if recording is not None:
            yield json.dumps(recording) + "\n"


def _once(lines: Iterator[str]) -> Iterator[str]:
    """The first line of each recording, or part of one; lines that name the same follow one another."""
    return (next(same) for _, same in groupby(lines, key=lambda line: json.loads(line)[:4]))


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="ascii") as opened:
        yield from opened
