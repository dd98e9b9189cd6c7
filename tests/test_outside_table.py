"""Tables as Excel and others write them read the same; what is no table is one line."""

import codecs
import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops import outside_table
from ser_ops.errors import UserError
from ser_ops.outside_table import read_table

ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
             "utf-32-le": codecs.BOM_UTF32_LE}
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12).map(str.strip)
TABLES = st.lists(st.tuples(VALUES.filter(bool), VALUES, VALUES), max_size=5)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    return [row for _, row in read_table(path, ("path", "emotion"), {"file": "path"})]


@settings(max_examples=150)
@given(table=TABLES, separator=st.sampled_from([",", ";", "\t"]), encoding=st.sampled_from(sorted(ENCODINGS)),
       ends=st.sampled_from(["\n", "\r\n", "\r"]), announced=st.booleans(), trailing=st.integers(0, 3),
       header=st.sampled_from([("path", "emotion", "note"), ("Path ", " EMOTION", "Note"), ("File", "Emotion", "N")]))
def test_one_table_in_any_dialect_reads_the_same(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]],
                                                 separator: str, encoding: str, ends: str, announced: bool,
                                                 trailing: int, header: tuple[str, ...]) -> None:
    text = io.StringIO(newline="")
    if announced:
        text.write(f"sep={separator}{ends}")
    writer = csv.writer(text, delimiter=separator, lineterminator=ends, quoting=csv.QUOTE_ALL)
    for row in (header, *table):
        writer.writerow([*row, *[""] * trailing])
        writer.writerow([""] * (len(row) + trailing))
        text.write(ends)
    path = written(tmp_path_factory.mktemp("table") / "a.csv", ENCODINGS[encoding] + text.getvalue().encode(encoding))
    names = ("path", "emotion", header[2].lower())
    assert rows(path) == [dict(zip(names, row, strict=True)) for row in table]


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=200), st.text("path,emotion;\t\n\r\"'=sep \0\ufeffä", max_size=80).map(str.encode)))
def test_any_bytes_are_rows_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        for row in rows(written(tmp_path_factory.mktemp("table") / "a.csv", content)):
            assert {"path", "emotion"} <= set(row)
    except UserError as error:
        assert "a.csv: " in str(error) and "Traceback" not in str(error)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'sep=;\npath;emotion\n\n"two\nlines";sad\n;;\nb.wav;happy\n')
    assert [line for line, _ in read_table(path, ("path", "emotion"))] == [4, 7]


def test_values_that_excel_leaves_out_at_the_end_are_empty(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "path,emotion,start,end\na.wav,sad,1,2\nb.wav,sad\n")
    assert rows(path)[1] == {"path": "b.wav", "emotion": "sad", "start": "", "end": ""}


def test_commas_in_a_semicolon_table_are_text(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'path;emotion;note, if any\na.wav;sad;"one; two"\nb.wav;sad;0,5\n')
    assert [row["note, if any"] for row in rows(path)] == ["one; two", "0,5"]


@pytest.mark.parametrize(("content", "fault"), [
    ("", "lacks the column path, emotion"),
    ("path emotion\n", "lacks the column path, emotion: .* comma, semicolon or tab"),
    ("path|emotion\na|b\n", "lacks the column path, emotion"),
    ("path,emotion,Path\n", r"the column path more than once \('path', 'Path'\)"),
    ("path,emotion,file\n", r"the column path more than once \('path', 'file'\)"),
    ("path,emotion,x;path;emotion\n", "split by more than one separator"),
    ("path,emotion,\na.wav,sad,3\n", "line 2 has '3' in a column without a name"),
    ("path,emotion\na.wav,sad\nb.wav,sad,x\n", r"line 3 has another number of values \(3\) than the header \(2\)"),
    ("path,emotion\na.wav\n", r"line 2 has another number of values \(1\)"),
    ('path,emotion\na.wav,"sad\n', "line 2 is no CSV .*mend its quotes"),
    ('path,emotion\na.wav,"sad"x\n', "line 2 is no CSV"),
    ("path,emotion\na.wav,\0sad\n", "line 2 holds NUL"),
    ("path,emotion\na.wav,sad\n".encode("utf-16-le"), "line 1 holds NUL, perhaps as UTF-16"),
    ("path,emotion\nGrö.wav,sad\n".encode("latin-1"), "is not UTF-8 .*save it as 'CSV UTF-8'"),
    (b"\xff\xfep\0a", "is not UTF-16"),
    (b"PK\x03\x04rest", "is a workbook"),
    (b"\xd0\xcf\x11\xe0rest", "is a workbook"),
    ("path,emotion\na.wav," + "x" * 200_000 + "\n", "line 2 is no CSV .*field"),
    ("path,emotion" + ",x" * 300 + "\n", "302 columns, more than 256")])
def test_what_is_no_table_is_one_line(tmp_path: Path, content: str | bytes, fault: str) -> None:
    with pytest.raises(UserError, match=fault) as error:
        rows(written(tmp_path / "a.csv", content))
    assert "\n" not in str(error.value)


def test_a_table_beyond_the_bounds_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.csv", "path,emotion\n" + "a.wav,sad\n" * 200)
    for bound, fault in (("MAX_BYTES", "more than 0 MB"), ("MAX_ROWS", "more than 100 rows"),
                         ("MAX_LINE", "line 1 is too long")):
        with monkeypatch.context() as patch, pytest.raises(UserError, match=fault):
            patch.setattr(outside_table, bound, 100 if bound != "MAX_LINE" else 10)
            rows(path)


def test_a_pipe_a_folder_a_loop_and_nothing_are_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name, fault in (("pipe.csv", "is a pipe"), ("folder.csv", "is a folder"), ("loop.csv", "cannot be read"),
                        ("none.csv", "cannot be read"), ("a\0b.csv", "not a valid file name"),
                        ("x" * 300, "cannot be read")):
        with pytest.raises(UserError, match=fault):
            rows(tmp_path / name)
