import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ser_ops import files
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import (
    make_folder,
    named_path,
    one_writer_at_a_time,
    remove_leftovers,
    replacing,
    sha256,
    write_json,
    write_text,
)


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


@pytest.mark.parametrize("address", ["s3://bucket/a.wav", "https://host/a.wav", "file:///a.wav", "git+ssh://host/a"])
def test_an_address_is_no_path_unless_it_is_there_by_that_name(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^{re.escape(address)}: is an address, and a file or folder is taken here"):
        named_path(address)
    Path(address).parent.mkdir(parents=True, exist_ok=True)
    Path(address).touch()
    assert named_path(address).is_file() and named_path("C:/a.wav") == Path("C:/a.wav")


@pytest.mark.parametrize("kind", ["pipe", "socket", "link"])
@pytest.mark.parametrize("write", [Path.touch, Path.mkdir])
def test_a_pipe_or_a_device_is_never_replaced(tmp_path, monkeypatch, kind, write):
    monkeypatch.chdir(tmp_path)     # the name of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        os.mkfifo("pipe")
        Path("link").symlink_to("pipe")
        before = {path.name: os.lstat(path).st_ino for path in tmp_path.iterdir()}
        with pytest.raises(UserError, match=f"{kind}: no file may take the place of a pipe"), replacing(Path(kind)):
            raise AssertionError("the work must not begin")
        with pytest.raises(UserError, match="no file may"), replacing(Path("late")) as temporary:
            write(temporary)
            os.mkfifo("late")
        os.remove("late")
        assert {path.name: os.lstat(path).st_ino for path in tmp_path.iterdir()} == before


def test_what_lies_among_the_devices_is_never_replaced_whatever_it_leads_to(tmp_path, monkeypatch):
    devices, file = tmp_path / "dev", tmp_path / "a.txt"
    devices.mkdir()
    file.touch()
    (devices / "stdout").symlink_to(file)       # as /dev/stdout leads to a file where output is redirected
    monkeypatch.setattr(files, "_DEVICES", devices)
    for path in (devices / "stdout", devices / "new", tmp_path / "dev/../dev/new"):
        with pytest.raises(UserError, match="no file may take the place of a pipe or a device"):
            write_text(path, "x")
    assert [path.name for path in devices.iterdir()] == ["stdout"] and file.read_text() == ""


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "cache").write_text("tracked")
    for name in ("cache", "nowhere"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(name)
        write_text(tmp_path / "link", "new")
        assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "cache").read_text() == "tracked" and not (tmp_path / "nowhere").exists()


def test_a_folder_is_not_replaced_by_a_file_and_no_work_begins_for_one(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"out: is a folder: give the name of a file"), \
            replacing(tmp_path / "out", file=True):
        raise AssertionError("the work must not begin")
    with pytest.raises(UserError, match="is a folder"), replacing(tmp_path / "out") as temporary:
        temporary.touch()
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(("path", "remedy"), [
    ("file/a.txt", "a file stands where a folder must be: choose another folder"),
    ("file/deep/a.txt", "a file stands where a folder must be: choose another folder"),
    ("link/deep/a.txt", "a file stands where a folder must be: choose another folder"),
    ("loop/a.txt", "a file stands where a folder must be: choose another folder"),
    ("loop/deep/a.txt", "(Too many levels of symbolic links): choose another folder"),
    ("a" * 256, "choose a shorter name")])
def test_what_cannot_be_written_has_the_remedy_that_helps(tmp_path, path, remedy):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UserError) as raised:
        write_text(tmp_path / path, "x")
    assert remedy in str(raised.value) and "free space" not in str(raised.value)


@pytest.mark.parametrize("write", [make_folder, lambda path: write_text(path / "a.txt", "x")])
def test_a_folder_that_cannot_be_made_is_one_line_whatever_the_reason(tmp_path, monkeypatch, write):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()        # below it, as in /proc, no folder can be made: there is no such folder
    with pytest.raises(UserError, match=r"out.*: cannot be written \(No such file .*\): choose another folder"):
        write(Path("out"))
