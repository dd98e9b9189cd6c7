"""CSV manifests and tables."""

import time
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ser_ops.config.data import ManifestSource
from ser_ops.corpora.corpus import summarise_manifest
from ser_ops.corpora.csv_manifest import parse_seconds, read_labels, read_manifest
from ser_ops.corpora.utterance import Utterance
from ser_ops.errors import UserError
from ser_ops.tables import read_csv, write_csv

Form = Literal["NFC", "NFD"]


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
    summary = summarise_manifest(ManifestSource(name="mine", file=tmp_path / "mine.csv"), scan)
    assert summary.complete and summary.expected is None and summary.speakers == 2


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


def test_one_recording_cut_into_several_utterances(tmp_path: Path) -> None:
    scan = read_manifest(source(tmp_path, "file,start,end,emotion,speaker,channel\n"
                                "a.wav,0 days 00:00:01.500000,0 days 00:01:03,sad,1,\n"
                                "a.wav,0,1.5,Happy,1,\n"
                                "a.wav,63,NaT,sad,1,\n"
                                "a.wav,,,fear,1,2\n"
                                "sub/b.flac,,,sad,2,\n"))
    assert {utterance.utterance: (utterance.start, utterance.end, utterance.channel, utterance.emotion)
            for utterance in scan.utterances} == {
        "mine/a@0-1.5": (0.0, 1.5, None, "happy"), "mine/a@1.5-63": (1.5, 63.0, None, "sad"),
        "mine/a@63-end": (63.0, None, None, "sad"), "mine/a@channel2": (0.0, None, 2, "fear"),
        "mine/sub/b": (0.0, None, None, "sad")}
    assert scan.oddities == [] and {utterance.clip.path for utterance in scan.utterances
                                    if utterance.channel} == {tmp_path / "a.wav"}


@settings(max_examples=60)
@drawn(st.integers(0, 10**9))
def test_every_time_that_pandas_writes_is_read(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    pandas = f"{milliseconds // 86_400_000} days {time.strftime('%H:%M:%S', time.gmtime(seconds % 86400))}"
    for text in (f"{pandas}.{milliseconds % 1000:03d}000", f"{seconds:.3f}", repr(seconds),
                 f"{seconds:.4f}".replace(".", ",")):
        assert parse_seconds("a.csv", "start", text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(("start", "end", "fault"), [
    ("-1", "", "line 2 has the start '-1', which is no time"),
    ("0", "-0.5", "line 2 has the end '-0.5', which is no time"),
    ("-1 days +23:59:59", "", "which is no time"),
    ("soon", "", "which is no time"),
    ("1e999", "", "which is no time"),
    ("inf", "", "which is no time"),
    ("01:30", "", "which is no time"),
    ("1.5s", "", "which is no time"),
    ('"1,500"', "", "may be thousands or a fraction"),
    ("2", "2", "line 2 ends at 2 s and starts at 2 s"),
    ("2", "1", "line 2 ends at 1 s"),
    ("", "0", "line 2 ends at 0 s")])
def test_a_time_that_is_none_names_its_line(tmp_path: Path, start: str, end: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault) as error:
        read_manifest(source(tmp_path, f"path,emotion,speaker,start,end\na.wav,sad,1,{start},{end}\n"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channel", ["0", "-1", "left", "1.5", "1e3", "2000"])
def test_a_channel_is_a_number_from_1_on(tmp_path: Path, channel: str) -> None:
    with pytest.raises(UserError, match=r"line 2 has the channel .* from 1 on"):
        read_manifest(source(tmp_path, f"path,emotion,speaker,channel\na.wav,sad,1,{channel}\n"))


@pytest.mark.parametrize(("column", "refused"), [
    ("offset", True), ("onset", True), ("start_time", True), ("End (ms)", True), ("begin", True),
    ("start,duration", True), ("start,stop", True),
    ("starttime", True), ("tmin", True), ("xmax", True), ("from", True), ("first_sample", True), ("Segment", True),
    ("stop", True), ("begin_s", True), ("t0", True), ("utterance start", True), ("end.frame", True), ("Out", True),
    ("start,len_ms", True), ("start,segment_duration", True), ("To (s)", True),
    ("duration", False), ("gender_of_speaker", False), ("start,end,start_frame", False), ("start,end,tmax", False),
    ("sender", False), ("context", False), ("trend", False), ("weekend", False), ("first_language", False),
    ("segment_id", False), ("recording_start_date", False), ("age_of_onset", False), ("frames", False),
    ("startled", False), ("sample_rate", False), ("time", False), ("start,end,duration", False)])
def test_a_column_that_would_cut_under_another_name_is_refused(tmp_path: Path, column: str, refused: bool) -> None:
    values = ",1,2,3"[:2 * len(column.split(","))]
    given = source(tmp_path, f"path,emotion,speaker,{column}\na.wav,sad,1{values}\n")
    if refused:
        with pytest.raises(UserError, match=f"the column {column.split(',')[-1].lower()[:3]}.* would cut"):
            read_manifest(given)
    else:
        assert read_manifest(given).oddities == [f"columns not used: {column.split(',')[-1]}"]


@pytest.mark.parametrize(("column", "refused"), [
    ("chan", True), ("Channel_No", True), ("ch", True), ("audio channel", True), ("channel_id", True), ("ch1", True),
    ("channels", False), ("channel_count", False), ("chapter", False), ("channel,chan", False)])
def test_a_column_that_would_choose_a_channel_under_another_name_is_refused(tmp_path: Path, column: str,
                                                                            refused: bool) -> None:
    last, values = column.split(",")[-1].lower(), ",1" * len(column.split(","))
    given = source(tmp_path, f"path,emotion,speaker,{column}\na.wav,sad,1{values}\n")
    if refused:
        with pytest.raises(UserError, match=f"the column {last} would choose a channel, .*: name it so"):
            read_manifest(given)
    else:
        assert read_manifest(given).oddities == [f"columns not used: {last}"]


def test_all_columns_that_would_cut_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"columns tmin, tmax would cut .*give these, in seconds"):
        read_manifest(source(tmp_path, "path,emotion,speaker,tmin,tmax,text\na.wav,sad,1,0,1,hello\n"))


@pytest.mark.parametrize("again", ["{folder}/a.wav", "sub/../a.wav", "./a.wav", "linked.wav", "{folder}/sub/../a.wav"])
@pytest.mark.parametrize("cut", [",,", "0.5,1.5,", ",,2", "0.5,,1"])
def test_one_part_of_one_file_is_one_line_however_it_is_named(tmp_path: Path, again: str, cut: str) -> None:
    given = source(tmp_path, "")
    (tmp_path / "linked.wav").symlink_to(tmp_path / "a.wav")
    head, other = "path,emotion,speaker,start,end,channel\n", again.format(folder=tmp_path)
    given.file.write_text(f"{head}a.wav,sad,1,{cut}\n{other},happy,1,{cut}\nsub/b.flac,sad,1,{cut}\n")
    with pytest.raises(UserError, match=r"more than once \(mine/a[^,]*(, mine/[^,]*)?\): keep one line") as error:
        read_manifest(given, files_may_be_missing=True)
    assert "\n" not in str(error.value) and "mine/sub/b" not in str(error.value)
    given.file.write_text(f"{head}a.wav,sad,1,{cut}\n{other},happy,1,3,4,\n")
    assert len(read_manifest(given).utterances) == 2


@pytest.mark.parametrize("path", [".", "/", "./", "./."])
def test_a_path_that_names_no_file_is_one_line(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=r"line 2 names no file \('.*'\): give the path of a recording"):
        read_manifest(source(tmp_path, f"path,emotion,speaker\n{path},sad,1\n"))
    with pytest.raises(UserError, match="1 of 1 files are missing"):
        read_manifest(source(tmp_path, "path,emotion,speaker\n..,sad,1\n"))


def test_a_column_that_would_choose_is_said(tmp_path: Path) -> None:
    scan = read_manifest(source(tmp_path, "path,emotion,speaker,Split,weight\na.wav,sad,1,test,2\n"))
    assert scan.oddities == ["columns not used: split, weight",
                             "every line counts alike; the values of split, weight are ignored"]


def test_labels_in_any_case_and_labels_that_are_dropped(tmp_path: Path) -> None:
    scan = read_manifest(source(tmp_path, "Path; Emotion ;SPEAKER\na.wav;  JOY ;1\nsub/b.flac;Bored;2\nx.wav;bored;2\n"
                                "y.wav;surprise;2\n", joy="happy", BORED="drop", Surprise="drop"))
    assert [(utterance.utterance, utterance.emotion) for utterance in scan.utterances] == [("mine/a", "happy")]
    assert scan.skipped == {"label 'Bored' is dropped": 1, "label 'bored' is dropped": 1,
                            "label 'surprise' is dropped": 1}
    with pytest.raises(UserError, match="every label is dropped"):
        read_manifest(source(tmp_path, "path,emotion,speaker\na.wav,joy,1\n", joy="drop"))
    with pytest.raises(ValidationError, match="is given twice"):
        source(tmp_path, "", Joy="happy", joy="sad")


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_the_other_spelling_of_accents_is_found(tmp_path: Path, on_disk: Form, in_table: Form) -> None:
    folder, name = (unicodedata.normalize(on_disk, text) for text in ("Größe", "ähm.wav"))
    written = unicodedata.normalize(in_table, "Größe/ähm.wav")
    scan = read_manifest(source(tmp_path, f"path,emotion,speaker\n{written},sad,1\n", files=(f"{folder}/{name}",)))
    assert scan.utterances[0].path == tmp_path / folder / name
    assert scan.utterances[0].utterance == unicodedata.normalize("NFC", "mine/Größe/ähm")
    (tmp_path / written).parent.mkdir()
    (tmp_path / written).touch()
    assert read_manifest(source(tmp_path, f"path,emotion,speaker\n{written},sad,1\n", ())).utterances[0].path \
        == tmp_path / written, "the exact spelling wins"


def test_files_that_somebody_else_says_are_missing(tmp_path: Path) -> None:
    given = source(tmp_path, "path,emotion,speaker\na.wav,sad,1\ngone.wav,sad,1\n" + "x" * 300 + ".wav,sad,1\n")
    assert len(read_manifest(given, files_may_be_missing=True).utterances) == 3
    with pytest.raises(UserError, match="2 of 3 files are missing"):
        read_manifest(given)


@pytest.mark.parametrize(("text", "fault"), [
    ("joy", "'joy' maps nothing: write joy=happy"), ("=sad", "maps nothing"), ("joy=glad", "'joy' is mapped to 'glad'"),
    ("Joy=happy,joy=sad", "'joy' is mapped twice"), ("none.yaml", "none.yaml: cannot be read"),
    ("list.yaml", "holds no labels"), ("flags.yaml", "False is not text: put that label into quotes"),
    ("nested.yaml", "'joy' is mapped to")])
def test_labels_that_map_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fault: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("list", "[joy]"), ("flags", "no: sad"), ("nested", "joy: {a: b}")):
        Path(f"{name}.yaml").write_text(content)
    with pytest.raises(UserError, match=fault) as error:
        read_labels(text)
    assert "\n" not in str(error.value)


def test_labels_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text("a, b = c: Happy\n'no': drop\n")
    assert read_labels(str(tmp_path / "labels.yaml")) == {"a, b = c": "happy", "no": "drop"}
