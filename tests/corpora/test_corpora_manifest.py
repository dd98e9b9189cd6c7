"""CSV manifests and tables."""

from pathlib import Path

import pytest

from ser_ops.config import ManifestSource
from ser_ops.corpora import Utterance, read_manifest, summarise_manifest
from ser_ops.corpora.table import read_csv, write_csv
from ser_ops.errors import UserError


def source(folder: Path, text: str, files: tuple[str, ...] = ("a.wav", "sub/b.flac"), **labels: str) -> ManifestSource:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    return ManifestSource(name="mine", file=folder / "mine.csv", labels=labels)  # type: ignore[arg-type]


def test_a_manifest_with_labels_of_its_own(tmp_path: Path) -> None:
    scan = read_manifest(source(tmp_path, "path,emotion,speaker,gender,text,mood\n"
                                "sub/b.flac,joy,s2,F,hello,x\na.wav,sad,s1,other,,\n", joy="happy"))
    assert scan.utterances == [
        Utterance("mine/a", "mine", "manifest", False, tmp_path / "a.wav", "sad", "mine/s1"),
        Utterance("mine/sub/b", "mine", "manifest", False, tmp_path / "sub/b.flac", "happy", "mine/s2", "female", "",
                  "", "hello")]
    assert scan.oddities == ["columns not used: mood", "gender counted as unknown: other"]
    found = summarise_manifest(ManifestSource(name="mine", file=tmp_path / "mine.csv"), scan)
    assert found.complete and found.expected is None and found.speakers == 2


@pytest.mark.parametrize(("text", "fault"), [
    ("path,emotion\na.wav,sad\n", "lacks the column speaker"),
    ("file\na.wav\n", "lacks the column emotion, speaker"),
    ("path,emotion,speaker\n", "holds no recordings"),
    ("path,emotion,speaker\na.wav,,s1\n", "line 2 has no emotion"),
    ("path,emotion,speaker\na.wav,sad\n", "line 2 has another number of values"),
    ("path,emotion,speaker\na.wav,sad,s,1\n", "line 2 has another number of values"),
    ("path,emotion,speaker\na.wav,sad,1\nc.wav,sad,1\nd.wav,sad,1\n", "2 of 3 files are missing .*c.wav, .*d.wav"),
    ("path,emotion,speaker\na.wav,sad,1\na.wav,sad,1\n", "more than once .mine/a"),
    ("path,emotion,speaker\na.wav,joy,1\nsub/b.flac,Ire,1\n", r"labels with no map: 'Ire' \(1\), 'joy' \(1\)")])
def test_faults_are_named_in_one_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault) as error:
        read_manifest(source(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_and_windows_paths(tmp_path: Path) -> None:
    given = source(tmp_path, "\ufeffpath,emotion,speaker\r\nsub\\b.flac,sad,1\r\n")
    assert read_manifest(given).utterances[0].path == tmp_path / "sub" / "b.flac"


def test_a_table_that_is_missing_or_no_csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(UserError, match="no CSV in UTF-8"):
        read_csv(tmp_path / "a.csv")


def test_a_table_comes_back_as_it_was_and_never_half(tmp_path: Path) -> None:
    rows = [{"a": "x,y", "b": 0.1 + 0.2}, {"a": 'quoted "z"\nline', "b": -1}]
    write_csv(tmp_path / "a.csv", rows, ["a", "b"])
    assert read_csv(tmp_path / "a.csv") == [{"a": "x,y", "b": "0.30000000000000004"},
                                            {"a": 'quoted "z"\nline', "b": "-1"}]
    before = (tmp_path / "a.csv").read_bytes()
    with pytest.raises(ValueError, match="fields"):
        write_csv(tmp_path / "a.csv", [{"a": 1, "b": 2}, {"c": 3}], ["a", "b"])
    assert (tmp_path / "a.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
