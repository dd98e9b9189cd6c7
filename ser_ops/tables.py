"""Tables that the pipeline writes for itself, as CSV: UTF-8, comma, one header line.

The manifest's rows are typed, in `ser_ops.manifest`; tables that people bring are read by `ser_ops.outside_table`.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_ops.errors import UserError
from ser_ops.files import regular_file_size, replacing


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as they stand, each a mapping from column to text.

    A byte order mark is skipped. Raises UserError when the file is missing, is no file or not UTF-8, or a line has
    more or fewer values than the header has columns.
    """
    return list(stream_csv(path))


def stream_csv(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """The rows of `read_csv`, one at a time.

    columns: what the header must be. Raises UserError as `read_csv` does, and for another header.
    """
    try:
        regular_file_size(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if columns is not None:
                _check_header(path, reader.fieldnames or (), columns)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}: line {reader.line_num} has another number of values than the header: "
                                    "mend that line (put a value with a comma into quotes)")
                yield row
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): give an existing file, or run the stage that "
                        "writes it") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no CSV in UTF-8 ({error}): save it as comma separated UTF-8") from error


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in header]:
        raise UserError(f"{path}: has no column {', '.join(missing)}: run the stage that writes it again")
    if list(header) != list(columns):
        raise UserError(f"{path}: its columns are not {', '.join(columns)}, in this order: run the stage that writes "
                        "it again")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> None:
    """Write rows under the columns `fields`, whole or not at all.

    A float is written so that it reads back as the same float. Raises ValueError for a row with another column
    and UserError when the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(Path(folder, "a.csv"), [{"x": 1, "y": "a, b"}], ["x", "y"])
    ...     read_csv(Path(folder, "a.csv"))
    [{'x': '1', 'y': 'a, b'}]
    """
    with replacing(path, file=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
