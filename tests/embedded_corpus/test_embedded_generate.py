"""The generator run for real on a few recordings."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "infra" / "embedded_corpus"
PICK = """
import sys
from pathlib import Path
from corpus_settings import load
from generate import jobs, make
settings, folder = load(), Path(sys.argv[1])
todo = jobs(settings, folder)[::97]
make(todo if sys.argv[2] == "forwards" else todo[::-1], settings.sample_rate)
"""


def _make(folder: Path, order: str) -> dict[str, bytes]:
    """Some of the recordings, made by a Python of its own."""
    subprocess.run([sys.executable, "-c", PICK, str(folder), order], check=True, cwd=ROOT, capture_output=True,
                   env=os.environ | {"PYTHONPATH": f"{GENERATOR}{os.pathsep}{ROOT}"})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.flac"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader", reason="espeakng_loader is not installed: pip install -e '.[generate]'")
    return tmp_path_factory.mktemp("made")


def test_two_runs_give_the_same_bytes_in_any_order(made: Path) -> None:
    first = _make(made / "first", "forwards")
    assert len(first) == 9
    assert _make(made / "second", "backwards") == first


def test_what_it_makes_is_what_data_holds(made: Path, data: Path) -> None:
    """Within rounding: another processor may round a sample the other way."""
    for path in sorted((made / "first").rglob("*.flac")):
        again, _ = soundfile.read(path, dtype="int16")
        before, _ = soundfile.read(data / path.relative_to(made / "first"), dtype="int16")
        assert len(again) == len(before)
        assert np.abs(again.astype(int) - before.astype(int)).max() <= 2


def test_it_never_writes_over_what_is_there(tmp_path: Path) -> None:
    kept = tmp_path / "corpora" / "synthetic_tess" / "kept.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine", encoding="utf-8")
    command = [sys.executable, str(GENERATOR / "generate.py"), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.strip().endswith("exists: remove it, or generate into another folder")
    assert kept.read_text(encoding="utf-8") == "mine" and len(list(tmp_path.rglob("*"))) == 3
