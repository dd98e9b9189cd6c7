"""Records of what a model heard: figures of each recording and its answer, without sound or name, in Parquet.

Each record is appended to a log at once, so that a kill loses none; a full log becomes a Parquet file. The oldest files
go when the folder has too many bytes, and how many records went with them is kept. Damaged lines of a log are left out,
counted, and kept beside it.
"""

import json
import math
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from ser_ops.config.services import Watch
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import naming_write_errors, remove_leftovers, replacing, write_json
from ser_ops.inference.recogniser import Answer
from ser_ops.models.base import EMBEDDING
from ser_ops.speech.sound import Sound

if TYPE_CHECKING:
    import pyarrow
    from filelock import FileLock

FIGURES: tuple[str, ...] = ("seconds", *(field.name for field in fields(Sound)))
PROBABILITIES: tuple[str, ...] = tuple(f"p_{emotion}" for emotion in EMOTIONS)
REMOVED = "removed.json"
_LOG, _FILE, _DAMAGED, _LOCK = ".jsonl", ".parquet", ".damaged", "writer.lock"
_MEGABYTE = 2**20


def record_of(answer: Answer, model: str) -> dict[str, Any]:
    """The record of an answer: id, time (UTC, ms), model, FIGURES, PROBABILITIES and the embedding.

    model: fingerprint of the model that answered. The id is drawn, and so tells nothing of who asked.
    """
    figures = {"seconds": answer.seconds, **{field.name: getattr(answer.sound, field.name) for field in fields(Sound)}}
    embedding = [math.nan] * EMBEDDING if answer.embedding is None else answer.embedding.astype(np.float16).tolist()
    return {"id": uuid4().hex, "time": round(datetime.now(UTC).timestamp() * 1000), "model": model,
            **{name: round(float(value), 4) for name, value in figures.items()},
            **dict(zip(PROBABILITIES, answer.probabilities.round(6).tolist(), strict=True)), "embedding": embedding}


def lock_folder(folder: Path) -> "FileLock":
    """The lock of the one command that writes records into a folder, which is made where it is missing.

    What a killed one left half written goes. Raises UserError where the folder cannot be written or another command
    writes into it, and ImportError without pyarrow.
    """
    from filelock import FileLock, Timeout
    _arrow()
    with naming_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{folder}: another process writes its records here: give each a folder of its "
                            "own") from None
    remove_leftovers(folder)
    return lock


def write_records(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records (`record_of`) into a Parquet file that its owner alone may read, whole or not at all."""
    with replacing(file) as temporary:
        _arrow().parquet.write_table(table_of(records), temporary, compression="zstd")
        temporary.chmod(0o600)


class Recorder:
    """Writes records into a folder that no other process writes into; any thread may add. End it with `close`."""

    def __init__(self, folder: Path, settings: Watch) -> None:
        """Open a folder, which is made where it is missing; logs that a killed process left become Parquet files.

        Raises UserError where the folder cannot be written, where another process writes into it, and without pyarrow.
        """
        if other := next((file for file in folder.glob(f"*{_FILE}") if not file.name[0].isdigit()), None):
            raise UserError(f"{other}: is no file of a service, whose oldest go: give a folder of its own")
        self.folder, self._settings = folder, settings
        self._changing = threading.Lock()
        self._lock = lock_folder(folder)
        with naming_write_errors(folder):
            for log in sorted(folder.glob(f"*{_LOG}")):
                _pack(log)
            self._begin()

    def add(self, answer: Answer, model: str) -> str:
        """Keep the record of an answer (`record_of`) and return its id. Raises OSError where it cannot be written."""
        record = record_of(answer, model)
        line = (json.dumps(record) + "\n").encode()
        with self._changing:
            written = os.write(self._file, line)
            if written < len(line):     # the disk is full: half a line would spoil the next one
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(f"{self._path}: cannot be written: the disk is full")
            self._records += 1
            if self._records >= self._settings.file_records:
                self._end()
                self._begin()
        return str(record["id"])

    def close(self) -> None:
        """Write what the log holds into a Parquet file, and let another process in."""
        with self._changing:
            self._end()
            self._lock.release()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _begin(self) -> None:
        self._remove_oldest()
        self._path = self.folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:6]}{_LOG}"
        self._file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._records = 0

    def _end(self) -> None:
        os.close(self._file)
        _pack(self._path)

    def _remove_oldest(self) -> None:
        """Remove the oldest files beyond the limit. They are counted first: a kill in between counts none twice."""
        removed = removed_records(self.folder)
        files = sorted(self.folder.glob(f"*{_FILE}"))
        total = sum(file.stat().st_size for file in files)
        for file in files:
            if file.name > removed["last"]:
                if total <= self._settings.megabytes * _MEGABYTE:
                    break
                removed = {"files": removed["files"] + 1, "records": removed["records"] + _number(file),
                           "last": file.name}
                write_json(self.folder / REMOVED, removed)
            total -= file.stat().st_size
            file.unlink()


def removed_records(folder: Path) -> dict[str, Any]:
    """How many files and records of a folder were removed to keep its limit, and the name of the last file."""
    path = folder / REMOVED
    return {"files": 0, "records": 0, "last": ""} | (read_json(path) if path.is_file() else {})


@dataclass(frozen=True)
class Records:
    """Records as arrays over n recordings, in order of time.

    ids, models: str (n,); times: datetime64[ms] (n,), UTC; figures: (n, FIGURES) float64, NaN where one is not known;
    probabilities: (n, 7) float64; embeddings: (n, EMBEDDING) float32.
    """

    ids: np.ndarray
    times: np.ndarray
    models: np.ndarray
    figures: np.ndarray
    probabilities: np.ndarray
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, chosen: np.ndarray) -> "Records":
        """The records of a mask or of indices."""
        return Records(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def figure(self, name: str) -> np.ndarray:
        """One of FIGURES, float64 (n,)."""
        return self.figures[:, FIGURES.index(name)]

    @property
    def spoken(self) -> np.ndarray:
        """Whether somebody speaks, as far as the model could tell, bool (n,)."""
        return self.figure("speech_share") != 0.0

    @property
    def predicted(self) -> np.ndarray:
        """Class indices (n,)."""
        return self.probabilities.argmax(1)


def read_records(folder: Path) -> Records:
    """All records in a folder and in those below it, of a process that still writes too.

    Raises UserError where there is none, and for a file that holds no records.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: give the one that ser-ops serve or score --records wrote")
    # Logs come first: one that becomes a file meanwhile is there as that file by then.
    logs = {log.with_suffix(_FILE): _read_log(log)[0] for log in _below(folder, _LOG)}
    files = _below(folder, _FILE)
    tables = [_read_table(file) for file in files if file.exists()]     # the oldest may go meanwhile
    tables += [table_of(lines) for file, lines in logs.items() if file not in files]
    if not any(table.num_rows for table in tables):
        raise UserError(f"{folder}: holds no records: ser-ops serve --records and score --records write them")
    return records_of(_arrow().concat_tables(tables))


def _below(folder: Path, suffix: str) -> list[Path]:
    """Files in a folder and those below it, without what is half written."""
    return sorted(file for file in folder.rglob(f"*{suffix}") if not file.parent.name.startswith("."))


def records_of(table: "pyarrow.Table") -> Records:
    """The records of a table that has the columns of `table_of`, in order of time."""
    table = table.sort_by([("time", "ascending"), ("id", "ascending")]).combine_chunks()

    def columns(names: Iterable[str]) -> np.ndarray:
        return np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.float64)

    embeddings = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Records(np.asarray(table["id"].to_pylist(), str), table["time"].to_numpy().astype("datetime64[ms]"),
                   np.asarray(table["model"].to_pylist(), str), columns(FIGURES), columns(PROBABILITIES),
                   embeddings.astype(np.float32).reshape(-1, EMBEDDING))


def table_of(records: Iterable[Mapping[str, Any]]) -> "pyarrow.Table":
    """Records (`record_of`) as a table of Parquet; the embedding in half precision."""
    pyarrow, rows = _arrow(), list(records)
    embeddings = np.asarray([row["embedding"] for row in rows], np.float16).ravel()
    return pyarrow.table({
        "id": pyarrow.array([row["id"] for row in rows], pyarrow.string()),
        "time": pyarrow.array([row["time"] for row in rows], pyarrow.timestamp("ms", "UTC")),
        "model": pyarrow.array([row["model"] for row in rows], pyarrow.string()),
        **{name: pyarrow.array([float(row[name]) for row in rows], pyarrow.float32())
           for name in (*FIGURES, *PROBABILITIES)},
        "embedding": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(embeddings), EMBEDDING)})


def _arrow() -> Any:
    import pyarrow
    import pyarrow.parquet
    return pyarrow


def _read_table(file: Path) -> "pyarrow.Table":
    pyarrow = _arrow()
    try:
        return pyarrow.parquet.read_table(file, columns=["id", "time", "model", *FIGURES, *PROBABILITIES, "embedding"])
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file}: holds no records ({str(error).splitlines()[0]}): move it elsewhere") from error


def _read_log(log: Path) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The records of a log, and its damaged lines, which a cut of power or a failing disk leaves.

    A last line without end, as a kill leaves it, is neither. A log that is gone holds none.
    """
    try:
        lines = log.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return [], []
    rows = [_parsed(line) for line in lines]
    if not _are_records(rows):      # one by one only then: it takes a second for a full log
        rows = [row if _are_records([row]) else None for row in rows]
    return [row for row in rows if row is not None], [line for line, row in zip(lines, rows, strict=True)
                                                      if row is None]


def _parsed(line: bytes) -> Any:
    """What a line holds, None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _are_records(rows: Iterable[Any]) -> bool:
    try:
        return not any(None in row.values() for row in rows) and bool(table_of(rows))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):    # ValueError: pyarrow's too
        return False


def damaged_lines(folder: Path) -> int:
    """How many damaged lines of logs are left out of what `read_records` reads of a folder."""
    lines = {log.with_suffix(""): len(_read_log(log)[1]) for log in _below(folder, _LOG)}
    lines |= {file.with_suffix(""): file.read_bytes().count(b"\n") for file in _below(folder, _DAMAGED)}
    return sum(lines.values())


def _pack(log: Path) -> None:
    """Turn a log into a Parquet file, which is there as a whole before the log goes; damaged lines are kept beside."""
    target, (records, damaged) = log.with_suffix(_FILE), _read_log(log)
    if damaged:
        with replacing(log.with_suffix(_DAMAGED)) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in damaged))
            temporary.chmod(0o600)
    if not target.exists() and records:
        write_records(target, records)
    log.unlink()


def _number(file: Path) -> int:
    return int(_arrow().parquet.read_metadata(file).num_rows)
