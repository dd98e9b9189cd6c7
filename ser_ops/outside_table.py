"""Tables that people bring, as Excel and other programs write CSV."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ser_ops.errors import UserError
from ser_ops.files import regular_file_size
from ser_ops.terminal import excerpt

# Several times the largest list of recordings known (MSP-Podcast, 300,000 rows), and what fits into memory.
MAX_BYTES, MAX_ROWS, MAX_COLUMNS, MAX_LINE = 64 * 2**20, 500_000, 256, 2**20
_SEPARATORS = (",", ";", "\t")
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
          (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")     # what .xlsx and .ods, and what .xls begin with

Line = tuple[int, dict[str, str]]


def read_table(path: Path, required: Sequence[str], aliases: Mapping[str, str] | None = None) -> Iterator[Line]:
    r"""Rows of a table, as they are read, each with the number of the line where it begins.

    Comma, semicolon or tab between values, UTF-8, or UTF-16 and UTF-32 with their marks, any line ends, Excel's first
    line `sep=;`. Names of columns are those of `required`, others in small letters; names and values come without space
    around them. Rows without any value are passed over, and columns without name and value. Values that a row lacks at
    its end are "".

    required: columns that must be there; the separator is the one that parts them.
    aliases: other names of columns, in small letters, each to the name that is meant.
    Raises UserError in one line, with the line's number where there is one, for anything else.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("Path; Emotion ;;\r\n;;;\r\na.wav;sad;;\r\n")
    ...     list(read_table(Path(folder, "a.csv"), ["path", "emotion"]))
    [(3, {'path': 'a.wav', 'emotion': 'sad'})]
    """
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            yield from _rows(path, file, required, {name.lower(): name for name in required} | dict(aliases or {}))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): give an existing table") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not {error.encoding.upper()} ({error.reason}): save it as 'CSV UTF-8'") from error


def _encoding(path: Path) -> str:
    """By the mark at the file's beginning; what is too large or is no text is refused."""
    if regular_file_size(path) > MAX_BYTES:
        raise UserError(f"{path}: has more than {MAX_BYTES >> 20} MB: give a list of recordings, or split it")
    with path.open("rb") as file:
        begins = file.read(4)
    if begins.startswith(_WORKBOOKS):
        raise UserError(f"{path}: is a workbook, not a CSV file: save it as 'CSV UTF-8'")
    return next((name for mark, name in _MARKS if begins.startswith(mark)), "utf-8")


def _rows(path: Path, file: TextIO, required: Sequence[str], aliases: Mapping[str, str]) -> Iterator[Line]:
    separator, passed = _separator(path, file, required, aliases)
    records = _records(path, file, separator, passed)
    columns = _columns(path, next(records, (1, []))[1], required, aliases)
    needed = 1 + max(columns.index(name) for name in required)
    for count, (line, values) in enumerate(records, 1):
        if len(values) < needed or any(values[len(columns):]):
            raise UserError(f"{path}: line {line} has another number of values ({len(values)}) than the header "
                            f"({len(columns)}): mend that line (put a value that holds the separator into quotes)")
        if count > MAX_ROWS:
            raise UserError(f"{path}: has more than {MAX_ROWS} rows: split it")
        values += [""] * (len(columns) - len(values))
        pairs = list(zip(columns, values, strict=False))
        if nameless := [value for name, value in pairs if value and not name]:
            raise UserError(f"{path}: line {line} has {nameless[0]!r:.40} in a column without a name: name it in the "
                            "header, or empty it")
        yield line, {name: value for name, value in pairs if name}


def _separator(path: Path, file: TextIO, required: Sequence[str], aliases: Mapping[str, str]) -> tuple[str, int]:
    """What parts the values, and how many lines come before the header: by Excel's `sep=`, else by the header."""
    first = file.readline(MAX_LINE).strip("\ufeff\r\n\"")
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[-1], 1
    parted: dict[str, set[str]] = {}
    for separator in _SEPARATORS:
        header = next(_records(path, file, separator, 0, strict=False), (1, []))[1]
        if len(header) > 1:
            parted[separator] = {_name(name, aliases) for name in header}
    fitting = [separator for separator, names in parted.items() if names.issuperset(required)]
    if len(fitting) > 1:
        raise UserError(f"{path}: its header can be split by more than one separator: put no comma, semicolon or tab "
                        "into the names of columns")
    return next(iter(fitting or parted), ","), 0


def _records(path: Path, file: TextIO, separator: str, passed: int,
             strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Records that hold a value, stripped, each with the number of its first line; `passed` lines are no record."""
    file.seek(0)

    def lines() -> Iterator[str]:
        for number in range(1, MAX_BYTES):
            line = file.readline(MAX_LINE)
            if "\0" in line or len(line) == MAX_LINE:
                what = "holds NUL, perhaps as UTF-16 without its mark" if "\0" in line else "is too long for a list"
                raise UserError(f"{path}: line {number} {what}: save it as 'CSV UTF-8'")
            if not line:
                return
            yield line if number > passed else "\n"

    reader = csv.reader(lines(), delimiter=separator, strict=strict, skipinitialspace=True)
    line = 1
    try:
        for record in reader:
            values = [value.strip() for value in record]
            if any(values):
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}: line {line} is no CSV ({excerpt(error)}): mend its quotes, or save the table as "
                        "'CSV UTF-8'") from error


def _name(given: str, aliases: Mapping[str, str]) -> str:
    name = given.strip("\ufeff \t").lower()
    return aliases.get(name, name)


def _columns(path: Path, header: Sequence[str], required: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    names = [_name(name, aliases) for name in header]
    if len(names) > MAX_COLUMNS:
        raise UserError(f"{path}: has {len(names)} columns, more than {MAX_COLUMNS}: keep those that are needed")
    if twice := [name for name, number in Counter(names).items() if number > 1 and name]:
        spelt = ", ".join(repr(column) for column, name in zip(header, names, strict=True) if name == twice[0])
        raise UserError(f"{path}: has the column {twice[0]} more than once ({spelt}): keep one of them")
    if missing := [name for name in required if name not in names]:
        raise UserError(f"{path}: lacks the column {', '.join(missing)}: give {', '.join(required)}, with a comma, "
                        "semicolon or tab between them")
    return names
