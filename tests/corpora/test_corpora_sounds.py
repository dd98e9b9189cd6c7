"""Which recordings are one sound: whatever was done to a copy, and never two that are not."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter, sosfilt

from ser_ops.audio.admission import Clip
from ser_ops.audio.reading import read_recording
from ser_ops.audio.signal import resample
from ser_ops.config.data import Partitions
from ser_ops.corpora.decoding import decode_recordings, same_sounds, sound_fingerprint
from ser_ops.manifest import NoiseRow
from ser_ops.noise.recordings import assign_noise_partitions

RATE = 16000
SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def voice(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Syllables of harmonics under moving formants, with pauses: like speech, and another one for each seed."""
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * RATE:
        length = int(rng.uniform(0.1, 0.3) * RATE)
        pitch = np.cumsum(rng.uniform(90, 250) * np.linspace(1, rng.uniform(0.8, 1.2), length)) / RATE
        pulse = np.sign(np.diff(np.floor(pitch), prepend=0)) + 0.05 * rng.normal(size=length)
        for centre in rng.uniform((300, 900, 2200), (900, 2200, 3200)):
            radius, angle = 0.97, 2 * np.pi * centre / RATE
            pulse = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], pulse)
        parts += [pulse / np.abs(pulse).max() * np.hanning(length), np.zeros(int(rng.uniform(0, 0.1) * RATE))]
    return 0.3 * np.concatenate(parts)[:int(seconds * RATE)].astype(np.float32)


def noise(seed: int, seconds: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def coded(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = RATE) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"a.{kind.lower()}")
        soundfile.write(file, resample(samples, RATE, rate), rate, format=kind, subtype=subtype)
        heard, own = soundfile.read(file, dtype="float32")
    return resample(heard, own, RATE)


def microphone(samples: np.ndarray) -> np.ndarray:
    """Some centimetres away: later, with an early reflection, another balance of low and high, and its own hiss."""
    reflected = np.concatenate([np.zeros(23, np.float32), samples])[:len(samples)]
    reflected[60:] += 0.4 * samples[:-60]
    tilted = sosfilt([[1, -0.5, 0, 1, 0, 0]], reflected)
    return (tilted + 0.02 * samples.std() * np.random.default_rng(9).normal(size=len(samples))).astype(np.float32)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gain": lambda x: 0.05 * x, "polarity": lambda x: -x, "later": lambda x: np.concatenate([np.zeros(997), x]),
    "cut out": lambda x: x[len(x) // 4:], "offset": lambda x: x + 0.2, "mp3": lambda x: coded(x, "MP3"),
    "vorbis": lambda x: coded(x, "OGG"), "44.1 kHz": lambda x: coded(x, "FLAC", None, 44100),
    "telephone": lambda x: coded(x, "WAV", "ULAW", 8000), "microphone": microphone,
    "16 bit": lambda x: coded(0.05 * x, "WAV", "PCM_16")}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("made", [voice, noise])
def test_a_copy_is_the_same_sound(copy: str, made: Callable[[int], np.ndarray]) -> None:
    kept = {f"{seed}": made(seed) for seed in range(4)}
    changed = {f"{seed} again": COPIES[copy](samples) for seed, samples in kept.items()}
    sounds = same_sounds({name: sound_fingerprint(samples, RATE) for name, samples in (kept | changed).items()})
    assert sounds == {name: name[0] for name in sorted(kept | changed)}


@given(st.sampled_from([voice, noise]), st.integers(0, 10**6), st.floats(0.01, 3), st.booleans(),
       st.integers(0, 8000), st.floats(1.5, 6))
@settings(max_examples=25)
def test_gain_polarity_and_shift_never_part_a_copy(made: Callable[..., np.ndarray], seed: int, gain: float,
                                                   turned: bool, shift: int, seconds: float) -> None:
    samples = made(seed, seconds)
    copy = (-gain if turned else gain) * np.concatenate([np.zeros(shift), samples])
    sounds = same_sounds({"a": sound_fingerprint(samples, RATE), "b": sound_fingerprint(copy, RATE),
                          "c": sound_fingerprint(made(seed + 1, seconds), RATE)})
    assert sounds == {"a": "a", "b": "a"}


def test_others_are_not() -> None:
    time_axis = np.arange(3 * RATE) / RATE
    others = {f"voice {seed}": voice(seed) for seed in range(60)}
    others |= {f"noise {seed}": noise(seed) for seed in range(60)}
    others |= {f"engine {hertz}": sum(np.sin(2 * np.pi * hertz * part * time_axis) / part for part in range(1, 20))
               + noise(hertz) for hertz in range(40, 80, 2)}
    others |= {f"tone {hertz}": 0.5 * np.sin(2 * np.pi * hertz * time_axis) for hertz in range(300, 2000, 100)}
    others |= {"silence": np.zeros(RATE), "quiet": np.zeros(2 * RATE), "click": np.eye(1, RATE)[0],
               "nothing": np.zeros(0)}
    assert same_sounds({name: sound_fingerprint(samples, RATE) for name, samples in others.items()}) == {}


def test_the_same_whatever_the_order_and_one_after_another() -> None:
    chain = {"c": voice(1, 6), "a": voice(1, 6)[:4 * RATE], "b": voice(1, 6)[RATE:], "x": voice(2)}
    prints = {name: sound_fingerprint(samples, RATE) for name, samples in chain.items()}
    assert same_sounds(prints) == same_sounds(dict(sorted(prints.items()))) == {"a": "a", "b": "a", "c": "a"}
    assert same_sounds({}) == {}


def test_very_many_take_seconds() -> None:
    rng = np.random.default_rng(0)
    prints = {f"{number:04d}": sound_fingerprint(lfilter([1], [1, -0.9], rng.normal(size=3 * RATE)), RATE)
              for number in range(300)}
    many = {f"{name} {turn}": type(print_of)(print_of.frames, print_of.bits ^ np.uint32(turn * 0x9E3779B9 % 2**32))
            for name, print_of in prints.items() for turn in range(5)}
    before = time.monotonic()
    assert same_sounds(many) == {}
    assert time.monotonic() - before < 20


@pytest.mark.parametrize("workers", [1, 2])
def test_what_decoding_says_and_who_stays_together(tmp_path: Path, workers: int) -> None:
    for name, samples in {"a": noise(1), "b": noise(2), "c": -0.2 * noise(1)}.items():
        soundfile.write(tmp_path / f"{name}.flac", samples, RATE)
    (tmp_path / "d.flac").write_bytes(b"no audio")
    clips = [(f"made/rain/{name}", Clip(tmp_path / f"{name}.flac")) for name in "cabd"]
    measures = decode_recordings(clips, tmp_path / "store", RATE, -60.0, 1, workers, "test")
    assert [measure.sound for measure in measures] == ["made/rain/a", "made/rain/a", "", ""]
    rows = [NoiseRow(name, category="rain", content=measure.content, sound=measure.sound, error=measure.error)
            for (name, _), measure in zip(clips, measures, strict=True)]
    for seed in range(10):
        placed = assign_noise_partitions(rows, Partitions(protocol="speaker", seed=seed, validation=0.2, test=0.2,
                                                          noise_validation=0.25,
                                                          noise_test=0.25, held_out_noise=()))
        assert placed[0] == placed[1] != placed[2]


@pytest.mark.real_speech
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared are not here")
def test_of_real_recordings_only_the_known_copies_are_one_sound() -> None:
    files = sorted((SHARED / "corpora" / "ravdess").glob("Actor_0[67]/*.flac")) + sorted((SHARED / "noise").glob("*/*"))
    sounds = same_sounds({file.stem: sound_fingerprint(read_recording(file, RATE).samples, RATE) for file in files})
    assert sounds == dict.fromkeys(("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"), "03-01-03-01-02-01-07")
