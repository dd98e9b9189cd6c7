"""Answers as rows of a table, written to CSV or Parquet while they come: a file is whole or not there."""

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ser_ops.audio.admission import FORMATS
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.inference.recogniser import Answer, WindowAnswer
from ser_ops.speech.detector import spoken_seconds

_PROBABILITIES = [f"p_{emotion}" for emotion in EMOTIONS]
COLUMNS = {"path": str, "emotion": str, **dict.fromkeys(_PROBABILITIES, float), "seconds": float,
           "speech_seconds": float, "emotions": str, "warnings": str, "error": str}
WINDOW_COLUMNS = {"path": str, "start": float, "end": float, "emotion": str, **dict.fromkeys(_PROBABILITIES, float),
                  "speech_seconds": float, "error": str}
# Of `ser-ops score`: the part of the recording, where it is not the whole, the model that answered, the record's id.
_PART: dict[str, type] = {"path": str, "start": float, "end": float, "channel": int}
SCORED_COLUMNS = {**_PART, **{name: kind for name, kind in COLUMNS.items() if name != "error"}, "model": str,
                  "record": str}
REFUSED_COLUMNS = {**_PART, "error": str}
_BATCH = 1000       # rows that are written together
_STANDARD_OUTPUT = (Path("-"), Path("/dev/stdout"))


class Writer(Protocol):
    """Takes rows by column; what a row does not name is empty."""

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, or keep them until there are more."""


def row_of(path: str, answer: Answer) -> dict[str, Any]:
    """A recording's row of COLUMNS: lists are joined, `emotions` by spaces, `warnings` by '; '."""
    probabilities = dict(zip(_PROBABILITIES, answer.probabilities.round(6).tolist(), strict=True))
    speech = {} if answer.speech is None else {
        "speech_seconds": round(sum((segment.end - segment.start for segment in answer.speech), 0.0), 3)}
    return {"path": path, "emotion": answer.emotion, **probabilities, "seconds": round(answer.seconds, 3), **speech,
            "emotions": " ".join(answer.emotions or ()), "warnings": "; ".join(answer.warnings)}


def window_rows(path: str, answer: Answer) -> list[dict[str, Any]]:
    """A row of WINDOW_COLUMNS for each window of a recording; one without sound, and so without windows, is one row."""
    windows = answer.windows or [WindowAnswer(0.0, answer.seconds, answer.probabilities, spoken=False)]
    starts, ends = (np.array([getattr(window, edge) for window in windows]) for edge in ("start", "end"))
    heard = [None] * len(windows) if answer.speech is None else spoken_seconds(answer.speech, starts, ends).round(3)
    return [{"path": path, "start": round(window.start, 3), "end": round(window.end, 3), "emotion": window.emotion,
             **dict(zip(_PROBABILITIES, window.probabilities.round(6).tolist(), strict=True)),
             "speech_seconds": seconds if seconds is None else float(seconds)}
            for window, seconds in zip(windows, heard, strict=True)]


class _Csv:
    def __init__(self, file: Any, columns: Mapping[str, type]) -> None:
        self._table = csv.DictWriter(file, list(columns), restval="")
        self._table.writeheader()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._table.writerows(rows)


def is_standard_output(path: Path) -> bool:
    """Whether a path stands for standard output."""
    return path in _STANDARD_OUTPUT


def check_table(path: Path) -> None:
    """Raise UserError for the name of a recording, which a table would destroy."""
    if path.suffix.lower() in FORMATS:
        raise UserError(f"{path}: is the name of a recording: give the name of a table, such as answers.csv")


@contextmanager
def csv_table(path: Path, columns: Mapping[str, type]) -> Iterator[Writer]:
    """A CSV file in UTF-8 with a head line, in the place of `path` when the block ends well; `-`: standard output.

    Raises UserError as `check_table` and `replacing`.
    """
    if is_standard_output(path):
        yield _Csv(sys.stdout, columns)
        sys.stdout.flush()
        return
    check_table(path)
    with replacing(path, file=True) as temporary, open(temporary, "w", newline="", encoding="utf-8",
                                            errors="backslashreplace") as file:
        yield _Csv(file, columns)


class _Parquet:
    def __init__(self, path: Path, columns: Mapping[str, type]) -> None:
        import pyarrow
        import pyarrow.parquet
        kinds = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64()}
        self._schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self._file = pyarrow.parquet.ParquetWriter(path, self._schema)
        self._rows: list[Mapping[str, Any]] = []

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows += rows
        if len(self._rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        import pyarrow
        if self._rows:
            self._file.write_table(pyarrow.Table.from_pylist([{name: _as_text(row.get(name)) for name
                                                               in self._schema.names} for row in self._rows],
                                                             schema=self._schema))
        self._rows = []

    def close(self) -> None:
        self._file.close()


def _as_text(value: Any) -> Any:
    """A name that is not UTF-8 with its odd bytes as escapes; all else as it is."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


@contextmanager
def parquet_table(path: Path, columns: Mapping[str, type]) -> Iterator[Writer]:
    """A Parquet file, in the place of `path` when the block ends well; it takes the package pyarrow.

    Raises UserError as `check_table` and `replacing`, and for standard output.
    """
    if is_standard_output(path):
        raise UserError(f"{path}: Parquet is not written to standard output: give the name of a file, or --csv -")
    check_table(path)
    with replacing(path, file=True) as temporary:
        table = _Parquet(temporary, columns)
        try:
            yield table
            table.flush()
        finally:
            table.close()
