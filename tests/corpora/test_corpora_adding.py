"""Bringing a corpus in: from folders and zips at any level, whole or not at all, nothing outside."""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops import folders
from ser_ops.corpora import adding, corpus, sources
from ser_ops.errors import UserError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "corpora"
NAMES = [f"Actor_{actor:02d}/03-01-{emotion}-01-01-01-{actor:02d}.wav" for actor in (1, 2) for emotion in ("03", "04")]


def sound(number: int) -> bytes:
    """A WAV file of 0.1 s, another one for each number."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(number).normal(0, 0.1, 800), 8000, format="WAV")
    return file.getvalue()


SOUND = sound(0)


def speech(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(sound(number))
    return folder


def packed(path: Path, names: list[str], content: bytes = SOUND) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("level", [".", "archive", "archive/deep"])
def test_a_folder_above_the_corpus_works(tmp_path: Path, level: str) -> None:
    speech(tmp_path / "source" / level, [*NAMES, "Actor_01/03-02-03-01-01-01-01.wav"])
    (tmp_path / "source" / "readme.txt").write_text("hello")
    summary = adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    assert tree(tmp_path / "data" / "ravdess") == sorted([*NAMES, "corpus.yaml"])
    assert (summary.found, summary.speakers, summary.expected, summary.complete) == (4, 2, 1440, False)
    assert summary.emotions == {"happy": 2, "sad": 2}
    assert summary.skipped == {"song": 1, "not an audio file (.txt)": 1}
    assert "PARTIAL, 4 of 1440" in summary.sentence()
    assert tree(tmp_path / "source")  # never moved
    card = yaml.safe_load((tmp_path / "data/ravdess/corpus.yaml").read_text())
    assert card["licence"] == "CC BY-NC-SA 4.0" and card["synthetic"] is False and "zenodo" in card["source"]


def test_a_folder_below_the_corpus_works(tmp_path: Path) -> None:
    speech(tmp_path / "Actor_01", ["03-01-03-01-01-01-01.wav"])
    adding.add_corpus("ravdess", tmp_path / "Actor_01", tmp_path / "data")
    assert "Actor_01/03-01-03-01-01-01-01.wav" in tree(tmp_path / "data" / "ravdess")
    speech(tmp_path / "JE", ["su01.wav"])
    adding.add_corpus("savee", tmp_path / "JE", tmp_path / "data")
    assert "JE/su01.wav" in tree(tmp_path / "data" / "savee")


def test_crema_d_brings_its_table_of_speakers(tmp_path: Path) -> None:
    speech(tmp_path / "CREMA-D", ["AudioWAV/1001_DFA_ANG_XX.wav"])
    (tmp_path / "CREMA-D/VideoDemographics.csv").write_text("ActorID,Sex\n1001,Male\n")
    adding.add_corpus("crema_d", tmp_path / "CREMA-D", tmp_path / "data")
    (utterance,) = corpus.scan_corpus(tmp_path / "data", "crema_d").utterances
    assert (utterance.utterance, utterance.gender) == ("crema_d/AudioWAV/1001_DFA_ANG_XX", "male")


def test_links_point_to_the_originals(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data", name="linked", link=True)
    link = tmp_path / "data" / "linked" / NAMES[0]
    assert link.is_symlink() and link.resolve() == (tmp_path / "source" / NAMES[0]).resolve()
    with pytest.raises(UserError, match="zip cannot be linked"):
        adding.add_corpus("ravdess", packed(tmp_path / "a.zip", NAMES), tmp_path / "data", link=True)


def test_a_corpus_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    with pytest.raises(UserError, match="already there"):
        adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data", name="second")
    assert [summary.corpus for summary in adding.list_corpora(tmp_path / "data")] == ["ravdess", "second"]


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "with space"])
def test_odd_corpus_names_are_refused(tmp_path: Path, name: str) -> None:
    speech(tmp_path / "source", NAMES)
    with pytest.raises(UserError, match="not a valid name for a corpus"):
        adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data", name=name)
    assert not (tmp_path / "out").exists() and not (tmp_path / "data").exists()


def test_a_zip_with_a_nested_second_copy_is_taken_once(tmp_path: Path) -> None:
    names = [f"{top}TESS set/OAF_Fear/OAF_{word}_fear.wav" for top in ("", "TESS set/") for word in ("back", "bar")]
    summary = adding.add_corpus("tess", packed(tmp_path / "archive.zip", [*names, "TESS set/notes.md"]),
                                tmp_path / "data")
    assert tree(tmp_path / "data" / "tess") == ["OAF_Fear/OAF_back_fear.wav", "OAF_Fear/OAF_bar_fear.wav",
                                                "corpus.yaml"]
    assert summary.skipped == {"second copy of a recording": 2, "not an audio file (.md)": 1}
    assert not any("not admitted" in oddity for oddity in summary.oddities)


def test_what_is_not_admitted_is_said_by_kind(tmp_path: Path) -> None:
    source = speech(tmp_path / "source", NAMES)
    (source / NAMES[0]).write_bytes(b"")
    (source / NAMES[2]).write_bytes(b"")
    soundfile.write(source / NAMES[3], np.zeros(8000), 8000)
    note = ("3 of 4 recordings are not admitted: empty file (2), silent, nothing rises above -60 dBFS (1): "
            f"ravdess/{NAMES[0][:-4]}, ravdess/{NAMES[2][:-4]}, ravdess/{NAMES[3][:-4]}")
    assert note in adding.add_corpus("ravdess", source, tmp_path / "data").oddities
    assert note in adding.check_corpus(tmp_path / "data", "ravdess").oddities
    (tmp_path / "data" / "ravdess" / NAMES[1]).write_bytes(b"")
    assert any(oddity.startswith("4 of 4 recordings are not admitted: empty file (3), silent")
               for oddity in adding.check_corpus(tmp_path / "data", "ravdess").oddities)


@pytest.mark.parametrize("kind", ["folder", "zip", "links"])
def test_a_corpus_of_which_nothing_is_admitted_does_not_come_in(tmp_path: Path, kind: str) -> None:
    source = speech(tmp_path / "source", NAMES)
    for number, name in enumerate(NAMES):
        (source / name).write_bytes(b"no sound" * 200 if number else b"")
    if kind == "zip":
        source = Path(shutil.make_archive(str(tmp_path / "a"), "zip", source))
    with pytest.raises(UserError, match=r"none of its 4 recordings is .* \(3\), empty file \(1\): give") as error:
        adding.add_corpus("ravdess", source, tmp_path / "data", link=kind == "links")
    assert "\n" not in str(error.value) and str(error.value).startswith(f"{source}: ")
    assert os.listdir(tmp_path / "data") == []


@pytest.mark.parametrize("bad", ["../../evil.wav", "/etc/evil.wav", "a/../../evil.wav", "..\\evil.wav", "C:\\evil.wav",
                                 "\\evil.wav", "../evil.txt"])
def test_a_zip_that_points_outside_is_refused_whole(tmp_path: Path, bad: str) -> None:
    archive = packed(tmp_path / "a.zip", [*NAMES, bad])
    with pytest.raises(UserError, match="points outside its folder"):
        adding.add_corpus("ravdess", archive, tmp_path / "data" / "corpora")
    assert tree(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    archive = packed(tmp_path / "a.zip", NAMES)
    entry = zipfile.ZipInfo("Actor_01/03-01-05-01-01-01-01.wav")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="link or a device"):
        adding.add_corpus("ravdess", archive, tmp_path / "data")
    assert tree(tmp_path) == ["a.zip"]


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_LARGE", 10**6)
    with pytest.raises(UserError, match="no speech does"):
        adding.add_corpus("ravdess", packed(tmp_path / "a.zip", NAMES[:1], bytes(2 * 10**6)), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech(tmp_path / "source", NAMES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    for source in (tmp_path / "source", packed(tmp_path / "a.zip", NAMES)):
        with pytest.raises(UserError, match="are needed and"):
            adding.add_corpus("ravdess", source, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_zip_and_what_is_none(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", NAMES, os.urandom(2000))
    content = bytearray(archive.read_bytes())
    content[600:700] = bytes(100)
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"its entry '.*wav' is damaged"):
        adding.add_corpus("ravdess", archive, tmp_path / "data" / "corpora")
    (tmp_path / "b.zip").write_text("hello")
    with pytest.raises(UserError, match="nor an intact zip"):
        adding.add_corpus("ravdess", tmp_path / "b.zip", tmp_path / "data" / "corpora")
    with pytest.raises(UserError, match="is missing"):
        adding.add_corpus("ravdess", tmp_path / "c.zip", tmp_path / "data" / "corpora")
    assert not any((tmp_path / "data").rglob("*.wav"))


def _full(*arguments: Any, **more: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _interrupted(*arguments: Any, **more: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["_refuse_pointers", "summarise_corpus", "_refusals", "shutil.copyfileobj",
                                  "CorpusCard.write"])
@pytest.mark.parametrize(("fault", "error"), [(_full, UserError), (_interrupted, KeyboardInterrupt)])
def test_whatever_fails_at_whatever_step_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, fault: Any, error: type[BaseException]) -> None:
    speech(tmp_path / "source", NAMES)
    monkeypatch.setattr(f"ser_ops.corpora.adding.{step}", fault)
    with pytest.raises(error):
        adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    assert os.listdir(tmp_path / "data") == []


def test_a_table_that_is_none_is_refused_before_anything_stands_there(tmp_path: Path) -> None:
    speech(tmp_path / "CREMA-D", ["AudioWAV/1001_DFA_ANG_XX.wav"])
    (tmp_path / "CREMA-D" / "VideoDemographics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"CREMA-D: CREMA-D/VideoDemographics\.csv: lacks"):
        adding.add_corpus("crema_d", tmp_path / "CREMA-D", tmp_path / "data")
    assert os.listdir(tmp_path / "data") == []


def test_leftovers_of_desktops_are_no_recordings_and_no_tables(tmp_path: Path) -> None:
    left = ["__MACOSX/CREMA-D/._VideoDemographics.csv", "CREMA-D/._VideoDemographics.csv", "CREMA-D/Thumbs.db",
            "CREMA-D/AudioWAV/~$1001_DFA_ANG_XX.wav", "CREMA-D/.DS_Store", "$RECYCLE.BIN/1001_DFA_ANG_XX.wav",
            "CREMA-D/.Trash-1000/1001_DFA_HAP_XX.wav", "CREMA-D/desktop.ini", "CREMA-D/AudioWAV/._1001_DFA_ANG_XX.wav"]
    for name in left:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(b"\0\5\x16\7")
    speech(tmp_path / "source", ["CREMA-D/AudioWAV/1001_DFA_ANG_XX.wav"])
    (tmp_path / "source/CREMA-D/a").mkdir()
    (tmp_path / "source/CREMA-D/a/VideoDemographics.csv").write_text("no table")
    (tmp_path / "source/CREMA-D/b VideoDemographics.csv").write_text("ActorID,Sex\n1001,Female\n")
    archive = Path(shutil.make_archive(str(tmp_path / "mac"), "zip", tmp_path / "source"))
    for name, source in (("folder", tmp_path / "source"), ("zip", archive)):
        summary = adding.add_corpus("crema_d", source, tmp_path / "data", name)
        assert (summary.found, set(summary.skipped)) == (1, {"hidden file"})
        assert tree(tmp_path / "data" / name) == ["AudioWAV/1001_DFA_ANG_XX.wav", "VideoDemographics.csv",
                                                  "corpus.yaml"]
        assert corpus.scan_corpus(tmp_path / "data", name).utterances[0].gender == "female"


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("target", ["outside.wav", "outside"])
def test_links_that_leave_the_source_are_refused(tmp_path: Path, target: str, link: bool) -> None:
    speech(tmp_path / "source", NAMES)
    speech(tmp_path / "outside", NAMES)
    shutil.copy(tmp_path / "outside" / NAMES[0], tmp_path / "outside.wav")
    (tmp_path / "source" / "more").symlink_to(tmp_path / target)
    with pytest.raises(UserError, match="its link 'more' leads out of it"):
        adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data", link=link)
    assert not (tmp_path / "data").exists()


def test_links_inside_are_followed_and_those_to_nothing_counted(tmp_path: Path) -> None:
    speech(tmp_path / "source", [f"kept/{name}" for name in NAMES[:2]])
    source = tmp_path / "source"
    (source / "Actor_02").mkdir()
    (source / NAMES[2]).symlink_to(source / "kept" / NAMES[0])
    (source / "again").symlink_to(source)
    (source / "itself").symlink_to("itself")
    (source / "nothing").symlink_to("nowhere")
    os.mkfifo(source / "Actor_02" / "03-01-05-01-01-01-02.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "s.wav"))
    (tmp_path / "linked").symlink_to(source)
    summary = adding.add_corpus("ravdess", tmp_path / "linked", tmp_path / "data")
    assert (summary.found, summary.skipped) == (
        3, {"link to nothing": 2, "a pipe, a socket or a device, not a file": 2})
    assert not (tmp_path / "data/ravdess" / NAMES[2]).is_symlink()


@pytest.mark.parametrize("name", ["a.zip", "corpus"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="neither a folder nor a file"):
        adding.add_corpus("ravdess", tmp_path / name, tmp_path / "data")


def test_names_that_are_too_long_are_one_line(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    with pytest.raises(UserError, match="is missing"):
        adding.add_corpus("ravdess", tmp_path / ("a" * 300), tmp_path / "data")
    with pytest.raises(UserError, match="cannot be written"):
        adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data", name="a" * 300)
    with pytest.raises(UserError, match="no such corpus"):
        adding.check_corpus(tmp_path / "data", "a" * 300)


def test_folders_in_folders_without_end_are_one_line(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(UserError, match=r"cannot be (read|listed) \(File name too long") as error:
        adding.add_corpus("ravdess", tmp_path / ("d" * 200), tmp_path / "data")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damage", ["bytes", "end", "size"])
def test_damaged_entries_are_one_line_and_leave_nothing(tmp_path: Path, method: int, damage: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for number, name in enumerate(NAMES):
            archive.writestr(name, np.random.default_rng(number).bytes(20_000))
    content = bytearray(path.read_bytes())
    first = zipfile.ZipFile(path).infolist()[0]
    if damage == "bytes":
        content[200:260] = bytes(60)
    elif damage == "end":
        content[first.compress_size - 40:first.compress_size] = os.urandom(40)
    else:   # what it declares is a tenth of what it holds
        offset = content.index(b"PK\1\2") + 24
        content[offset:offset + 4] = struct.pack("<I", 2000)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"its entry '.*' is damaged") as error:
        adding.add_corpus("ravdess", path, tmp_path / "data")
    assert "\n" not in str(error.value) and os.listdir(tmp_path / "data") == []


@given(data=st.data(), method=st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
@settings(max_examples=60)
def test_whatever_is_done_to_a_zip_it_comes_in_or_is_one_line(data: st.DataObject, method: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.zip")
        with zipfile.ZipFile(path, "w", method) as archive:
            for name in NAMES[:2]:
                archive.writestr(name, SOUND)
        content = bytearray(path.read_bytes())
        for offset in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
            content[offset] = data.draw(st.integers(0, 255))
        path.write_bytes(content[:data.draw(st.integers(len(content) // 2, len(content)))])
        try:
            adding.add_corpus("ravdess", path, Path(folder, "data"))
        except UserError as error:
            assert "\n" not in str(error) and not list(Path(folder).glob("data/*"))


def test_a_dense_entry_is_unpacked_a_little_at_a_time(tmp_path: Path) -> None:
    """100 MB of nothing in a few hundred bytes of bzip2: what it declares, 2 kB, is all that is kept."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive, archive.open(NAMES[0], "w") as entry:
        for _ in range(100):
            entry.write(bytes(10**6))
    content = bytearray(path.read_bytes())
    offset = content.index(b"PK\1\2") + 24
    content[offset:offset + 4] = struct.pack("<I", 2000)
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(UserError, match="is damaged"):
        adding.add_corpus("ravdess", path, tmp_path / "data")
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_entries_that_share_bytes_or_a_name_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", NAMES[:2])
    content = path.read_bytes()
    second = content.rindex(b"PK\1\2")
    shared = bytearray(content)
    shared[second + 42:second + 46] = bytes(4)  # where its bytes begin
    (tmp_path / "b.zip").write_bytes(shared)
    with pytest.warns(UserWarning, match="Duplicate"):
        packed(tmp_path / "c.zip", [NAMES[0], NAMES[0]])
    for name, fault in (("b.zip", "overlap"), ("c.zip", "twice")):
        with pytest.raises(UserError, match=fault):
            adding.add_corpus("ravdess", tmp_path / name, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("begins", "kind"), [
    (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\7", "RAR"), (gzip.compress(b"a"), "gzip"), (bz2.compress(b"a"), "bzip2"),
    (lzma.compress(b"a"), "xz"), (bytes(257) + b"ustar", "tar")],
    ids=["7z", "rar", "gzip", "bzip2", "xz", "tar"])
def test_other_archives_are_named(tmp_path: Path, begins: bytes, kind: str) -> None:
    (tmp_path / "a.zip").write_bytes(begins + bytes(600))
    with pytest.raises(UserError, match=f"is a {kind} archive, not a zip: extract it"):
        adding.add_corpus("ravdess", tmp_path / "a.zip", tmp_path / "data")


def test_a_zip_inside_a_zip_says_what_to_do(tmp_path: Path) -> None:
    inner = packed(tmp_path / "Actor_01.zip", NAMES).read_bytes()
    with pytest.raises(UserError, match=r"1 an archive inside \(\.zip\): extract it"):
        adding.add_corpus("ravdess", packed(tmp_path / "a.zip", ["Actor_01.zip"], inner), tmp_path / "data")


def test_names_that_differ_in_their_capitals_alone_are_one_recording(tmp_path: Path) -> None:
    names = ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_dfa_ang_xx.WAV"]
    summary = adding.add_corpus("crema_d", packed(tmp_path / "a.zip", names), tmp_path / "data")
    assert (summary.found, summary.skipped) == (1, {"second copy of a recording": 1})


def test_an_archive_of_very_many_entries_takes_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"notes/{number}.txt", b"")
        archive.writestr(NAMES[0], SOUND)
    before = time.monotonic()
    assert adding.add_corpus("ravdess", path, tmp_path / "data").found == 1
    assert time.monotonic() - before < 20


_ADD = """
import sys
from pathlib import Path
from ser_ops.corpora import adding
from ser_ops.errors import UserError
try:
    adding.add_corpus("ravdess", Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], lock=Path(sys.argv[4]))
except UserError as error:
    sys.exit(str(error))
"""


def test_several_at_once_come_one_after_the_other(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    names = ["ravdess", "ravdess", "ravdess.v2"]
    running = [subprocess.Popen([sys.executable, "-c", _ADD, tmp_path / "source", tmp_path / "data", name,
                                 tmp_path / "state" / "data.lock"], stderr=subprocess.PIPE, text=True)
               for name in names]
    errors = [process.communicate()[1] for process in running]
    assert sorted(process.returncode for process in running) == [0, 0, 1]
    assert sum("is already there" in error for error in errors) == 1
    assert sorted(os.listdir(tmp_path / "data")) == ["ravdess", "ravdess.v2"]
    for name in set(names):
        assert tree(tmp_path / "data" / name) == sorted([*NAMES, "corpus.yaml"])


def test_without_a_lock_the_second_one_is_refused_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech(tmp_path / "source", NAMES)

    def meanwhile(*arguments: Any) -> None:
        speech(tmp_path / "data" / "ravdess", NAMES[:1])

    monkeypatch.setattr("ser_ops.corpora.adding._refuse_pointers", meanwhile)
    with pytest.raises(UserError, match="is already there"):
        adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    assert tree(tmp_path / "data") == [f"ravdess/{NAMES[0]}"]


def test_one_bad_corpus_does_not_end_the_list(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    (tmp_path / "data" / "a file").touch()
    for name, card in (("empty", None), ("broken", "name: ["), ("other", "name: x"), ("hollow", None)):
        (tmp_path / "data" / name).mkdir()
        if card:
            (tmp_path / "data" / name / "corpus.yaml").write_text(card)
    card = corpus.CorpusCard.read(tmp_path / "data", "ravdess").model_copy(update={"name": "hollow"})
    card.write(tmp_path / "data" / "hollow")
    (tmp_path / "data" / "pipe").mkdir()
    os.mkfifo(tmp_path / "data" / "pipe" / "corpus.yaml")
    listed = list(adding.list_corpora(tmp_path / "data"))
    bad = {answer.name: answer.record() for answer in listed if isinstance(answer, folders.UnusableFolder)}
    assert sorted(bad) == ["broken", "empty", "hollow", "other", "pipe"]
    assert all("\n" not in answer["error"] and name in answer["error"] for name, answer in bad.items())
    assert [answer.corpus for answer in listed if isinstance(answer, corpus.CorpusSummary)] == ["ravdess"]
    assert list(adding.list_corpora(tmp_path / "nowhere")) == []


def test_git_lfs_pointers_are_named(tmp_path: Path) -> None:
    pointer = tmp_path / "clone" / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 72862\n")
    with pytest.raises(UserError, match="git lfs pull"):
        adding.add_corpus("crema_d", tmp_path / "clone", tmp_path / "data")
    assert not tree(tmp_path / "data")


def test_another_corpus_is_recognised(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    with pytest.raises(UserError, match=r"no TESS recordings.*those of RAVDESS speech"):
        adding.add_corpus("tess", tmp_path / "source", tmp_path / "data")
    with pytest.raises(UserError, match="not a known corpus: choose one of ravdess, crema_d, tess, savee"):
        adding.add_corpus("iemocap", tmp_path / "source", tmp_path / "data")


@pytest.mark.parametrize(("text", "fault"), [
    ("name: mine\nlayout: ravdess\nsynthetic: no\nlicence: a\nsource: b\ncolour: red\n", "colour"),
    ("name: mine\nlayout: emodb\nsynthetic: no\nlicence: a\nsource: b\n", "layout"),
    ("name: mine\nlayout: ravdess\nsynthetic: 'no'\nlicence: a\nsource: b\n", "synthetic"),
    ("name: other\nlayout: ravdess\nsynthetic: no\nlicence: a\nsource: b\n", "not the card of 'mine'"),
    ("- a\n", "not the card"), ("a: [\n", "is not YAML")])
def test_cards_are_strict(tmp_path: Path, text: str, fault: str) -> None:
    speech(tmp_path / "mine", NAMES)
    (tmp_path / "mine" / "corpus.yaml").write_text(text)
    with pytest.raises(UserError, match=fault) as error:
        corpus.scan_corpus(tmp_path, "mine")
    assert "\n" not in str(error.value)


def test_a_missing_corpus_says_which_there_are(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    adding.add_corpus("ravdess", tmp_path / "source", tmp_path / "data")
    with pytest.raises(UserError, match=r"no such corpus \(there are: ravdess\)"):
        corpus.scan_corpus(tmp_path / "data", "tess")
    with pytest.raises(UserError, match="no such corpus"):
        adding.check_corpus(tmp_path / "data", "tess")


def test_a_synthetic_corpus_has_no_complete_one(tmp_path: Path) -> None:
    speech(tmp_path / "made", NAMES)
    corpus.CorpusCard(name="made", layout="ravdess", synthetic=True, licence="Apache-2.0", source="generated").write(
        tmp_path / "made")
    summary = adding.check_corpus(tmp_path, "made")
    assert summary.complete and summary.expected is None and summary.record()["expected_emotions"] is None
    assert "synthetic speech" in summary.sentence()


@pytest.mark.real_speech
def test_the_real_recordings_come_in_and_are_partial(tmp_path: Path) -> None:
    if not (SHARED / "ravdess").is_dir():
        pytest.skip("the recordings are not at hand")
    summary = adding.add_corpus("ravdess", SHARED / "ravdess", tmp_path, link=True)
    assert (summary.found, summary.speakers, summary.complete, summary.skipped) == (1200, 20, False, {})
    assert summary.emotions == {"angry": 160, "disgust": 160, "fear": 160, "happy": 160, "neutral": 240, "sad": 160,
                                "surprise": 160}
    assert any("stereo" in oddity for oddity in summary.oddities)
