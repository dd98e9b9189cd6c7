import errno
import os
import subprocess
import sys

import pytest

from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import one_writer_at_a_time, remove_leftovers, replacing, sha256, write_json, write_text


def test_what_was_there_stays_when_writing_fails(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "before")
    with pytest.raises(RuntimeError), replacing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "before")
    with pytest.raises(UserError, match=r"a\.txt: cannot be written \(No space left"), replacing(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert file.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]


def test_other_faults_are_not_blamed_on_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        (tmp_path / "missing").read_text()


def test_a_folder_replaces_a_folder_whole(tmp_path):
    for content in ("old", "new"):
        with replacing(tmp_path / "out") as folder:
            folder.mkdir()
            (folder / content).touch()
    assert os.listdir(tmp_path / "out") == ["new"] and os.listdir(tmp_path) == ["out"]


def test_json_is_strict_and_readable(tmp_path):
    write_json(tmp_path / "a.json", {"é": 1})
    assert read_json(tmp_path / "a.json") == {"é": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        read_json(tmp_path / "c.json")
    with pytest.raises(UserError, match="run the stage"):
        read_json(tmp_path / "d.json")


def test_sha256_is_the_published_value(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path):
    left = tmp_path / "models" / ".fusion.9awyu1zr"
    left.mkdir(parents=True)
    kept = [tmp_path / ".gitignore", tmp_path / "models" / "fusion", tmp_path / ".hidden"]
    kept[0].touch()
    for folder in kept[1:]:
        folder.mkdir()
    remove_leftovers(tmp_path)
    assert not left.exists() and all(path.exists() for path in kept)


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "[ab]*?", "new\nline", os.fsdecode(b"Gr\xf6\xdfe"),
                                  "-rf", "..."])
def test_every_name_that_a_file_may_have_is_written_and_swept(tmp_path, name):
    file = tmp_path / name
    write_text(file, "before")
    holders = []
    with pytest.raises(RuntimeError), replacing(file) as temporary:
        temporary.write_text("half")
        holders.append(temporary.parent)
        raise RuntimeError
    assert file.read_text() == "before" and os.listdir(tmp_path) == [name]
    (holders[0] / name).mkdir(parents=True)     # as a killed process leaves it
    (holders[0] / name / ".a.abcdefgh").mkdir()     # and one of its own in it
    (tmp_path / ".cache.disabled").mkdir()      # a user's own, which only looks like it
    (tmp_path / ".cache.disabled" / "notes").touch()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([name, ".cache.disabled"])


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_stood_there_comes_back_when_a_replacement_ends_between_two_renames(tmp_path, monkeypatch, ending):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "recording").touch()

    def interrupted(*_):
        raise ending

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(ending), replacing(tmp_path / "corpus") as temporary:
        temporary.mkdir()
    assert os.listdir(tmp_path) == ["corpus"] and os.listdir(tmp_path / "corpus") == ["recording"]


def test_what_a_kill_between_two_renames_moved_away_is_put_back(tmp_path):
    (tmp_path / ".a.b.abcdefgh" / ".before").mkdir(parents=True)
    (tmp_path / ".a.b.abcdefgh" / ".before" / "recording").touch()
    (tmp_path / ".c.abcdefgh" / ".before").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / ".a.notes").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.notes", "a.b", "c"] and os.listdir(tmp_path / "a.b") == ["recording"]


_HOLD = """
import sys, time
from pathlib import Path
from ser_ops.files import one_writer_at_a_time
with one_writer_at_a_time(Path(sys.argv[1]), Path(sys.argv[2])):
    print("holds", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def test_one_waits_for_the_other_says_so_and_not_for_a_killed_one(tmp_path, capfd):
    lock = tmp_path / "state" / "data.lock"
    for seconds, killed in (("1", False), ("60", True)):
        with subprocess.Popen([sys.executable, "-c", _HOLD, lock, tmp_path / "data", seconds],
                              stdout=subprocess.PIPE) as other:
            assert other.stdout.readline() == b"holds\n"
            if killed:
                other.kill()
                other.wait()
                (tmp_path / "data" / ".left.abcdefgh").mkdir(parents=True)
            with one_writer_at_a_time(lock, tmp_path / "data"):
                other.wait(5)
                assert not list(tmp_path.glob("data/.*"))
        assert ("waits for another command" in capfd.readouterr().err) is not killed


@pytest.mark.parametrize("path", ["a" * 256, "file/under", "file/under/it"])
def test_what_cannot_be_written_for_its_name_is_one_line(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / path, "x")


def test_a_name_that_is_no_text_comes_back_from_json(tmp_path):
    name = os.fsdecode(b"Gr\xf6\xdfe") + "é"
    write_json(tmp_path / "a.json", {name: name})
    assert read_json(tmp_path / "a.json") == {name: name} and "é" in (tmp_path / "a.json").read_text()
