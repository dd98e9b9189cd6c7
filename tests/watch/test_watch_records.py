"""Records: what is written is what is read, nothing is lost by a kill, and a folder keeps its limit."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from made_records import MODEL, answer

from ser_ops.config.services import Watch
from ser_ops.errors import UserError
from ser_ops.speech.sound import Sound
from ser_ops.watch.records import FIGURES, Recorder, damaged_lines, read_records, removed_records

PROJECT = Path(__file__).resolve().parents[2]


def test_what_is_added_is_read(tmp_path):
    answers = [answer(number) for number in range(5)]
    with Recorder(tmp_path / "heard", Watch()) as recorder:
        ids = [recorder.add(given, MODEL) for given in answers]
        early = read_records(tmp_path / "heard")        # of a service that still writes
    records = read_records(tmp_path)
    assert sorted(early.ids) == sorted(records.ids) == sorted(ids) and len(set(ids)) == 5
    for name, given in zip(ids, answers, strict=True):
        index = records.ids.tolist().index(name)
        assert np.allclose(records.probabilities[index], given.probabilities, atol=1e-5)
        assert np.allclose(records.embeddings[index], given.embedding, atol=2e-3, rtol=1e-3)
        assert records.figures[index].tolist() == pytest.approx(
            [given.seconds, -20.0, 4000.0, 0.0, 0.5, 15.0], abs=1e-3)
    assert set(records.models) == {MODEL} and (np.diff(records.times.astype(int)) >= 0).all()


def test_nothing_of_who_spoke_or_what_was_said_is_kept(tmp_path):
    with Recorder(tmp_path, Watch()) as recorder:
        recorder.add(answer(), MODEL)
    columns = pyarrow.parquet.read_schema(next(tmp_path.glob("*.parquet"))).names
    assert columns == ["id", "time", "model", *FIGURES, *(name for name in columns if name.startswith("p_")),
                       "embedding"]


def test_what_cannot_be_known_is_nan(tmp_path):
    with Recorder(tmp_path, Watch()) as recorder:
        recorder.add(replace(answer(), windows=[], sound=Sound(speech_share=0.0)), MODEL)
    records = read_records(tmp_path)
    assert np.isnan(records.figure("snr_db")[0]) and np.isnan(records.embeddings).all() and not records.spoken[0]


def test_a_killed_process_loses_no_record(tmp_path):
    """It adds records, says the id of each, and is killed: all that it said are there, and the next one goes on."""
    code = ("import sys; sys.path.insert(0, 'tests/watch'); from made_records import *\n"
            "from ser_ops.watch.records import Recorder; from ser_ops.config.services import Watch\n"
            "from pathlib import Path\n"
            f"recorder = Recorder(Path({str(tmp_path)!r}), Watch(file_records=7))\n"
            "for number in range(10**6): print(recorder.add(answer(number), MODEL), flush=True)\n")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert process.stdout
    said = [process.stdout.readline().strip() for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().split()
    process.wait()
    assert set(said) <= set(read_records(tmp_path).ids.tolist())
    with Recorder(tmp_path, Watch()) as recorder:
        after = recorder.add(answer(), MODEL)
    ids = read_records(tmp_path).ids.tolist()
    assert {*said, after} <= set(ids) and len(ids) == len(set(ids))


@pytest.mark.parametrize("left", ["half a line", "both files"])
def test_a_kill_in_the_middle_of_a_step(tmp_path, left):
    """Within a line; and between the Parquet file's coming and its log's going, which counts no record twice."""
    with Recorder(tmp_path, Watch()) as recorder:
        recorder.add(answer(), MODEL)
        log = next(tmp_path.glob("*.jsonl"))
        content = log.read_bytes()
    if left == "half a line":
        next(tmp_path.glob("*.parquet")).unlink()
        log.write_bytes(content + content[:50])
    else:
        log.write_bytes(content)
    assert len(read_records(tmp_path)) == 1
    Recorder(tmp_path, Watch()).close()
    assert len(read_records(tmp_path)) == 1 and not list(tmp_path.glob("*.jsonl"))


DAMAGED = [b"\0" * 40, b"{\"id\": \"\xff\xfe\"}", b"no JSON", b"half\rand half", b"3", b"{}", b"[" * 100_000, b"",
           b"null"]


def changed(line: bytes, **values) -> bytes:
    return json.dumps(json.loads(line) | values).encode()


@pytest.mark.parametrize("damage", [
    *([lambda line, bad=bad: bad] for bad in DAMAGED), [lambda line: b"\0\0\0" + line],
    [lambda line: line[:50] + line], [lambda line: changed(line, embedding=[1.0])],
    [lambda line: changed(line, time="noon")], [lambda line: changed(line, time=10**30)],
    [lambda line: changed(line, model=None)], [lambda line: changed(line, seconds="long")],
    [lambda line, bad=bad: bad for bad in DAMAGED]])
def test_damaged_lines_of_a_log_are_left_out_counted_and_kept(tmp_path, damage):
    """By who reads the log of a service, and by the service that begins with it after a cut of power."""
    with Recorder(tmp_path, Watch()) as recorder:
        ids = [recorder.add(answer(number), MODEL) for number in range(3)]
        log = next(tmp_path.glob("*.jsonl"))
        lines = log.read_bytes().splitlines()
    next(tmp_path.glob("*.parquet")).unlink()
    bad = [spoil(lines[1]) for spoil in damage]
    log.write_bytes(b"".join(line + b"\n" for line in [lines[0], *bad, lines[2]]))
    assert sorted(read_records(tmp_path).ids) == sorted([ids[0], ids[2]])
    assert damaged_lines(tmp_path) == len(bad)
    for _ in range(2):
        Recorder(tmp_path, Watch()).close()
        assert sorted(read_records(tmp_path).ids) == sorted([ids[0], ids[2]])
        assert damaged_lines(tmp_path) == len(bad) and not log.exists()
    kept = log.with_suffix(".damaged")
    assert kept.read_bytes() == b"".join(line + b"\n" for line in bad) and kept.stat().st_mode & 0o777 == 0o600


def test_a_log_of_damage_alone_holds_no_records(tmp_path):
    (tmp_path / "20261101T000000.000000-aaaaaa.jsonl").write_bytes(b"\0\0\n" * 9)
    with pytest.raises(UserError, match="holds no records"):
        read_records(tmp_path)
    Recorder(tmp_path, Watch()).close()
    assert damaged_lines(tmp_path) == 9 and not list(tmp_path.glob("*.parquet"))


def test_the_oldest_files_go_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("ser_ops.watch.records._MEGABYTE", 40_000)
    with Recorder(tmp_path, Watch(megabytes=1, file_records=5)) as recorder:
        ids = [recorder.add(answer(number), MODEL) for number in range(60)]
    kept, removed = read_records(tmp_path).ids.tolist(), removed_records(tmp_path)
    assert removed["records"] > 0 and removed["records"] == 5 * removed["files"]
    assert len(kept) + removed["records"] == 60 and set(kept) == set(ids[-len(kept):])
    # Killed after the count and before the removal: it is not counted again.
    first = min(file.name for file in tmp_path.glob("*.parquet"))
    (tmp_path / "removed.json").write_text(json.dumps(removed | {"last": first}))
    Recorder(tmp_path, Watch(megabytes=1, file_records=5)).close()
    assert not (tmp_path / first).exists() and removed_records(tmp_path)["records"] == removed["records"]


def test_threads_add_side_by_side(tmp_path):
    with Recorder(tmp_path, Watch(file_records=9)) as recorder:
        threads = [threading.Thread(target=lambda: [recorder.add(answer(number), MODEL) for number in range(25)])
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(read_records(tmp_path).ids.tolist())) == 100


def test_two_processes_need_two_folders(tmp_path):
    with Recorder(tmp_path, Watch()), pytest.raises(UserError, match="another process writes"):
        Recorder(tmp_path, Watch())


def test_what_holds_no_records_is_said(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_records(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no records"):
        read_records(tmp_path)
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(UserError, match=r"a\.parquet: holds no records"):
        read_records(tmp_path)
