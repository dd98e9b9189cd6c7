"""Signals that the features are compared on, what agreement means, and the utterances at hand."""

from pathlib import Path

import numpy as np
import pytest

from ser_ops.audio.reading import read_recording
from ser_ops.audio.signal import fit_window
from ser_ops.config.models import Window

ROOT = Path(__file__).resolve().parents[2]


def speech_like(length: int, rate: int, generator: np.random.Generator) -> np.ndarray:
    """Syllables: a gliding buzz through two resonances, with pauses and breath."""
    time = np.arange(length) / rate
    pitch = 140 + 40 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.cos(k * phase) / k * (1 / (1 + ((k * 140 - 600) / 300) ** 2) + 0.1) for k in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, None) ** 2
    return (0.2 * buzz * syllables + 0.002 * generator.standard_normal(length)).astype(np.float32)


def signals(rate: int, length: int) -> dict[str, np.ndarray]:
    """Made signals by name, float32 of the given length."""
    generator = np.random.default_rng(1)
    speech = speech_like(length, rate, generator)
    padded = speech.copy()
    padded[length // 2:] = 0
    time = np.arange(length) / rate
    return {
        "noise": (0.1 * generator.standard_normal(length)).astype(np.float32),
        "speech_like": speech,
        "silence_padded": padded,
        "sweep": (0.5 * np.sin(2 * np.pi * (100 + 1500 * time) * time)).astype(np.float32),
        "click": np.where(np.arange(length) == length // 3, 1.0, 0.0).astype(np.float32),
        "faint": (1e-4 * speech).astype(np.float32),
        "beyond_full_scale": (8 * speech).astype(np.float32),
        "quantised": (np.round(speech * 64) / 64).astype(np.float32),
        "offset": (speech + 0.3).astype(np.float32),
    }


def assert_agrees(ours: np.ndarray, theirs: np.ndarray, step: float = 0.0) -> None:
    """Rows (rows, T) within 1e-3 of each row's standard deviation; within rounding where a row does not vary.

    `step`: the float32 step of what the values are sums or differences of; no more is asked.
    """
    assert ours.shape == theirs.shape
    worst, deviation = np.abs(ours.astype(np.float64) - theirs).max(1), theirs.std(1, dtype=np.float64)
    rounding = 3e-6 * np.abs(theirs).max()
    varies = deviation > rounding       # the others have no deviation to measure by
    allowed = np.maximum(1e-3 * deviation, step)
    assert (worst <= allowed)[varies].all(), (worst[varies] / deviation[varies]).max()
    assert (worst[~varies] <= max(rounding, step)).all(), worst[~varies].max()


def synthetic_utterances(settings: Window, count: int) -> list[np.ndarray]:
    """Windows of embedded synthetic speech, spread over the corpora; skips the test where data/ is not there."""
    return _windows(sorted((ROOT / "data" / "corpora").glob("synthetic_*/**/*.flac")), settings, count,
                    "data/ holds no embedded corpora: dvc pull data.dvc")


def real_utterances(settings: Window, count: int) -> list[np.ndarray]:
    """Windows of real recordings, spread over the speakers; skips the test where they are not there."""
    return _windows(sorted((ROOT.parent / "shared" / "corpora" / "ravdess").glob("Actor_*/*")), settings, count,
                    "needs the recordings in ../shared")


def _windows(files: list[Path], settings: Window, count: int, otherwise: str) -> list[np.ndarray]:
    if not files:
        pytest.skip(otherwise)
    length = round(settings.seconds * settings.sample_rate)
    return [fit_window(read_recording(file, settings.sample_rate).samples, length)[0]
            for file in files[::max(1, len(files) // count)]]
