"""ZCR, RMS and MFCC against librosa: within 1e-3 of each feature's standard deviation."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from feature_signals import assert_agrees, signals, speech_like

from ser_ops.audio.reading import read_recording
from ser_ops.audio.signal import fit_window
from ser_ops.config.models import Features
from ser_ops.config.params import load_preset, preset_names
from ser_ops.features.descriptors import mfcc, rms, zcr
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import to_grid

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
PRESETS = {name: load_preset(name) for name in preset_names()}
PLAIN = {"level": "keep", "centre": False}    # librosa normalises nothing
FLOAT32 = 1e-4      # decibels: what is left in a coefficient that is all but 0 of the sum of 80 bands, as of a click


def reference(samples: np.ndarray, settings: Features) -> np.ndarray:
    """librosa's features as (2 + K, T)."""
    size = {"frame_length": settings.frame, "hop_length": settings.hop}
    return np.concatenate([
        librosa.feature.zero_crossing_rate(samples, **size), librosa.feature.rms(y=samples, **size),
        librosa.feature.mfcc(y=samples, sr=settings.sample_rate, n_mfcc=settings.mfcc, n_fft=settings.frame,
                             hop_length=settings.hop, n_mels=settings.mels)])


@pytest.mark.parametrize("name", sorted(signals(16000, 16)))
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_agrees_with_librosa(preset: str, name: str) -> None:
    settings = PRESETS[preset].features.model_copy(update=PLAIN)
    samples = signals(settings.sample_rate, round(settings.seconds * settings.sample_rate))[name]
    ours = to_grid(Extractor(settings, settings.sample_rate)(torch.from_numpy(samples)[None]), settings)[0]
    assert_agrees(ours.numpy(), reference(samples, settings), FLOAT32)


@pytest.mark.parametrize(("frame", "hop", "length"), [(1024, 160, 8000), (512, 512, 7999), (400, 150, 8001)])
def test_other_frames_and_odd_lengths(frame: int, hop: int, length: int) -> None:
    settings = PRESETS["small"].features.model_copy(update={"frame": frame, "hop": hop, "mfcc": 13})
    samples = speech_like(length, 16000, np.random.default_rng(2))
    batch = torch.from_numpy(samples)[None]
    ours = np.stack([zcr(batch, settings)[0].numpy(), rms(batch, settings)[0].numpy(),
                     *mfcc(batch, settings)[0].numpy()])
    assert_agrees(ours, reference(samples, settings))


def test_silence_is_finite_and_agrees() -> None:
    settings = PRESETS["small"].features.model_copy(update=PLAIN)
    ours = Extractor(settings)(torch.zeros(1, 48000))[0].numpy()
    assert_agrees(ours, reference(np.zeros(48000, np.float32), settings))


@pytest.mark.real_speech
def test_real_recordings_agree() -> None:
    files = sorted((SHARED / "corpora" / "ravdess").glob("Actor_0[1-4]/*"))[::40]
    if not files:
        pytest.skip("needs the recordings in ../shared")
    for preset in ("small", "paper"):
        settings = PRESETS[preset].features.model_copy(update=PLAIN)
        for file in files:
            length = round(settings.seconds * settings.sample_rate)
            samples, _ = fit_window(read_recording(file, settings.sample_rate).samples, length)
            ours = to_grid(Extractor(settings, settings.sample_rate)(torch.from_numpy(samples)[None]), settings)[0]
            assert_agrees(ours.numpy(), reference(samples, settings))
