"""corpora and noise, add and list, as a stranger uses them: at once, stopped half way, beside what is broken."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from project_copy import write_settings

from ser_ops.corpora.corpus import CorpusCard
from ser_ops.files import one_writer_at_a_time

pytestmark = pytest.mark.slow   # each command is a process

PROJECT = Path(__file__).resolve().parents[2]
NAME = "03-01-{:02d}-01-01-01-01.wav"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_settings(tmp_path)
    (tmp_path / "given" / "Actor_01").mkdir(parents=True)
    for code in range(1, 9):
        soundfile.write(tmp_path / "given" / "Actor_01" / NAME.format(code),
                        np.random.default_rng(code).normal(0, 0.05, 8000), 16000)
    return tmp_path


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "ser_ops.cli", *arguments], cwd=folder, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_two_at_once_wait_for_each_other(project: Path) -> None:
    running = []
    with one_writer_at_a_time(project / "state" / "adding.lock", project / "data"):
        for arguments in (("corpora", "add", "ravdess", "given"), ("noise", "add", "rain", "given", "--json")):
            running.append(started(project, *arguments))
            assert running[-1].stderr is not None
            assert "waits for another command" in running[-1].stderr.readline()
        assert not (project / "data").exists()
    for process in running:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert (project / "data/corpora/ravdess/corpus.yaml").is_file() and (project / "data/noise/recorded/rain").is_dir()


def test_a_command_that_is_told_to_end_leaves_nothing(project: Path) -> None:
    os.mkfifo(project / "wait")
    code = ("import ser_ops.corpora.adding as adding\n"
            "adding._refusals = lambda *_: open('wait').read()\n"
            "from ser_ops.cli import main\nmain()")
    process = subprocess.Popen([sys.executable, "-c", code, "corpora", "add", "ravdess", "given"], cwd=project,
                               stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    until = time.monotonic() + 60
    while not list(project.glob("data/corpora/.*/*/corpus.yaml")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert os.listdir(project / "data" / "corpora") == []


@pytest.mark.parametrize(("category", "said"), [("rain", "not stated"), ("sas_kiit", "CC BY-NC 4.0")])
def test_a_collection_of_noise_has_one_licence(project: Path, category: str, said: str) -> None:
    for name in ("Fish Market", "Railway Engine", "Children Class"):
        shutil.copytree(project / "given" / "Actor_01", project / "noises" / name)
    for collection, licence in (("free", "CC0-1.0"), ("copy", "CC BY 4.0")):
        process = started(project, "noise", "add", category, "noises", "--collection", collection, "--licence", licence,
                          "--json")
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert {json.loads(line)["licence"] for line in out.splitlines()} == {licence}
    process = started(project, "noise", "add", category, "noises", "--collection", "free")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1 and len(error.splitlines()) == 1
    assert "'CC0-1.0'" in error and f"'{said}'" in error and "--collection NAME" in error


def test_what_is_broken_is_one_line_and_the_others_are_listed(project: Path) -> None:
    corpora = project / "data" / "corpora"
    shutil.copytree(project / "given", corpora / "good")
    CorpusCard(name="good", layout="ravdess", synthetic=False, licence="a", source="b").write(corpora / "good")
    (corpora / "bad").mkdir()
    (project / "data" / "noise" / "bad").mkdir(parents=True)
    process = started(project, "corpora", "list", "--json")
    out, error = process.communicate(timeout=60)
    bad, good = map(json.loads, out.splitlines())
    assert process.returncode == 1 and not error
    assert good["name"] == "good" and good["found"] == 8
    assert bad["name"] == "bad" and "corpus.yaml" in bad["error"]
    for arguments in (("noise", "list"), ("corpora", "check", "bad")):
        process = started(project, *arguments)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 1 and len((out + error).splitlines()) == 1, out + error
