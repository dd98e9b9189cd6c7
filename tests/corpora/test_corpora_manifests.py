"""Bringing a CSV manifest in with all that it lists, and what DVC then says of a change."""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from project_copy import write_settings
from warm_programs import warm_programs

from ser_ops.corpora import adding, csv_manifest
from ser_ops.errors import UserError
from ser_ops.files import one_writer_at_a_time
from ser_ops.folders import UnusableFolder

PROJECT = Path(__file__).resolve().parents[2]
ALL_EMOTIONS = "angry, disgust, fear, happy, neutral, sad, surprise"


def recording(path: Path, seconds: float = 0.2) -> Path:
    """A recording of noise, another one for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(sum(path.name.encode()))
    soundfile.write(path, draw.normal(0, 0.05, int(seconds * 16000)), 16000)
    return path


def listed(folder: Path, *lines: str, columns: str = "path,emotion,speaker") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list.csv").write_text("\n".join((columns, *lines)) + "\n")
    return folder / "list.csv"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("link", [False, True])
def test_a_manifest_comes_in_with_what_it_lists(tmp_path: Path, link: bool) -> None:
    given = tmp_path / "given"
    long = recording(given / "talks/long.wav", 2)
    other = recording(given / "a.flac")
    recording(given / "not_listed.wav")
    file = listed(given, "talks/long.wav;0;1;sad;anna;good morning;x", "talks\\long.wav;1;2;joy;anna;;",
                  "./a.flac;;;bored;ben;;", columns="File;start;end;Emotion;speaker;text;mood")
    before = {path: path.read_bytes() for path in (file, long, other)}
    summary = adding.add_manifest(file, tmp_path / "data/manifests", "mine", link, {"joy": "happy", "bored": "drop"})
    made = tmp_path / "data/manifests/mine"
    assert everything(made) == ["a.flac", "manifest.csv", "talks/long.wav"]
    assert [(row["path"], row["start"], row["emotion"], row["text"], row["mood"]) for row in rows(made)] == [
        ("talks/long.wav", "0", "sad", "good morning", "x"), ("talks/long.wav", "1", "joy", "", ""),
        ("a.flac", "", "bored", "", "")]
    assert (made / "a.flac").is_symlink() == (made / "talks/long.wav").is_symlink() == link
    assert (made / "talks/long.wav").read_bytes() == before[long]
    assert (summary.found, summary.emotions, summary.speakers) == (2, {"happy": 1, "sad": 1}, 1)
    assert summary.skipped == {"label 'bored' is dropped": 1} and summary.oddities == ["columns not used: mood"]
    assert before == {path: path.read_bytes() for path in before}, "the originals stay as they were"
    names = [utterance.utterance for utterance in csv_manifest.scan_manifest(
        tmp_path / "data/manifests", "mine", {"joy": "happy", "bored": "drop"})[1].utterances]
    assert names == ["mine/talks/long@0-1", "mine/talks/long@1-2"], "as without bringing it in"


def test_recordings_elsewhere_keep_the_folders_that_they_do_not_share(tmp_path: Path) -> None:
    first, second = recording(tmp_path / "store/speech/ann/1.wav"), recording(tmp_path / "store/speech/ben/1.wav")
    file = listed(tmp_path / "lists", f"{first},sad,ann", "../store/speech/ben/1.wav,sad,ben", f"{second},fear,ben",
                  columns="path,emotion,speaker")
    with pytest.raises(UserError, match=r"names a recording, .* more than once"):
        adding.add_manifest(file, tmp_path / "data/manifests", "mine")
    file.write_text("\n".join(file.read_text().splitlines()[:3]))
    adding.add_manifest(file, tmp_path / "data/manifests", "mine")
    made = tmp_path / "data/manifests/mine"
    assert [row["path"] for row in rows(made)] == ["ann/1.wav", "ben/1.wav"]
    assert (made / "ben/1.wav").read_bytes() == second.read_bytes()


def test_labels_are_mapped_later(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    recording(tmp_path / "b.wav")
    file = listed(tmp_path, "a.wav,joy,1", "b.wav,ira,2")
    summary = adding.add_manifest(file, tmp_path / "data/manifests", "mine")
    assert summary.found == 0 and summary.skipped == {f"label {label!r} has no emotion yet": 1
                                                      for label in ("joy", "ira")}
    assert list(adding.list_manifests(tmp_path / "data/manifests", {})) == [
        replace(summary, source=str(tmp_path / "data/manifests/mine/manifest.csv"))]
    with pytest.raises(UserError, match=r"labels with no map: 'ira' \(1\): give each an emotion"):
        csv_manifest.scan_manifest(tmp_path / "data/manifests", "mine", {"joy": "happy"})
    checked = adding.check_manifest(tmp_path / "data/manifests", "mine", {"joy": "happy", "ira": "angry"})
    assert checked.emotions == {"angry": 1, "happy": 1} and not checked.skipped


@pytest.mark.parametrize(("line", "fault"), [
    ("gone.wav,sad,1", r"1 of 2 files are missing \(.*gone\.wav\)"),
    ("gone.wav,joy,1", r"1 of 2 files are missing \(.*gone\.wav\): a relative path counts from"),
    ("secret.txt,sad,1", r"lists files whose suffix is not a recording's \(.*secret\.txt\): remove those lines"),
    ("out.wav,sad,1", r"refused: a link leads out of .*given \(.*out\.wav\): list the files themselves"),
    ("outside/b.wav,sad,1", r"refused: a link leads out of .*given \(.*b\.wav\)"),
    ("a.wav,sad,1", "more than once"), (",sad,1", "line 3 has no path"), ("a.wav,sad,", "line 3 has no speaker")])
def test_what_cannot_come_in_is_one_line_and_leaves_nothing(tmp_path: Path, line: str, fault: str) -> None:
    given = tmp_path / "given"
    recording(given / "a.wav")
    (given / "secret.txt").write_text("password")
    recording(tmp_path / "away/b.wav")
    (given / "out.wav").symlink_to(tmp_path / "away/b.wav")
    (given / "outside").symlink_to(tmp_path / "away")
    for link in (False, True):
        with pytest.raises(UserError, match=fault) as raised:
            adding.add_manifest(listed(given, "a.wav,sad,1", line), tmp_path / "data/manifests", "mine", link)
        assert "\n" not in str(raised.value) and not (tmp_path / "data").exists()


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    original = recording(tmp_path / "given/store/a.wav")
    (tmp_path / "given/b.wav").symlink_to(original)
    adding.add_manifest(listed(tmp_path / "given", "b.wav,sad,1"), tmp_path / "data/manifests", "mine")
    brought = tmp_path / "data/manifests/mine/b.wav"
    assert not brought.is_symlink() and brought.read_bytes() == original.read_bytes()


def test_nothing_admitted_too_little_space_and_a_name_that_is_taken(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data/manifests"
    (tmp_path / "a.wav").write_bytes(b"RIFF, and nothing else")
    file = listed(tmp_path, "a.wav,sad,1")
    with pytest.raises(UserError, match=r"list\.csv: none of its 1 recordings is admitted: .*give the original"):
        adding.add_manifest(file, folder, "mine")
    assert os.listdir(folder) == []
    recording(tmp_path / "b.wav")
    summary = adding.add_manifest(listed(tmp_path, "a.wav,sad,1", "b.wav,sad,1"), folder, "mine")
    assert any(note.startswith("1 of 2 recordings are not admitted: ") and note.endswith(": a.wav")
               for note in summary.oddities), summary.oddities
    for kind, name in (("manifests", "mine"), ("corpora", "other")):
        (tmp_path / "data" / kind / name).mkdir(parents=True, exist_ok=True)
        with pytest.raises(UserError, match=f"data/{kind}/{name}: is already there"):
            adding.add_manifest(file, folder, name)
    with pytest.raises(UserError, match="data/manifests/mine: is already there"):
        adding.add_corpus("ravdess", tmp_path, tmp_path / "data/corpora", "mine")
    with pytest.raises(UserError, match="is not a valid name for a corpus"):
        adding.add_manifest(file, folder, "../mine")
    monkeypatch.setattr(adding.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    with pytest.raises(UserError, match="GB are needed"):
        adding.add_manifest(listed(tmp_path, "b.wav,sad,1"), folder, "second")
    assert sorted(os.listdir(folder)) == ["mine"]


def test_what_a_killed_command_left_the_next_one_removes(tmp_path: Path) -> None:
    folder, lock = tmp_path / "data/manifests", tmp_path / "state/adding.lock"
    half = folder / ".mine.abcdefgh/mine"
    recording(half / "a.wav")
    recording(tmp_path / "a.wav")
    file = listed(tmp_path, "a.wav,sad,1")
    adding.add_manifest(file, folder, "mine", lock=lock)
    assert sorted(os.listdir(folder)) == ["mine"]
    with one_writer_at_a_time(lock, folder):
        waiting = subprocess.Popen([sys.executable, "-c", "from pathlib import Path\n"
                                    "from ser_ops.corpora.adding import add_manifest\n"
                                    "add_manifest(Path('list.csv'), Path('data/manifests'), 'second', "
                                    "lock=Path('state/adding.lock'))"], cwd=tmp_path, text=True, stderr=subprocess.PIPE,
                                   env=os.environ | {"PYTHONPATH": str(PROJECT)})
        assert waiting.stderr is not None and "waits for another command" in waiting.stderr.readline()
        assert not (folder / "second").exists()
    assert waiting.wait(60) == 0 and (folder / "second/a.wav").is_file()


def test_one_bad_manifest_does_not_end_the_list(tmp_path: Path) -> None:
    folder = tmp_path / "data/manifests"
    for name in ("bad", "good", "reaching_out"):
        recording(folder / name / "a.wav")
        (folder / name / "manifest.csv").write_text("path,emotion,speaker\na.wav,sad,1\n")
    (folder / "bad/a.wav").unlink()
    (folder / "reaching_out/manifest.csv").write_text("path,emotion,speaker\n../good/a.wav,sad,1\n")
    bad, good, reaching_out = adding.list_manifests(folder, {})
    assert isinstance(bad, UnusableFolder) and "1 of 1 files are missing" in bad.error
    assert isinstance(reaching_out, UnusableFolder) and "outside of its folder" in reaching_out.error
    assert not isinstance(good, UnusableFolder) and good.found == 1
    with pytest.raises(UserError, match=r"manifests/other: no such manifest \(there are: bad, good, reaching_out\)"):
        csv_manifest.scan_manifest(folder, "other", {})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one manifest and the stage ingest, with real DVC, and a manifest that waits outside."""
    folder = tmp_path / "project"
    folder.mkdir()
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values["data"] |= {"corpora": [], "manifests": [{"name": "mine", "labels": {"joy": "happy"}}]}
    values["compute"]["workers"] = 1
    write_settings(folder, values)
    shutil.copytree(PROJECT / "data/noise", folder / "data/noise")
    graph = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["ingest"]
    graph["deps"] = [path for path in graph["deps"] if not path.startswith("ser_ops/")]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"ingest": graph}}))
    for number in range(6):
        recording(tmp_path / f"given/{number}.wav")
    listed(tmp_path / "given", *(f"{number}.wav,{'joy' if number % 2 else 'sad'},{number // 2}" for number in range(6)))
    monkeypatch.chdir(folder)
    run("dvc", "init", "-q", "--no-scm")
    return folder


def run(*command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1",
                                "PATH": f"{warm_programs()}{os.pathsep}{os.environ['PATH']}"}
    module = {"dvc": "dvc", "ser-ops": "ser_ops.cli"}[command[0]]
    done = subprocess.run([warm_programs() / "python", "-m", module, *command[1:]], capture_output=True, text=True,
                          check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("link", [(), ("--link",)])
def test_dvc_names_ingest_when_a_label_or_a_recording_changes(project: Path, link: tuple[str, ...]) -> None:
    said = run("ser-ops", "corpora", "add", "manifest", "../given/list.csv", "--name", "mine", *link)
    assert "mine: manifest, 6 utterances, 3 speakers" in said
    assert said.splitlines()[-1] == ("to use it: list {name: mine} under data.manifests in params.yaml, then dvc add "
                                     "data && dvc repro")
    run("dvc", "add", "-q", "data")
    run("dvc", "repro", "-q")
    assert "ingest" not in run("dvc", "status")
    with open("work/ingest/manifest.csv", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [f"mine/{number}.wav" for number in range(6)]

    manifest, clip = project / "data/manifests/mine/manifest.csv", project / "data/manifests/mine/1.wav"
    manifest.write_text(manifest.read_text().replace("0.wav,sad", "0.wav,fear"))
    assert "ingest" in run("dvc", "status")
    run("dvc", "repro", "-q")
    with open("work/ingest/manifest.csv", newline="") as file:
        assert next(csv.DictReader(file))["emotion"] == "fear"
    assert "ingest" not in run("dvc", "status")
    content = clip.read_bytes()
    recording(clip.resolve(), 0.3)
    assert "ingest" in run("dvc", "status"), "another recording under the same name, behind a link too"
    clip.resolve().write_bytes(content)
    assert "ingest" not in run("dvc", "status")
    clip.unlink()
    assert "ingest" in run("dvc", "status")


def test_the_command_line_knows_manifests(project: Path) -> None:
    with (project.parent / "given/list.csv").open("a") as file:
        file.write("0.wav,ira,9\n")
    shutil.copy(project.parent / "given/0.wav", project.parent / "given/7.wav")
    text = (project.parent / "given/list.csv").read_text().replace("0.wav,ira", "7.wav,ira")
    (project.parent / "given/list.csv").write_text(text)
    said = run("ser-ops", "corpora", "add", "manifest", "../given/list.csv")
    assert "list: manifest, 3 utterances" in said and "skipped 1: label 'ira' has no emotion yet" in said
    assert "list {name: list} under data.manifests in params.yaml, with an emotion or drop for each label" in said
    assert "not used: not under data.manifests" in run("ser-ops", "corpora", "list")
    assert "list: manifest, 3 utterances" in run("ser-ops", "corpora", "check", "list")
