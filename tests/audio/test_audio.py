import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ser_ops import audio
from ser_ops.errors import UserError


def tone(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)


@pytest.mark.parametrize("suffix", audio.FORMATS)
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_every_format_comes_in_as_mono_at_the_asked_rate(tmp_path, suffix, rate):
    file = tmp_path / f"a{suffix}"
    soundfile.write(file, np.stack([tone(1, rate), tone(1, rate)], axis=1), rate)
    recording = audio.read(file, 16000)
    assert recording.samples.dtype == np.float32 and recording.samples.ndim == 1
    assert (recording.native_rate, recording.channels) == (rate, 2)
    assert recording.seconds == pytest.approx(1, abs=0.15)  # mp3 pads
    spectrum = np.abs(np.fft.rfft(recording.samples * np.hanning(len(recording.samples))))
    assert np.argmax(spectrum) / recording.seconds == pytest.approx(440, abs=2)


def test_channels_are_averaged(tmp_path):
    file = tmp_path / "a.wav"
    soundfile.write(file, np.stack([np.full(100, 0.5), np.zeros(100)], axis=1), 16000, subtype="FLOAT")
    assert audio.read(file, 16000).samples == pytest.approx(np.full(100, 0.25))


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_blocks_give_what_reading_gives(tmp_path, rate):
    file = tmp_path / "a.wav"
    noise = np.random.default_rng(1).normal(0, 0.1, int(3.3 * rate)).astype(np.float32)
    soundfile.write(file, noise, rate, subtype="FLOAT")
    whole = audio.read(file, 16000).samples
    pieces = np.concatenate(list(audio.blocks(file, 16000, seconds=0.5)))
    length = min(len(whole), len(pieces))
    assert abs(len(whole) - len(pieces)) <= 1
    assert np.abs(whole[:length] - pieces[:length]).max() < 1e-3


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty file"), (b"RIFF....nonsense", "not readable as audio"), (b"hello " * 99, "not readable as audio")])
def test_what_is_no_audio_is_one_line(tmp_path, content, words):
    file = tmp_path / "a.wav"
    file.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        audio.read(file, 16000)
    assert "\n" not in str(caught.value)


def test_missing_sampleless_and_nan_files_are_said(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        audio.read(tmp_path / "none.wav", 16000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    with pytest.raises(UserError, match="holds no samples"):
        audio.read(tmp_path / "none.wav", 16000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="NaN"):
        audio.read(tmp_path / "nan.wav", 16000)


def test_a_truncated_flac_is_said(tmp_path):
    file = tmp_path / "a.flac"
    soundfile.write(file, np.random.default_rng(1).normal(0, 0.1, 160000), 16000)
    file.write_bytes(file.read_bytes()[:20000])
    with pytest.raises(UserError, match=r"damaged audio|truncated"):
        audio.read(file, 16000)


def test_levels_by_hand():
    square = np.tile(np.array([0.5, -0.5], np.float32), 4000)
    one = audio.levels(square, 16000, -60)
    assert (one.peak_dbfs, one.rms_dbfs) == pytest.approx((-6.02, -6.02), abs=0.01)
    assert (one.clipped_share, one.silent_share) == (0, 0)
    half = np.concatenate([square, np.zeros(8000, np.float32)])
    assert audio.levels(half, 16000, -60).silent_share == pytest.approx(0.5)
    assert audio.levels(np.clip(3 * tone(1, 16000), -1, 1), 16000, -60).clipped_share > 0.3
    assert audio.levels(np.zeros(0, np.float32), 16000, -60).silent_share == 1


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 50))
def test_windows_cover_every_sample_and_stay_inside(total, length, hop):
    spans = audio.spans(total, length, min(hop, length))
    assert spans[0][0] == 0 and spans[-1][1] == total
    assert all(end - start == min(length, total) for start, end in spans)
    assert all(b[0] <= a[1] for a, b in itertools.pairwise(spans))


@given(st.integers(1, 300), st.integers(1, 100))
def test_fitting_keeps_the_middle(total, length):
    samples = np.arange(1, total + 1, dtype=np.float32)
    window, valid = audio.fit(samples, length)
    assert window.shape == (length,) and valid == min(total, length)
    assert (window[valid:] == 0).all() and (np.diff(window[:valid]) == 1).all()
    if total > length:
        assert abs((window[0] - 1) - (total - window[-1])) <= 1
