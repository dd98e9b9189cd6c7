"""The commands of README and the tutorials, in their order, in a project whose pipeline has run."""

import csv
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from written_commands import EVERY, PAGES, PROJECT, WAYS, Answer, Written, check_answer, run_page, shape

sys.path.append(str(PROJECT / "tests" / "tracking"))
from tracking_project import free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
HERE = [written for written in EVERY if written.room == "end_to_end"]
EXTEND, SHIP = (PROJECT / f"docs/tutorials/{name}.md" for name in ("extend", "ship-a-model"))


def test_every_entry_of_the_table_is_of_a_command_and_says_why():
    for way in WAYS:
        assert any(written.way is way for written in EVERY), f"no page has the command {way.command}"
        assert way.why, way.command
        assert not way.by or (PROJECT / way.by).is_file(), way.by


def _m4a(samples: np.ndarray, file: Path) -> None:
    with av.open(str(file), "w", format="ipod") as made:
        stream = made.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        made.mux(stream.encode(frame) + stream.encode(None))


def _write_table(file: Path, clips: list[Path], labels: list[str]) -> None:
    """A table of recordings as the tutorials ask for it, of four speakers."""
    with file.open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(("path", "emotion", "speaker"))
        rows.writerows((clip, label, f"speaker {number % 4}")
                       for number, (clip, label) in enumerate(zip(clips, labels, strict=True)))


@pytest.fixture(scope="module")
def desk(reproduced, tmp_path_factory):
    """The finished project with what a user has beside it: an environment, a download, noise, and recordings.

    What the commands leave there is taken away again.
    """
    home = tmp_path_factory.mktemp("home")
    folder, data = reproduced.folder, reproduced.folder / "data"
    programs = Path(sys.executable).parent
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(programs)
    (folder / ".venv/installed").touch()
    if (Path.home() / ".cache").is_dir():
        (home / ".cache").symlink_to(Path.home() / ".cache")      # matplotlib's list of fonts takes seconds
    for category in ("fish_market", "children"):
        source = data / "noise/synthetic" / category
        shutil.copytree(source, home / "noise" / {"fish_market": "market"}.get(category, category))
    shutil.make_archive(str(folder / "Audio_Speech_Actors_01-24"), "zip", data / "corpora/synthetic_ravdess")
    clips = sorted((data / "corpora/synthetic_savee").rglob("*.flac"))[:8]
    samples, rate = soundfile.read(clips[0])
    soundfile.write(folder / "call.mp3", samples, rate)
    soundfile.write(folder / "speech.wav", samples, rate)
    soundfile.write(folder / "silent.wav", np.zeros(rate), rate)
    _m4a(samples, folder / "meeting.m4a")
    _write_table(folder / "clips.csv", clips, ["happy", "angry", "sad", "fear"] * 2)
    _write_table(folder / "list.csv", clips, ["joy", "bored", "sad", "fear"] * 2)
    yield reproduced, home
    reproduced.run("git", "checkout", "--quiet", ".")
    for name in ("data/corpora/ravdess", "data/noise/recorded", "data/manifests"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _before(page: str, workspace) -> None:
    """What a page has its reader write before its first command."""
    folder = workspace.folder
    if page.endswith("compare-on-your-corpus.md"):
        clips = sorted((folder / "data/corpora/synthetic_savee").rglob("*.flac"))[:8]
        labels = [*["joy", "ira", "sad", "bored"] * 2, "joy"]
        _write_table(folder / "clips.csv", [*clips, folder / "silent.wav"], labels)
        shutil.rmtree(folder / "data/manifests", ignore_errors=True)      # of the page before, under the same name
    if page.endswith("extend.md"):
        model, entry, *_ = re.findall(r"```python\n(.*?)```", EXTEND.read_text(encoding="utf-8"), re.DOTALL)
        (folder / "ser_ops/models/means.py").write_text(model, encoding="utf-8")
        with (folder / "ser_ops/model_table.py").open("a", encoding="utf-8") as table:
            table.write(f"\nMODELS |= {{{entry}}}\n")


@pytest.fixture(scope="module")
def answers(desk, tmp_path_factory) -> dict[Written, Answer]:
    """What each command of each page has answered."""
    workspace, home = desk
    answered: dict[Written, Answer] = {}
    for page in PAGES:
        _before(page, workspace)
        answered |= run_page(page, "end_to_end", tmp_path_factory.mktemp("said") / "page", lambda script: workspace.run(
            "bash", "-c", script, check=False, HOME=str(home)))
    return answered


@pytest.mark.parametrize("written", HERE, ids=lambda written: f"{Path(written.page).stem}: {written.command[:60]}")
def test_a_command_does_what_its_page_says(answers, written):
    answer = answers[written]
    check_answer(written, answer)
    if written.shown and "every rule passed" not in answer.printed:
        assert re.search(shape(written.shown), answer.printed), f"{written.page} shows {written.shown}{answer.printed}"


def _printed(answers, page: str, command: str) -> str:
    (written,) = (written for written in answers if Path(written.page).stem == page and written.command == command)
    return answers[written].printed


def test_a_blocked_model_needs_a_written_reason(answers):
    lines = _printed(answers, "ship-a-model", "ser-ops promote").splitlines()
    if "every rule passed" not in lines[-1]:
        assert len(lines) == 2 and "overridden because" in lines[1], "the refusal is one line, and no traceback"


def test_the_promoted_model_answers(answers):
    lines = _printed(answers, "ship-a-model", "ser-ops predict call.mp3 meeting.m4a --json").splitlines()
    replies = [json.loads(line) for line in lines if line.startswith("{")]
    assert [reply["path"] for reply in replies] == ["call.mp3", "meeting.m4a"]
    for reply in replies:
        assert sum(reply["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert reply["emotion"] == max(reply["probabilities"], key=reply["probabilities"].get)


def test_the_model_is_served_and_asked_as_the_tutorial_says(desk, answers, tmp_path):
    workspace, _ = desk
    (command,) = (written.command for written in EVERY if "mlflow models serve" in written.command)
    (program,) = (block for block in re.findall(r"^```python\n(.*?)^```", SHIP.read_text(encoding="utf-8"),
                                                re.MULTILINE | re.DOTALL) if "urlopen" in block)
    port = command.rpartition(" -p ")[2]
    assert f":{port}/invocations" in program
    free = str(free_port())
    serving = workspace.start("bash", "-c", f"MLFLOW_TRACKING_URI=sqlite:///mlflow.db {command.replace(port, free)}",
                              log=tmp_path / "served.log")
    try:
        wait_for(f"http://127.0.0.1:{free}/ping", serving)
        asked = workspace.run("python", "-c", program.replace(port, free))
    finally:
        os.killpg(serving.pid, signal.SIGKILL)
        serving.wait()
    assert asked.stdout.strip() in ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
