"""ZCR, RMS and MFCC against librosa: within 1e-3 of each feature's standard deviation."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from ser_ops.audio import fit, read
from ser_ops.config import Features, load
from ser_ops.features import Extractor, mfcc, rms, zcr
from ser_ops.features.index_map import to_grid

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
PRESETS = load().presets


def reference(samples: np.ndarray, settings: Features) -> np.ndarray:
    """librosa's features as (2 + K, T)."""
    size = {"frame_length": settings.frame, "hop_length": settings.hop}
    return np.concatenate([
        librosa.feature.zero_crossing_rate(samples, **size), librosa.feature.rms(y=samples, **size),
        librosa.feature.mfcc(y=samples, sr=settings.sample_rate, n_mfcc=settings.mfcc, n_fft=settings.frame,
                             hop_length=settings.hop)])


def speech_like(length: int, rate: int, generator: np.random.Generator) -> np.ndarray:
    """Syllables: a gliding buzz through two resonances, with pauses and breath."""
    time = np.arange(length) / rate
    pitch = 140 + 40 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.cos(k * phase) / k * (1 / (1 + ((k * 140 - 600) / 300) ** 2) + 0.1) for k in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, None) ** 2
    return (0.2 * buzz * syllables + 0.002 * generator.standard_normal(length)).astype(np.float32)


def signals(rate: int, length: int) -> dict[str, np.ndarray]:
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


def assert_agrees(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    worst, deviation = np.abs(ours.astype(np.float64) - theirs).max(1), theirs.std(1, dtype=np.float64)
    rounding = 3e-6 * np.abs(theirs).max()
    varies = deviation > rounding       # the others have no deviation to measure by
    assert (worst[varies] <= 1e-3 * deviation[varies]).all(), (worst[varies] / deviation[varies]).max()
    assert (worst[~varies] <= rounding).all(), worst[~varies].max()


@pytest.mark.parametrize("name", sorted(signals(16000, 16)))
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_agrees_with_librosa(preset: str, name: str) -> None:
    settings = PRESETS[preset].features
    samples = signals(settings.sample_rate, round(settings.seconds * settings.sample_rate))[name]
    ours = to_grid(Extractor(settings, settings.sample_rate)(torch.from_numpy(samples)[None]), settings)[0]
    assert_agrees(ours.numpy(), reference(samples, settings))


@pytest.mark.parametrize(("frame", "hop", "length"), [(1024, 160, 8000), (512, 512, 7999), (400, 150, 8001)])
def test_other_frames_and_odd_lengths(frame: int, hop: int, length: int) -> None:
    settings = PRESETS["small"].features.model_copy(update={"frame": frame, "hop": hop, "mfcc": 13})
    samples = speech_like(length, 16000, np.random.default_rng(2))
    batch = torch.from_numpy(samples)[None]
    ours = np.stack([zcr(batch, settings)[0].numpy(), rms(batch, settings)[0].numpy(),
                     *mfcc(batch, settings)[0].numpy()])
    assert_agrees(ours, reference(samples, settings))


def test_silence_is_finite_and_agrees() -> None:
    settings = PRESETS["small"].features
    ours = Extractor(settings)(torch.zeros(1, 40000))[0].numpy()
    assert_agrees(ours, reference(np.zeros(40000, np.float32), settings))


@pytest.mark.real_speech
def test_real_recordings_agree() -> None:
    files = sorted((SHARED / "corpora" / "ravdess").glob("Actor_0[1-4]/*"))[::40]
    if not files:
        pytest.skip("needs the recordings in ../shared")
    for preset in ("small", "paper"):
        settings = PRESETS[preset].features
        for file in files:
            samples, _ = fit(read(file, settings.sample_rate).samples, round(settings.seconds * settings.sample_rate))
            ours = to_grid(Extractor(settings, settings.sample_rate)(torch.from_numpy(samples)[None]), settings)[0]
            assert_agrees(ours.numpy(), reference(samples, settings))
