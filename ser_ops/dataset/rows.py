"""The training table (variants.csv): one row per utterance and variant."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern

from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError

_COLUMNS = ("row", "utterance", "variant", "partition", "emotion", "speaker", "corpus")


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance in one variant; `row` is "<utterance>#<variant>"."""

    row: str
    utterance: str
    variant: str
    partition: str
    emotion: str
    speaker: str
    corpus: str

    @property
    def label(self) -> int:
        """Class index, 0 to 6."""
        return EMOTIONS.index(self.emotion)


def _row(values: Mapping[str, str], path: Path) -> Row:
    one = Row(values["row"], *(intern(values[name]) for name in _COLUMNS[1:]))  # many rows share each of these
    if one.emotion not in EMOTIONS:
        raise UserError(f"{path}: row {one.row!r} has the unknown emotion {one.emotion!r}: give one of "
                        f"{', '.join(EMOTIONS)}")
    return one


def read_rows(path: Path, partition: str | None = None) -> list[Row]:
    """Rows of one partition (train, validation or test), or all of them, in the order of the file.

    Raises UserError when the file cannot be read, lacks a column, names an unknown emotion, or has no row of the
    partition.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}: has no column {', '.join(missing)}: run the augment stage again")
            rows = [_row(values, path) for values in reader if partition in (None, values["partition"])]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): run the augment stage") from error
    if not rows:
        raise UserError(f"{path}: holds no row{f' of the {partition} partition' if partition else ''}: bring more "
                        "corpora or speakers in, or change the shares in params.yaml")
    return rows


def unaltered(work: Path, partition: str) -> list[Row]:
    """Rows of a partition's utterances as they were recorded, sorted by utterance.

    Raises UserError when there are none.
    """
    table = work / "augmented" / "variants.csv"
    rows = [row for row in read_rows(table, partition) if row.variant == "original"]
    if not rows:
        raise UserError(f"{table}: no unaltered utterance is in the {partition} partition: raise "
                        f"partitions.{partition} in params.yaml")
    return sorted(rows, key=lambda row: row.utterance)
