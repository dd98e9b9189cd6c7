import errno
import os

import pytest

from ser_ops.errors import UserError
from ser_ops.files import read_json, replacing, sha256, sweep_below, write_json, write_text


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
    sweep_below(tmp_path)
    assert not left.exists() and all(path.exists() for path in kept)
