"""The stages ingest and audit, as they are run: on files of every kind, killed, and on one core or two."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
import yaml
from project_copy import write_settings

from ser_ops.audio.admission import Clip
from ser_ops.audio.reading import read_recording
from ser_ops.corpora import corpus
from ser_ops.corpora.decoding import decode_recordings
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow, UtteranceRow, VariantRow, read_rows, write_rows
from ser_ops.shards import Shards
from ser_ops.stages import audit, ingest, run

TOP = Path(__file__).resolve().parents[2]


def tone(seconds: float, rate: int, peak: float = 0.5, hertz: float = 220) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def project(folder: Path, **data: Any) -> None:
    params = yaml.safe_load((TOP / "params.yaml").read_text())
    params["data"] |= {"corpora": ["mine"], "noise": ["synthetic"], **data}
    params["compute"]["workers"] = 1
    write_settings(folder, params)
    for actor in (1, 2, 3):
        for number, emotion in enumerate(("03", "04", "05")):
            path = folder / "data/corpora/mine" / f"Actor_{actor:02d}" / f"03-01-{emotion}-01-01-01-{actor:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone(0.4, 48000, hertz=100 * actor + 10 * number), 48000)
    corpus.CorpusCard(name="mine", layout="ravdess", synthetic=True, licence="Apache-2.0", source="generated").write(
        folder / "data/corpora/mine")
    for name in ("a", "b", "c"):
        path = folder / f"data/noise/synthetic/fish_market/{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(1, 16000, hertz=1000 + ord(name)), 16000)
    (folder / "data/noise/synthetic/noise.yaml").write_text(
        yaml.safe_dump({"name": "synthetic", "synthetic": True, "licence": "Apache-2.0", "source": "generated"}))


def stage(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ser_ops.stages.ingest"], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(TOP)}, check=False)


def digests(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ingest_writes_what_the_next_stages_read(tmp_path: Path) -> None:
    project(tmp_path)
    answer = stage(tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "mine: synthetic speech, 9 recordings, 3 speakers" in answer.stdout
    made = tmp_path / "work" / "ingest"
    rows, noise = read_rows(made / "manifest.csv", UtteranceRow), read_rows(made / "noise.csv", NoiseRow)
    assert len(rows) == 9 and {row.partition for row in rows} == {"train", "validation", "test"}
    first = rows[0]
    assert (first.utterance, first.path) == ("mine/Actor_01/03-01-03-01-01-01-01",
                                             "mine/Actor_01/03-01-03-01-01-01-01.wav")
    assert (first.synthetic, first.native_rate, first.channels, first.seconds, first.error) == (
        True, 48000, 1, 0.4, "")
    assert first.peak_dbfs == pytest.approx(-6.02, abs=0.3)
    assert first.rms_dbfs == pytest.approx(-9.03, abs=0.5)  # what lies below speech is gone
    store = Shards(made / "waveforms")
    assert set(store) == {row.utterance for row in rows}
    expected = read_recording(tmp_path / "data" / "corpora" / first.path, 16000).samples
    assert np.array_equal(store[first.utterance], expected)
    assert set(Shards(made / "noise")) == {row.recording for row in noise}
    assert json.loads((made / "corpora.json").read_text())["mine"]["found"] == 9
    assert all(card["licence"] for card in json.loads((made / "noise.json").read_text()).values())


def test_any_number_of_processes_writes_the_same(tmp_path: Path) -> None:
    files = []
    for number in range(7):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, tone(0.3, 22050, hertz=100 + number), 22050)
        files.append((str(number), Clip(path)))
    alone = decode_recordings(files, tmp_path / "one", 16000, -60, 1, 1, "one")
    shared = decode_recordings(files, tmp_path / "two", 16000, -60, 1, 2, "two")
    assert alone == shared and digests(tmp_path / "one") == digests(tmp_path / "two")


def test_shards_are_cut_by_size_and_number(tmp_path: Path) -> None:
    files = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, tone(10, 16000), 16000)
        files.append((str(number), Clip(path)))
    decode_recordings(files, tmp_path / "store", 16000, -60, 1, 1, "test")
    assert len(list((tmp_path / "store").glob("shard-*"))) == 6
    missing = Clip(tmp_path / "none.wav")
    decode_recordings([(str(number), missing) for number in range(300)], tmp_path / "many", 16000, -60, 1, 1, "test")
    assert len(list((tmp_path / "many").glob("shard-*"))) == 3


def test_bad_recordings_are_measured_or_named_and_the_others_go_on(tmp_path: Path) -> None:
    def write(name: str, samples: np.ndarray, rate: int = 16000, subtype: str = "FLOAT") -> None:
        soundfile.write(tmp_path / name, samples, rate, subtype=subtype)

    write("good.wav", tone(1, 16000))
    write("silent.wav", np.zeros(16000, np.float32))
    write("one.wav", np.full(1, 0.25, np.float32), 48000)
    write("none.wav", np.zeros(0, np.float32))
    write("nan.wav", np.full(1600, np.nan, np.float32))
    write("stereo.wav", np.stack([tone(1, 44100), np.zeros(44100, np.float32)], axis=1), 44100)
    write("clipped.wav", np.clip(tone(1, 48000, 3.0), -1, 1), 48000, "PCM_16")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio at all")
    names = ("good", "silent", "one", "none", "nan", "stereo", "clipped", "empty", "text", "missing")
    items = [(name, Clip(tmp_path / f"{name}.wav")) for name in names]
    measures = dict(zip(names, decode_recordings(items, tmp_path / "store", 16000, -60, 64, 1, "test"), strict=True))
    assert {name for name in names if measures[name].error} == {
        "silent", "one", "none", "nan", "empty", "text", "missing"}
    assert "NaN" in measures["nan"].error and "no samples" in measures["none"].error
    assert all(str(tmp_path) not in measured.error for measured in measures.values())
    assert measures["missing"].sha256 == "" and len(measures["text"].sha256) == 64
    assert (measures["text"].content, measures["text"].seconds, measures["text"].peak_dbfs) == ("", None, None)
    assert measures["silent"].error.startswith("silent") and "shorter than 0.1 s" in measures["one"].error
    assert measures["stereo"].warnings.startswith("the mean of its 2 channels") and measures["good"].warnings == ""
    assert (measures["stereo"].channels, measures["stereo"].native_rate) == (2, 44100)
    assert measures["clipped"].clipped_share > 0.5 and measures["good"].clipped_share == 0
    assert set(Shards(tmp_path / "store")) == {"good", "stereo", "clipped"}


def test_the_same_sound_has_the_same_content_in_another_container(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, (tone(0.5, 16000) * 32767).astype(np.int16), 16000, subtype="PCM_16")
    items = [(name, Clip(tmp_path / name)) for name in ("a.wav", "a.flac")]
    wav, flac = decode_recordings(items, tmp_path / "store", 16000, -60, 64, 1, "test")
    assert wav.content == flac.content and wav.sha256 != flac.sha256


def test_a_clip_is_cut_and_its_content_is_that_of_the_cut(tmp_path: Path) -> None:
    sound = np.concatenate([tone(1, 16000), tone(1, 16000, hertz=900)])
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    clips = [("first", Clip(tmp_path / "a.wav", 0.0, 1.0)), ("second", Clip(tmp_path / "a.wav", 1.0)),
             ("beyond", Clip(tmp_path / "a.wav", 3.0)), ("over", Clip(tmp_path / "a.wav", 1.0, 9.0))]
    first, second, beyond, over = decode_recordings(clips, tmp_path / "store", 16000, -60, 64, 1, "t")
    assert first.seconds == second.seconds == 1.0 and first.content != second.content
    assert "is after its end at 2.00 s" in beyond.error
    assert over.content == second.content and "end 9 s is after" in over.warnings


@pytest.mark.parametrize(("change", "fault"), [
    ({"corpora": ["other"]}, "no such corpus (there are: mine)"),
    ({"corpora": ["mine", "mine"]}, "data names mine more than once"),
    ({"manifests": [{"name": "m"}]}, "data/manifests/m: no such manifest (there are: none): bring it in with `ser-ops"),
    ({"manifests": [{"name": "m", "file": "m.csv"}]}, "with `ser-ops corpora add manifest m.csv --name m` and leave"),
    ({"noise": ["other"]}, "other")])
def test_faults_are_one_line_and_nothing_is_written(
        here: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], fault: str) -> None:
    project(here, **change)
    with pytest.raises(SystemExit) as stop:
        run(ingest.main)
    said = capsys.readouterr().err
    assert stop.value.code == 1 and fault in said
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not (here / "work" / "ingest").exists()


def test_a_manifest_comes_in_beside_a_corpus(here: Path) -> None:
    project(here, manifests=[{"name": "extra", "labels": {"joy": "happy"}}])
    extra = here / "data/manifests/extra"
    extra.mkdir(parents=True)
    for speaker in "xyz":
        soundfile.write(extra / f"{speaker}.ogg", tone(0.4, 16000), 16000)
    (extra / "manifest.csv").write_text(
        "path,emotion,speaker\n" + "".join(f"{path},joy,{speaker}\n" for path, speaker in (
            ("x.ogg", "x"), ("../extra/y.ogg", "y"), (extra / "z.ogg", "z"))))
    ingest.main()
    rows = [row for row in read_rows(here / "work/ingest/manifest.csv", UtteranceRow) if row.corpus == "extra"]
    assert [(row.utterance, row.path, row.layout, row.emotion) for row in rows] == [
        (name, f"extra/{speaker}.ogg", "manifest", "happy") for name, speaker in (
            ("extra/../extra/y", "y"), (f"extra{extra}/z", "z"), ("extra/x", "x"))]
    corpora = json.loads((here / "work/ingest/corpora.json").read_text())
    assert corpora["extra"]["expected"] is None and corpora["extra"]["complete"] is True
    soundfile.write(here / "elsewhere.wav", tone(0.4, 16000), 16000)
    with (extra / "manifest.csv").open("a") as file:
        file.write("../../../elsewhere.wav,joy,x\n")
    with pytest.raises(UserError, match=r"lists 1 recordings outside of its folder .*bring the manifest in again"):
        ingest.main()


def test_the_parts_of_one_recording_are_utterances_with_contents_of_their_own(here: Path) -> None:
    project(here, manifests=[{"name": "talk"}])
    talk = here / "data/manifests/talk"
    talk.mkdir(parents=True)
    sound = np.concatenate([tone(1, 16000, hertz=hertz) for hertz in (200, 300, 400)])
    soundfile.write(talk / "long.wav", sound, 16000)
    (talk / "manifest.csv").write_text("file;start;end;emotion;speaker\n" + "".join(
        f"long.wav;0 days 00:00:0{second};0 days 00:00:0{second + 1};sad;{second}\n" for second in range(3))
        + "long.wav;2,5;9;sad;9\n")
    ingest.main()
    rows = [row for row in read_rows(here / "work/ingest/manifest.csv", UtteranceRow) if row.corpus == "talk"]
    assert [(row.utterance, row.seconds) for row in rows] == [
        ("talk/long@0-1", 1.0), ("talk/long@1-2", 1.0), ("talk/long@2-3", 1.0), ("talk/long@2.5-9", 0.5)]
    assert len({row.content for row in rows}) == 4 and len({row.sha256 for row in rows}) == 1
    assert [bool(row.warnings) for row in rows] == [False, False, False, True]
    store = Shards(here / "work/ingest/waveforms")
    assert np.allclose(store["talk/long@1-2"][1000:-1000], sound[17000:31000], atol=0.05)


@pytest.mark.parametrize("rate", [96000, 44100, 8000])
def test_one_recording_of_a_corpus_may_have_another_rate(here: Path, rate: int) -> None:
    """As TESS's OAF_food_fear: 96,000 Hz among 2,799 files of 24,414 Hz."""
    project(here, corpora=["tess"])
    rates = {f"OAF_Fear/OAF_{word}_fear": rate if word == "food" else 24414 for word in ("back", "food", "bite")}
    rates |= {f"YAF_{emotion}/YAF_back_{emotion}": 24414 for emotion in ("sad", "happy")}
    hertz = {name: 300.0 + 50 * number for number, name in enumerate(rates)}
    for name, own in rates.items():
        path = here / "data/corpora/tess" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(0.5, own, hertz=hertz[name]), own)
    corpus.CorpusCard(name="tess", layout="tess", synthetic=False, licence="made", source="made").write(
        here / "data/corpora/tess")
    ingest.main()
    rows = read_rows(here / "work/ingest/manifest.csv", UtteranceRow)
    assert {row.utterance: row.native_rate for row in rows} == {f"tess/{name}": own for name, own in rates.items()}
    assert all(not row.error and row.seconds == pytest.approx(0.5, abs=0.001) for row in rows)
    store = Shards(here / "work/ingest/waveforms")
    for name in rates:
        samples = store[f"tess/{name}"]
        assert len(samples) == pytest.approx(8000, abs=2)
        assert np.argmax(np.abs(np.fft.rfft(samples, 16000))) == pytest.approx(hertz[name], abs=2)
        assert np.abs(samples[2000:-2000]).max() == pytest.approx(0.5, abs=0.05), "its ends are bent by the low cut"


@pytest.mark.real_speech
def test_the_recording_of_tess_at_another_rate_is_read_like_its_neighbours(tmp_path: Path) -> None:
    folder = TOP.parent / "shared" / "corpora" / "tess"
    odd, neighbour = (folder / "OAF_Fear" / f"OAF_{word}_fear.flac" for word in ("food", "back"))
    if not odd.is_file():
        pytest.skip("the recordings of TESS are not at hand")
    measures = decode_recordings([(path.stem, Clip(path)) for path in (odd, neighbour)], tmp_path / "store", 16000,
                                 -60.0, 64, 1, "decoding")
    assert [(measure.native_rate, measure.error) for measure in measures] == [(96000, ""), (24414, "")]
    store = Shards(tmp_path / "store")
    for path in (odd, neighbour):
        samples, rate = soundfile.read(path, dtype="float32")
        heard = store[path.stem]
        expected = scipy.signal.resample(samples - samples.mean(), len(heard))
        assert len(heard) == pytest.approx(len(samples) / rate * 16000, abs=2)
        assert np.corrcoef(heard, expected)[0, 1] > 0.99


def test_a_killed_run_leaves_what_was_there_and_the_next_one_ends_the_same(tmp_path: Path) -> None:
    project(tmp_path)
    assert stage(tmp_path).returncode == 0
    before = digests(tmp_path / "work")
    slow = tmp_path / "data/corpora/mine/Actor_03/03-01-06-01-01-01-03.wav"
    soundfile.write(slow, np.tile(tone(10, 8000), 300), 8000)  # 50 minutes: the run is in the middle when it is killed
    process = subprocess.Popen([sys.executable, "-m", "ser_ops.stages.ingest"], cwd=tmp_path, stderr=subprocess.DEVNULL,
                               env=os.environ | {"PYTHONPATH": str(TOP)})
    deadline = time.monotonic() + 60
    while not list((tmp_path / "work").glob(".ingest.*/ingest/waveforms/shard-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list((tmp_path / "work").glob(".ingest.*"))
    assert {name: content for name, content in digests(tmp_path / "work").items() if name[0] != "."} == before
    slow.unlink()
    assert stage(tmp_path).returncode == 0
    assert digests(tmp_path / "work") == before


def test_audit_names_the_leak_and_leaves_its_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here)
    ingest.main()
    work = here / "work"
    rows = read_rows(work / "ingest/manifest.csv", UtteranceRow)
    write_rows(work / "validated/manifest.csv", rows, UtteranceRow)
    write_rows(work / "validated/noise.csv", read_rows(work / "ingest/noise.csv", NoiseRow), NoiseRow)
    variants = [VariantRow(f"{row.utterance}#original", row.utterance, "original", row.partition, row.emotion,
                           row.speaker, row.corpus, content=row.content) for row in rows]
    write_rows(work / "augmented/variants.csv", variants, VariantRow)
    audit.main()
    assert "nothing undeclared" in capsys.readouterr().out
    assert json.loads((here / "reports/leak_audit.json").read_text())["clean"] is True
    variants[0] = replace(variants[0], partition="test" if variants[0].partition != "test" else "train")
    write_rows(work / "augmented/variants.csv", variants, VariantRow)
    with pytest.raises(UserError, match="speaker mine/01 is in"):
        audit.main()
    report = json.loads((here / "reports/leak_audit.json").read_text())
    assert {finding["kind"] for finding in report["findings"]} == {"speaker", "variant"}


def test_run_turns_a_user_error_into_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise UserError("a: b:\n c")

    with pytest.raises(SystemExit) as stop:
        run(fails)
    assert stop.value.code == 1 and capsys.readouterr().err == "error: a: b: c\n"
