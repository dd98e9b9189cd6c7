"""A folder of noise for `ser-ops evaluate`: scanned as a collection is, and what cannot be used is said."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.evaluation.labelled_audio import _mixer

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


def write(path: Path, seed: int = 0, peak: float = 0.3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, peak * np.random.default_rng(seed).uniform(-1, 1, 8000), 16000)


def test_every_recording_is_used_or_named(tmp_path: Path) -> None:
    for number, name in enumerate(("rain/a.wav", "rain/b.flac", "rain/b.wav", "kitchen/dishes/ch01.wav",
                                   "kitchen/dishes/ch02.wav", "loose.wav", "rain/._a.wav", "__MACOSX/rain/a.wav")):
        write(tmp_path / "noises" / name, number)
    write(tmp_path / "noises" / "rain" / "quiet.wav", peak=0)
    os.mkfifo(tmp_path / "noises" / "rain" / "pipe.wav")
    mixer, rows, left_out = _mixer(tmp_path / "noises", 16000, PARAMS)
    assert {row.recording: row.source for row in rows} == {
        "noises/rain/a": "noises/rain/a", "noises/rain/b": "noises/rain/b",
        "noises/kitchen/dishes/ch01": "noises/kitchen/dishes", "noises/kitchen/dishes/ch02": "noises/kitchen/dishes"}
    assert mixer.categories("test") == ("kitchen", "rain")
    reasons = {Path(entry["path"]).relative_to(tmp_path / "noises").as_posix(): entry["reason"] for entry in left_out}
    assert sorted(reasons) == ["loose.wav", "rain/b.wav", "rain/pipe.wav", "rain/quiet.wav"]
    assert reasons["rain/b.wav"] == "differs from b.flac in its suffix alone: rename one of them"
    assert "pipe" in reasons["rain/pipe.wav"] and "silent" in reasons["rain/quiet.wav"]


def test_a_category_that_means_something_else_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "noises" / "white" / "a.wav")
    with pytest.raises(UserError, match="'white' is taken"):
        _mixer(tmp_path / "noises", 16000, PARAMS)
