"""What names stand for, and answers in tables."""

import csv
import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from ser_ops.errors import UserError
from ser_ops.folders import walk_folder
from ser_ops.inference.answer_tables import COLUMNS, WINDOW_COLUMNS, csv_table, parquet_table, row_of, window_rows
from ser_ops.inference.recogniser import Answer, WindowAnswer
from ser_ops.inference.sources import on_disk, recordings_named
from ser_ops.speech.detector import Segment


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("calls/b.wav", "calls/deep/a.FLAC", "calls/notes.txt", "calls/.hidden.wav", "one.mp3", "x[1].wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    (tmp_path / "none").mkdir()
    return tmp_path


def test_folders_patterns_and_files_stand_for_recordings(here):
    names = ["one.mp3", "calls", "*.mp3", "calls/**/*.FLAC", "x[1].wav", "-", "missing.wav"]
    assert list(recordings_named(names)) == ["one.mp3", "calls/b.wav", "calls/deep/a.FLAC", "one.mp3",
                                             "calls/deep/a.FLAC", "x[1].wav", "-", "missing.wav"]


def test_a_folder_leaves_no_recording_out_whatever_its_name_and_whatever_it_is(here):
    odd = os.fsdecode(b"Gr\xf6\xdfe")       # no UTF-8: an old disk, a zip of Windows
    (here / "calls" / odd).mkdir()
    (here / "calls" / odd / "in.wav").touch()
    (here / "calls" / f"{odd}.wav").touch()
    (here / "calls" / "gone.wav").symlink_to("nowhere")
    os.mkfifo(here / "calls" / "pipe.wav")
    assert set(recordings_named(["calls"])) == {
        "calls/b.wav", "calls/deep/a.FLAC", f"calls/{odd}/in.wav", f"calls/{odd}.wav", "calls/gone.wav",
        "calls/pipe.wav"}


def test_what_is_removed_while_a_folder_is_listed_is_not_there(here):
    for number in range(5):
        (here / "calls" / f"{number}.wav").touch()
    listing = walk_folder(here / "calls")
    first = next(listing)[0]
    shutil.rmtree(here / "calls" / "deep")
    for file in (here / "calls").glob("*.wav"):
        file.unlink()
    assert all(status is None or path.suffix != ".wav" for path, status, _ in listing) and first.parts


@pytest.mark.parametrize(("name", "words"), [("none", "holds no recording"), ("*.ogg", "fits no file"), ("", "empty"),
                                            ("s3://voices/a.wav", "s3://voices/a.wav: is an address"),
                                            ("https://host/*.mp3", "https://host/*.mp3: is an address")])
def test_a_name_that_stands_for_nothing_is_an_error_in_its_place(here, name, words):
    first, fault, last = recordings_named(["one.mp3", name, "one.mp3"])
    assert first == last == "one.mp3" and isinstance(fault, UserError) and words in str(fault)


def test_standard_input_is_a_file_meanwhile(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"RIFF" * 1000)))
    with on_disk("-") as file:
        assert file.read_bytes() == b"RIFF" * 1000
    assert not file.exists()


def answer() -> Answer:
    windows = [WindowAnswer(0.0, 2.0, np.eye(7)[3]), WindowAnswer(1.0, 3.0, np.eye(7)[0], spoken=False)]
    return Answer(np.eye(7)[3], 3.0, windows, ["quiet", "short"], speech=(Segment(0.5, 1.25),),
                  emotions=("happy", "sad"))


def test_both_kinds_of_table_hold_the_same(tmp_path):
    rows = [row_of('a "b", c.wav', answer()), {"path": "bad\udcff.wav", "error": "is silent"}]
    with csv_table(tmp_path / "a.csv", COLUMNS) as table, parquet_table(tmp_path / "a.parquet", COLUMNS) as other:
        for row in rows:
            table.add([row])
            other.add([row])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    stored = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["path"] for row in read] == [row["path"] for row in stored] == ['a "b", c.wav', "bad\\udcff.wav"]
    assert read[0]["emotion"] == stored[0]["emotion"] == "not sure" and read[0]["emotions"] == "happy sad"
    assert float(read[0]["p_happy"]) == stored[0]["p_happy"] == 1 and stored[0]["speech_seconds"] == 0.75
    assert read[1]["error"] == stored[1]["error"] == "is silent"
    assert read[1]["p_happy"] == "" and stored[1]["p_happy"] is None


def test_windows_have_a_row_each():
    rows = window_rows("a.wav", answer())
    assert [(row["start"], row["emotion"]) for row in rows] == [(0.0, "happy"), (1.0, "no speech")]
    assert [row["speech_seconds"] for row in rows] == [0.75, 0.25] and set(rows[0]) <= set(WINDOW_COLUMNS)


@pytest.mark.parametrize("speech", [(), None])
def test_a_recording_without_windows_has_a_row_all_the_same(speech):
    (row,) = window_rows("a.wav", Answer(np.full(7, 1 / 7), 3.0, [], speech=speech))
    assert (row["path"], row["start"], row["end"], row["emotion"]) == ("a.wav", 0.0, 3.0, "no speech")
    assert row.get("speech_seconds") == (None if speech is None else 0.0) and row["p_happy"] == 0.142857


@pytest.mark.parametrize("kind", [csv_table, parquet_table])
def test_a_table_that_was_not_finished_is_not_there(tmp_path, kind):
    with pytest.raises(KeyboardInterrupt), kind(tmp_path / "a", COLUMNS) as table:
        table.add([row_of("a.wav", answer())] * 2000)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
