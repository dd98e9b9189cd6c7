"""Bringing a corpus in: from folders and zips at any level, whole or not at all, nothing outside."""

import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from ser_ops import corpora
from ser_ops.corpora import sources
from ser_ops.errors import UserError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "corpora"
NAMES = [f"Actor_{actor:02d}/03-01-{emotion}-01-01-01-{actor:02d}.wav" for actor in (1, 2) for emotion in ("03", "04")]


def speech(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(160, number / 100, np.float32), 16000)
    return folder


def packed(path: Path, names: list[str], content: bytes = b"RIFF") -> Path:
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
    found = corpora.add("ravdess", tmp_path / "source", tmp_path / "data")
    assert tree(tmp_path / "data" / "ravdess") == sorted([*NAMES, "corpus.yaml"])
    assert (found.found, found.speakers, found.expected, found.complete) == (4, 2, 1440, False)
    assert found.emotions == {"happy": 2, "sad": 2}
    assert found.skipped == {"song": 1, "not an audio file (.txt)": 1}
    assert "PARTIAL, 4 of 1440" in found.sentence()
    assert tree(tmp_path / "source")  # never moved
    card = yaml.safe_load((tmp_path / "data/ravdess/corpus.yaml").read_text())
    assert card["licence"] == "CC BY-NC-SA 4.0" and card["synthetic"] is False and "zenodo" in card["source"]


def test_a_folder_below_the_corpus_works(tmp_path: Path) -> None:
    speech(tmp_path / "Actor_01", ["03-01-03-01-01-01-01.wav"])
    corpora.add("ravdess", tmp_path / "Actor_01", tmp_path / "data")
    assert "Actor_01/03-01-03-01-01-01-01.wav" in tree(tmp_path / "data" / "ravdess")
    speech(tmp_path / "JE", ["su01.wav"])
    corpora.add("savee", tmp_path / "JE", tmp_path / "data")
    assert "JE/su01.wav" in tree(tmp_path / "data" / "savee")


def test_crema_d_brings_its_table_of_speakers(tmp_path: Path) -> None:
    speech(tmp_path / "CREMA-D", ["AudioWAV/1001_DFA_ANG_XX.wav"])
    (tmp_path / "CREMA-D/VideoDemographics.csv").write_text("ActorID,Sex\n1001,Male\n")
    corpora.add("crema_d", tmp_path / "CREMA-D", tmp_path / "data")
    (one,) = corpora.scan(tmp_path / "data", "crema_d").utterances
    assert (one.utterance, one.gender) == ("crema_d/AudioWAV/1001_DFA_ANG_XX", "male")


def test_links_point_to_the_originals(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    corpora.add("ravdess", tmp_path / "source", tmp_path / "data", name="linked", link=True)
    link = tmp_path / "data" / "linked" / NAMES[0]
    assert link.is_symlink() and link.resolve() == (tmp_path / "source" / NAMES[0]).resolve()
    with pytest.raises(UserError, match="zip cannot be linked"):
        corpora.add("ravdess", packed(tmp_path / "a.zip", NAMES), tmp_path / "data", link=True)


def test_a_corpus_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    corpora.add("ravdess", tmp_path / "source", tmp_path / "data")
    with pytest.raises(UserError, match="already there"):
        corpora.add("ravdess", tmp_path / "source", tmp_path / "data")
    corpora.add("ravdess", tmp_path / "source", tmp_path / "data", name="second")
    assert [one.corpus for one in corpora.list_all(tmp_path / "data")] == ["ravdess", "second"]


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "with space"])
def test_odd_corpus_names_are_refused(tmp_path: Path, name: str) -> None:
    speech(tmp_path / "source", NAMES)
    with pytest.raises(UserError, match="no name for a corpus"):
        corpora.add("ravdess", tmp_path / "source", tmp_path / "data", name=name)
    assert not (tmp_path / "out").exists() and not (tmp_path / "data").exists()


def test_a_zip_with_a_nested_second_copy_is_taken_once(tmp_path: Path) -> None:
    names = [f"{top}TESS set/OAF_Fear/OAF_{word}_fear.wav" for top in ("", "TESS set/") for word in ("back", "bar")]
    found = corpora.add("tess", packed(tmp_path / "archive.zip", [*names, "TESS set/notes.md"]), tmp_path / "data")
    assert tree(tmp_path / "data" / "tess") == ["OAF_Fear/OAF_back_fear.wav", "OAF_Fear/OAF_bar_fear.wav",
                                                "corpus.yaml"]
    assert found.skipped == {"second copy of a recording": 2, "not an audio file (.md)": 1}
    assert any("2 files do not open as audio" in one for one in found.oddities)


@pytest.mark.parametrize("bad", ["../../evil.wav", "/etc/evil.wav", "a/../../evil.wav", "..\\evil.wav", "C:\\evil.wav",
                                 "\\evil.wav", "../evil.txt"])
def test_a_zip_that_points_outside_is_refused_whole(tmp_path: Path, bad: str) -> None:
    archive = packed(tmp_path / "a.zip", [*NAMES, bad])
    with pytest.raises(UserError, match="points outside its folder"):
        corpora.add("ravdess", archive, tmp_path / "data" / "corpora")
    assert tree(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    archive = packed(tmp_path / "a.zip", NAMES)
    entry = zipfile.ZipInfo("Actor_01/03-01-05-01-01-01-01.wav")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="link or a device"):
        corpora.add("ravdess", archive, tmp_path / "data")
    assert tree(tmp_path) == ["a.zip"]


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_LARGE", 10**6)
    with pytest.raises(UserError, match="no speech does"):
        corpora.add("ravdess", packed(tmp_path / "a.zip", NAMES[:1], bytes(2 * 10**6)), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech(tmp_path / "source", NAMES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    for source in (tmp_path / "source", packed(tmp_path / "a.zip", NAMES)):
        with pytest.raises(UserError, match="are needed and"):
            corpora.add("ravdess", source, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_zip_and_what_is_none(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", NAMES, os.urandom(2000))
    content = bytearray(archive.read_bytes())
    content[600:700] = bytes(100)
    archive.write_bytes(content)
    with pytest.raises(UserError, match="no sound zip"):
        corpora.add("ravdess", archive, tmp_path / "data" / "corpora")
    (tmp_path / "b.zip").write_text("hello")
    with pytest.raises(UserError, match="no sound zip"):
        corpora.add("ravdess", tmp_path / "b.zip", tmp_path / "data" / "corpora")
    with pytest.raises(UserError, match="is missing"):
        corpora.add("ravdess", tmp_path / "c.zip", tmp_path / "data" / "corpora")
    assert not any((tmp_path / "data").rglob("*.wav"))


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    (tmp_path / "source" / NAMES[3]).unlink()
    (tmp_path / "source" / NAMES[3]).symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="cannot be read"):
        corpora.add("ravdess", tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data").exists() or not tree(tmp_path / "data")


def test_git_lfs_pointers_are_named(tmp_path: Path) -> None:
    pointer = tmp_path / "clone" / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 72862\n")
    with pytest.raises(UserError, match="git lfs pull"):
        corpora.add("crema_d", tmp_path / "clone", tmp_path / "data")
    assert not tree(tmp_path / "data")


def test_another_corpus_is_recognised(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    with pytest.raises(UserError, match=r"no TESS recordings.*those of RAVDESS speech"):
        corpora.add("tess", tmp_path / "source", tmp_path / "data")
    with pytest.raises(UserError, match="no known corpus: choose of ravdess, crema_d, tess, savee"):
        corpora.add("iemocap", tmp_path / "source", tmp_path / "data")


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
        corpora.scan(tmp_path, "mine")
    assert "\n" not in str(error.value)


def test_a_missing_corpus_says_which_there_are(tmp_path: Path) -> None:
    speech(tmp_path / "source", NAMES)
    corpora.add("ravdess", tmp_path / "source", tmp_path / "data")
    with pytest.raises(UserError, match=r"no such corpus \(there are: ravdess\)"):
        corpora.scan(tmp_path / "data", "tess")
    with pytest.raises(UserError, match="no such corpus"):
        corpora.check(tmp_path / "data", "tess")


def test_a_synthetic_corpus_has_no_complete_one(tmp_path: Path) -> None:
    speech(tmp_path / "made", NAMES)
    corpora.Card(name="made", layout="ravdess", synthetic=True, licence="Apache-2.0", source="generated").write(
        tmp_path / "made")
    found = corpora.check(tmp_path, "made")
    assert found.complete and found.expected is None and found.record()["expected_emotions"] is None
    assert "synthetic speech" in found.sentence()


@pytest.mark.real_speech
def test_the_real_recordings_come_in_and_are_partial(tmp_path: Path) -> None:
    if not (SHARED / "ravdess").is_dir():
        pytest.skip("the recordings are not at hand")
    found = corpora.add("ravdess", SHARED / "ravdess", tmp_path, link=True)
    assert (found.found, found.speakers, found.complete, found.skipped) == (1200, 20, False, {})
    assert found.emotions == {"angry": 160, "disgust": 160, "fear": 160, "happy": 160, "neutral": 240, "sad": 160,
                              "surprise": 160}
    assert any("stereo" in one for one in found.oddities)
