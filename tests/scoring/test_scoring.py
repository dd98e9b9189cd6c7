"""Many recordings into Parquet: each answered once as `predict` answers it, whatever is killed, damaged or changed."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import psutil
import pyarrow.dataset
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ser_ops.cli import app
from ser_ops.config.model_json import fingerprint
from ser_ops.config.params import load_params_anywhere, load_preset
from ser_ops.config.services import Watch
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.inference.answer_tables import REFUSED_COLUMNS, SCORED_COLUMNS
from ser_ops.inference.recogniser import Recogniser
from ser_ops.models import architectures, model_folder
from ser_ops.scoring import parts, plan, recordings
from ser_ops.scoring.run import score
from ser_ops.serving.served import Served
from ser_ops.speech.detector import copy_weights
from ser_ops.watch.records import Recorder, read_records

RATE = 16000
PROBABILITIES = [f"p_{emotion}" for emotion in EMOTIONS]


def save_model(folder: Path, seed: int) -> Path:
    folder.mkdir()
    model_folder.save(folder, architectures.build("spectral", load_preset("demo"), seed=seed), {
        "speech_sha256": copy_weights(folder), "conformal_scores": list(range(100, 10_000, 100))})
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models, `model` and `other`."""
    folder = tmp_path_factory.mktemp("scoring")
    return [save_model(folder / name, seed) for seed, name in enumerate(("model", "other"))]


@pytest.fixture
def model(models):
    return models[0]


@pytest.fixture
def params(tmp_path, monkeypatch):
    """The settings of a folder without project: one process, four recordings a part."""
    monkeypatch.chdir(tmp_path)
    params = load_params_anywhere()
    return params.model_copy(update={"score": params.score.model_copy(update={"part": 4}),
                                     "compute": params.compute.model_copy(update={"workers": 1})})


def sound(path: Path, seconds: float = 0.5, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    soundfile.write(path, samples, RATE, format="WAV")
    return path


@pytest.fixture
def calls(params):
    """Ten recordings, one of them of many windows, and three bad ones."""
    folder = Path("calls")
    for number in range(9):
        sound(folder / f"{number}.wav", 0.3 + 0.1 * number, number)
    sound(folder / "deep/long.wav", 9.7, 10)
    (folder / "bad.wav").write_bytes(b"no audio at all" * 50)
    (folder / "empty.flac").touch()
    sound(folder / "short.wav", 0.05)
    return folder


def table(out: Path, name: str = "answers") -> list[dict]:
    return pyarrow.dataset.dataset(out / name, format="parquet").to_table().to_pylist()


def files(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def test_every_recording_is_answered_as_alone_or_refused_with_the_reason(params, model, calls):
    scored = score(params, "calls", Path("out"), str(model))
    answered, refused = table(Path("out")), table(Path("out"), "refused")
    assert (scored.recordings, scored.answered, scored.refused) == (13, 10, 3) == (
        len(answered) + len(refused), len(answered), len(refused))
    assert list(answered[0]) == list(SCORED_COLUMNS) and list(refused[0]) == list(REFUSED_COLUMNS)
    alone = Recogniser(model)
    for row in answered:
        expected = alone.answer_file(row["path"])
        assert row["emotion"] == expected.emotion and row["seconds"] == pytest.approx(expected.seconds, abs=6e-4)
        assert [row[name] for name in PROBABILITIES] == pytest.approx(expected.probabilities.tolist(), abs=2e-6)
        assert row["warnings"] == "; ".join(expected.warnings) and row["model"].startswith("model ")
    assert {row["path"]: row["error"] for row in refused} == {
        "calls/bad.wav": "not readable as audio (its content is none of .wav, .flac, .ogg, .oga, .opus, .mp3, .m4a, "
                         ".mp4, .aac, .webm, .amr, .3gp): export it again from its source",
        "calls/empty.flac": "empty file: give the original recording",
        "calls/short.wav": "0.050 s are shorter than 0.1 s: give at least one spoken word"}
    paths = [row["path"] for row in answered]
    assert paths == sorted(paths), "parts in a row are in the order of the plan"
    assert sorted(file.name for file in Path("out/answers").iterdir()) == [
        f"part-{number:06d}.parquet" for number in range(4)]


def test_short_recordings_share_the_passes_of_the_model(params, model, calls, monkeypatch):
    recogniser, passes = Recogniser(model, batch_size=4), []
    real = recogniser.answer_windows
    monkeypatch.setattr(recogniser, "answer_windows", lambda batch: passes.append(len(batch)) or real(batch))
    listed = [recording for recording in recordings.recordings_of("calls", params.storage) if recording]
    outcomes = dict(parts.answers_of(recogniser, listed, params.storage, 256))
    assert sorted(outcomes) == list(range(13))
    windows = sum(len(outcome.windows) for outcome in outcomes.values() if not isinstance(outcome, recordings.Refused))
    assert sum(passes) == windows > 13 and max(passes) == 4
    assert len(passes) <= -(-windows // 4) + 2, f"batches are full: {passes}"


def test_no_more_recordings_are_open_than_fill_a_batch(params, model, calls, monkeypatch):
    recogniser, opened, most = Recogniser(model, batch_size=4), [0], [0]
    real = recogniser.answering_file

    def counted(*arguments, **named):
        opened[0] += 1
        most[0] = max(most[0], opened[0])
        try:
            return (yield from real(*arguments, **named))
        finally:
            opened[0] -= 1

    monkeypatch.setattr(recogniser, "answering_file", counted)
    listed = [recordings.Recording("calls/deep/long.wav", None, None, None, 1, "")] * 12
    assert len(dict(parts.answers_of(recogniser, listed, params.storage, 256))) == 12
    assert most[0] <= 4


def test_given_again_it_does_nothing_again(params, model, calls):
    score(params, "calls", Path("out"), str(model))
    before = {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")}
    again = score(params, "calls", Path("out"), str(model))
    assert (again.done_before, again.answered, again.refused) == (13, 10, 3)
    assert {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")} == before
    assert "13 recordings (13 of them before): 10 answered by model " in again.words()


def test_the_command_says_what_came_of_it(params, model, calls):
    def run(*arguments):
        return CliRunner().invoke(app, ["score", *arguments, "--out", "out", "--model", str(model)])

    done = run("calls", "--json")
    record = json.loads(done.stdout)
    assert done.exit_code == 0 and record == {"out": "out", "model": record["model"], "recordings": 13, "answered": 10,
                                              "refused": 3, "done_before": 0, "repeated": 0, "others": 0,
                                              "caveats": ["Its card does not say what the model learnt from."]}
    assert run("calls").stdout == (f"out: 13 recordings (13 of them before): 10 answered by {record['model']}, 3 "
                                   "refused; out/refused says why [training data not stated]\n")
    assert isinstance(run("").exception, UserError)


def run_until_killed(params, model, renames: int, before: bool, records: Path | None = None) -> int | None:
    """Score in a process that is killed before or after it has renamed so often; its exit code."""
    def run():
        real, left = os.replace, [renames]

        def replace(source, target):
            left[0] -= 1
            if left[0] == 0 and before:
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = replace
        score(params, "calls", Path("out"), str(model), records=records)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_two_workers_give_the_bytes_of_one(params, model, calls):
    score(params, "calls", Path("whole"), str(model))
    two = params.model_copy(update={"compute": params.compute.model_copy(update={"workers": 2})})
    me, ended = psutil.Process(), threading.Event()

    def kill_the_first_worker() -> None:
        while not ended.is_set():
            for child in me.children():
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return

    killer = threading.Thread(target=kill_the_first_worker)
    killer.start()
    try:
        with pytest.raises(UserError, match=r"^scoring: a worker process was killed, .* run the same command again"):
            score(two, "calls", Path("out"), str(model))
    finally:
        ended.set()
        killer.join()
    assert score(two, "calls", Path("out"), str(model)).answered == 10
    assert files(Path("out")) == files(Path("whole"))


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_rename_it_goes_on_and_the_bytes_are_those_of_a_run_never_killed(params, model, calls, before):
    score(params, "calls", Path("whole"), str(model))
    expected = files(Path("whole"))
    for renames in range(1, 20):
        Path("out").mkdir()
        if run_until_killed(params, model, renames, before) == 0:
            break
        done = {file.name for file in Path("out/answers").glob("*.parquet")} if Path("out/answers").exists() else set()
        kept = {name: Path(f"out/answers/{name}").stat().st_mtime_ns for name in done}
        score(params, "calls", Path("out"), str(model))
        assert files(Path("out")) == expected, renames
        assert {name: Path(f"out/answers/{name}").stat().st_mtime_ns for name in done} == kept, "done stays done"
        Path("out").rename(f"killed-{renames}")
    assert renames == 11, "the plan's two renames and two for each of four parts"


def test_each_answer_leaves_a_record_that_watch_reads(params, model, calls):
    score(params, "calls", Path("out"), str(model), records=Path("heard"))
    records, rows = read_records(Path("heard")), {row["record"]: row for row in table(Path("out"))}
    assert sorted(records.ids) == sorted(rows) and len(rows) == 10 and set(records.models) == {fingerprint(model)}
    assert np.isfinite(records.embeddings).all() and np.isfinite(records.figure("level_dbfs")).all()
    for index, name in enumerate(records.ids.tolist()):
        expected = [rows[name][key] for key in PROBABILITIES]
        assert records.probabilities[index].tolist() == pytest.approx(expected, abs=1e-6)
        assert records.figure("seconds")[index] == pytest.approx(rows[name]["seconds"], abs=6e-4)
    score(params, "calls", Path("plain"), str(model))
    assert all(row["record"] is None for row in table(Path("plain")))


def test_records_of_an_exported_model_name_the_one_that_it_came_from(params, model, calls, tmp_path):
    exported = Path(shutil.copytree(model, tmp_path / "exported"))
    write_json(exported / "model.json", read_json(exported / "model.json") | {"exported_from": "a" * 64})
    score(params, "calls", Path("out"), str(exported), records=Path("heard"))
    assert set(read_records(Path("heard")).models) == {"a" * 64}
    served = Served(Recogniser(exported, "cpu"), "exported", fingerprint(exported), None, "")
    assert served.recorded_as == "a" * 64 and served.short["fingerprint"] == fingerprint(exported)


def test_a_folder_of_records_is_that_of_one_run(params, model, calls):
    with pytest.raises(UserError, match=r"^out/heard: lies in out, among the tables"):
        score(params, "calls", Path("out"), str(model), records=Path("out/heard"))
    score(params, "calls", Path("out"), str(model), records=Path("heard"))
    with pytest.raises(UserError, match=r"^out: was begun with records in heard and not without records"):
        score(params, "calls", Path("out"), str(model))
    with pytest.raises(UserError, match=r"^heard: holds records already: give a folder of its own"):
        score(params, "calls", Path("again"), str(model), records=Path("heard"))
    with pytest.raises(UserError, match=r"^heard/part-00000\d\.parquet: is no file of a service"):
        Recorder(Path("heard"), Watch())
    with Recorder(Path("served"), Watch()), pytest.raises(UserError, match=r"^served: another process writes"):
        score(params, "calls", Path("third"), str(model), records=Path("served"))
    assert len(read_records(Path("heard"))) == 10


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_rename_each_answer_has_its_record_once(params, model, calls, before):
    for renames in range(1, 20):
        Path("out").mkdir()
        if run_until_killed(params, model, renames, before, Path("heard")) == 0:
            break
        score(params, "calls", Path("out"), str(model), records=Path("heard"))
        records = [row["record"] for row in table(Path("out"))]
        assert sorted(read_records(Path("heard")).ids) == sorted(records) and len(records) == 10, renames
        assert sorted(os.listdir("heard")) == [*(f"part-{number:06d}.parquet" for number in range(4)), "writer.lock"]
        Path("out").rename(f"killed-{renames}")
        Path("heard").rename(f"heard-{renames}")
    assert renames == 15, "the plan's two renames and three for each of four parts"


@pytest.mark.parametrize(("out", "records"), [("file", None), ("file/out", None), ("pipe", None), ("out", "file"),
                                              ("out", "link/heard")])
def test_a_folder_that_cannot_be_made_is_one_line(params, model, calls, out, records):
    Path("file").touch()
    os.mkfifo("pipe")
    Path("link").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"cannot be written .*: a file stands where a folder must be"):
        score(params, "calls", Path(out), str(model), records=records and Path(records))


def test_a_damaged_table_is_made_again(params, model, calls):
    score(params, "calls", Path("out"), str(model))
    before = files(Path("out"))
    for name in ("answers/part-000001.parquet", "refused/part-000002.parquet"):
        file = Path("out") / name
        file.write_bytes(file.read_bytes()[:-100])
    Path("out/answers/part-000003.parquet").unlink()
    scored = score(params, "calls", Path("out"), str(model))
    assert files(Path("out")) == before and scored.done_before == 4 and scored.answered == 10


@pytest.mark.parametrize(("change", "words"), [
    (lambda: sound(Path("calls/11.wav")), "'calls/11.wav' is new"),
    (lambda: sound(Path("calls/zz.wav")), "'calls/zz.wav' is new"),
    (lambda: Path("calls/3.wav").unlink(), "'calls/3.wav' is gone"),
    (lambda: Path("calls/short.wav").unlink(), "'calls/short.wav' is gone"),
    (lambda: sound(Path("calls/3.wav"), 1.0), "'calls/3.wav' has other bytes or another time"),
    (lambda: os.utime("calls/3.wav", (1, 1)), "'calls/3.wav' has other bytes or another time")])
def test_a_changed_source_is_refused_by_name(params, model, calls, change, words):
    score(params, "calls", Path("out"), str(model))
    change()
    with pytest.raises(UserError) as caught:
        score(params, "calls", Path("out"), str(model))
    assert str(caught.value) == (f"calls: changed since out was begun ({words}): give another folder than out with "
                                 "--out")


def test_another_model_another_setting_and_another_source_are_refused(params, models, calls):
    model, other = models
    score(params, "calls", Path("out"), str(model))
    before = files(Path("out"))
    with pytest.raises(UserError, match=r"^out: was begun with the model model \w{12}, not with other \w{12}: name"):
        score(params, "calls", Path("out"), str(other))
    with pytest.raises(UserError, match=r"^out: was begun with predict\.coverage null, not with 0\.9: give another"):
        score(params, "calls", Path("out"), str(model), 0.9)
    with pytest.raises(UserError, match=r"^out: was begun with the source calls, not with calls/deep: give another"):
        score(params, "calls/deep", Path("out"), str(model))
    assert files(Path("out")) == before
    assert score(params, "calls", Path("sets"), str(model), 0.9).answered == 10
    assert all(bool(row["emotions"]) != (row["emotion"] == "no speech") for row in table(Path("sets")))


def test_what_does_not_load_begins_nothing(params, model, calls):
    with pytest.raises(UserError, match="coverage 5: is a share"):
        score(params, "calls", Path("out"), str(model), 5.0)
    with pytest.raises(UserError, match="no such model folder"):
        score(params, "calls", Path("out"), "nowhere")
    assert not Path("out").exists()


def test_odd_names_links_and_what_is_no_recording(params, model):
    folder = Path("calls")
    odd = ["new\nline.wav", "ü.wav", "u\u0308.wav", "a 'b' \"c\", d.wav", "-.wav", "s3:", "UPPER.WAV"]
    names = [name if name.lower().endswith(".wav") else f"{name}/x.wav" for name in odd]
    for number, name in enumerate(names):
        sound(folder / name, seed=number)
    sound(folder / "x.wav").rename(os.fsdecode(b"calls/not-utf8-\xff.wav"))
    os.mkdir(b"calls/folder-\xff")
    sound(folder / "y.wav").rename(os.fsdecode(b"calls/folder-\xff/y.wav"))
    os.symlink(".", folder / "loop")
    os.symlink(folder.absolute(), folder / "again")
    os.symlink("nowhere", folder / "gone.wav")
    os.mkfifo(folder / "pipe.wav")
    sound(folder / ".hidden.wav")
    (folder / "notes.txt").touch()
    scored = score(params, "calls", Path("out"), str(model))
    answered = [row["path"] for row in table(Path("out"))]
    assert sorted(answered) == sorted([*(f"calls/{name}" for name in names), "calls/not-utf8-\\udcff.wav",
                                       "calls/folder-\\udcff/y.wav"])
    refused = {row["path"]: row["error"] for row in table(Path("out"), "refused")}
    assert refused == {"calls/gone.wav": "cannot be read (No such file or directory): check the path and its "
                                         "permissions",
                       "calls/pipe.wav": "is no regular file: give the original recording"}
    assert scored.others == 2 and "left out: 2 other files" in scored.words()
    assert score(params, "calls", Path("out"), str(model)).done_before == scored.recordings == 11


def test_a_list_names_each_recording_once(params, model, calls):
    Path("lists").mkdir()
    third = str(Path("calls/3.wav").absolute())
    paths = ["../calls/1.wav", "../calls/2.wav", "", third, "../calls/1.wav", "missing.wav"]
    Path("lists/calls.txt").write_bytes("\r\n".join(paths).encode())
    scored = score(params, "lists/calls.txt", Path("out"), str(model))
    answered = [row["path"] for row in table(Path("out"))]
    assert answered == sorted(["lists/../calls/1.wav", "lists/../calls/2.wav", third])
    assert [row["path"] for row in table(Path("out"), "refused")] == ["lists/missing.wav"]
    assert scored.repeated == 1 and "left out: 1 listed more than once" in scored.words()


def test_a_table_cuts_its_recordings(params, model, calls):
    stereo = np.random.default_rng(0).normal(0, 0.1, (4 * RATE, 2))
    soundfile.write("calls/stereo.wav", stereo, RATE)
    Path("calls/calls.csv").write_text("path;start;end;channel;speaker\nstereo.wav;0.5;1.5;;a\nstereo.wav;;;2;a\n"
                                       "stereo.wav;0.5;1.5;;b\n1.wav;;;;c\n1.wav;7;8;;c\n")
    scored = score(params, "calls/calls.csv", Path("out"), str(model))
    rows = {(row["path"], row["start"], row["end"], row["channel"]): row for row in table(Path("out"))}
    assert list(rows) == [("calls/1.wav", None, None, None), ("calls/stereo.wav", 0.5, 1.5, None),
                          ("calls/stereo.wav", None, None, 2)] and scored.repeated == 1
    soundfile.write("cut.wav", stereo[RATE // 2:RATE * 3 // 2], RATE)
    expected = Recogniser(model).answer_file("cut.wav").probabilities.tolist()
    row = rows["calls/stereo.wav", 0.5, 1.5, None]
    assert row["seconds"] == 1 and [row[name] for name in PROBABILITIES] == pytest.approx(expected, abs=1e-3)
    expected = Recogniser(model).answer_file("calls/stereo.wav", channel=2).probabilities.tolist()
    row = rows["calls/stereo.wav", None, None, 2]
    assert [row[name] for name in PROBABILITIES] == pytest.approx(expected, abs=2e-6)
    (refused,) = table(Path("out"), "refused")
    assert refused["start"] == 7 and refused["error"].startswith("start 7 s is after its end")


@pytest.mark.parametrize(("source", "words"), [
    ("nothing", "^nothing: holds no recording"), ("nowhere", "^nowhere: cannot be read"),
    ("calls/1.wav", "^calls/1.wav: line 1 is no path"), ("s3://", "names no bucket"),
    ("empty.csv", "empty.csv"), ("empty.txt", "^empty.txt: holds no recording"),
    ("bad.csv", r"^bad\.csv: line 2 ends at 1 s and starts at 2 s")])
def test_a_source_that_cannot_be_listed_is_one_line_and_leaves_no_plan(params, model, calls, source, words):
    Path("nothing").mkdir()
    Path("empty.csv").touch()
    Path("empty.txt").touch()
    Path("bad.csv").write_text("path,start,end\ncalls/1.wav,2,1\n")
    with pytest.raises(UserError, match=words) as caught:
        score(params, source, Path("out"), str(model))
    assert "\n" not in str(caught.value) and os.listdir("out") == ["lock"]
    assert score(params, "calls", Path("out"), str(model)).answered == 10, "the folder is still free"


def test_a_folder_that_may_not_be_read_is_one_line(params, model, calls, monkeypatch):
    real = os.scandir

    def closed(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UserError, match=r"^calls/deep: cannot be listed \(Permission denied\): allow reading it"):
        score(params, "calls", Path("out"), str(model))


def test_two_commands_do_not_write_into_one_folder(params, model, calls, monkeypatch):
    def meanwhile(*_):
        with pytest.raises(UserError, match=r"^out: another command is writing there"):
            score(params, "calls", Path("out"), str(model))
        return real(*_)

    real = parts.read_part
    monkeypatch.setattr(parts, "read_part", meanwhile)
    assert score(params, "calls", Path("out"), str(model)).answered == 10


def test_a_disk_that_takes_no_more_is_one_line_and_nothing_half_written(params, model, calls):
    score(params, "calls", Path("whole"), str(model))
    said, saying = multiprocessing.Pipe(False)

    def run():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))    # the plan fits, a table of answers does not
        try:
            score(params, "calls", Path("out"), str(model))
        except UserError as error:
            saying.send(str(error))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    line = said.recv() if said.poll() else ""
    assert line.startswith("out/answers/part-000000.parquet: cannot be written (") and "free space" in line
    assert list(Path("out/answers").iterdir()) == []
    score(params, "calls", Path("out"), str(model))
    assert files(Path("out")) == files(Path("whole"))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=[]), min_size=1, max_size=4),
                          st.sampled_from([None, 0.5, 2.0]))), st.integers(1, 5), st.integers(2, 4))
def test_the_plan_is_all_recordings_once_in_an_order_of_their_own(tmp_path_factory, listed, piece, merged):
    """Names with quotes, line breaks and halves of characters, in pieces and merges of any size."""
    out = tmp_path_factory.mktemp("plan")
    expected = [recordings.Recording(path, start, None, None, 1, "") for path, start in listed]
    lines = []
    for order in (expected, expected[::-1]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "_PIECE", piece)
            patch.setattr(plan, "_MERGED", merged)
            patch.setattr(plan, "recordings_of", lambda *_, order=order: iter(order))
            with plan._sorted_listing(out, "any", None) as (merging, counts):
                lines.append(list(plan._once(merging)))
            assert counts == {"recordings": len(expected), "others": 0}
    assert lines[0] == lines[1] and len(lines[0]) == len(set(expected))
    assert {recordings.Recording(*json.loads(line)) for line in lines[0]} == set(expected)
    assert os.listdir(out) == []
