"""Three kinds of noise, built from synthetic voices, filtered noise and struck resonances."""

from collections.abc import Callable

import numpy as np
from corpus_settings import Settings, Speaker
from espeak import SAMPLE_RATE as VOICE_RATE
from espeak import Word, speak
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter, resample_poly
from timbre import decibels, normalised, shaped, tilted, tremolo

from ser_ops.seeds import generator

Samples = NDArray[np.float64]
_CALLS = ("fresh cod this morning", "two for five today", "mackerel and herring", "come and have a look",
          "who is next", "that one is three pounds", "mind the box please", "a bag of mussels",
          "best price in the hall", "keep it on ice", "no that is too much", "half a kilo then")
_SHOUTS = ("over here", "wait for me", "you are it", "give it back", "look at me", "no", "higher", "catch", "my turn",
           "run", "again", "come on")


def recording(settings: Settings, category: str, number: int) -> Samples:
    """One recording of a category at settings.sample_rate, in [-1, 1]."""
    chance = generator(settings.seed, "noise", category, number)
    length = round(chance.uniform(*settings.noise.seconds) * settings.sample_rate)
    samples = CATEGORIES[category](length, settings.sample_rate, chance)
    return samples * decibels(settings.noise.peak_dbfs) / np.abs(samples).max()


def fish_market(length: int, rate: int, chance: np.random.Generator) -> Samples:
    """Babble of a crowd, criers above it, boxes and knives."""
    hall = np.zeros(length)
    for _ in range(int(chance.integers(14, 22))):
        voice = _voice(rate, chance, _CALLS, (85, 230), (94, 116), phrases=4)
        _add(hall, voice * decibels(chance.uniform(-8, 0)), int(chance.integers(-len(voice) // 2, length)))
    for _ in range(int(chance.integers(2, 5))):
        crier = _voice(rate, chance, _CALLS, (130, 240), (96, 110), phrases=1)
        _add(hall, np.tanh(2 * crier) * decibels(chance.uniform(3, 7)), int(chance.integers(0, length)))
    for _ in range(int(chance.integers(6, 16))):
        _add(hall, _clatter(rate, chance, (600, 4500), 0.08) * decibels(chance.uniform(3, 9)),
             int(chance.integers(0, length)))
    return _reverberated(hall, rate, 0.5, chance) + 0.15 * _coloured(length, rate, -4.0, chance)


def railway_engine(length: int, rate: int, chance: np.random.Generator) -> Samples:
    """Low rumble that throbs with the engine, wheels over rail joints, now and then a horn."""
    rumble = _coloured(length, rate, -7.0, chance) + 0.25 * _coloured(length, rate, -2.5, chance)
    beat = chance.uniform(5, 14)
    engine = rumble * tremolo(length, rate, chance.uniform(0.3, 0.6), beat, chance)
    time = np.arange(length) / rate
    for harmonic in range(1, 9):
        engine = engine + 0.3 / harmonic * np.sin(2 * np.pi * beat * 4 * harmonic * time + chance.uniform(0, 6.28))
    period, start = chance.uniform(0.6, 1.1), chance.uniform(0, 0.5)
    for joint in np.arange(start, length / rate, period):
        for delay, level in ((0.0, 5.0), (0.13, 3.0)):
            clack = _clatter(rate, chance, (150, 1400), 0.05) * decibels(level + chance.normal(0, 1.5))
            _add(engine, clack, round((joint + delay * period) * rate))
    if chance.random() < 0.6:
        _add(engine, _horn(rate, chance) * decibels(chance.uniform(0, 5)), int(chance.integers(0, length // 2)))
    return _reverberated(tilted(engine, rate, -2.5), rate, 0.25, chance)


def children(length: int, rate: int, chance: np.random.Generator) -> Samples:
    """Bursts of high voices, squeals that glide, a ball that bounces; silence between."""
    yard = np.zeros(length)
    for _ in range(int(chance.integers(13, 21))):
        child = _voice(rate, chance, _SHOUTS, (290, 400), (124, 140), phrases=1, lively=True)
        _add(yard, child * decibels(chance.uniform(-8, 4)), int(chance.integers(0, length - rate // 2)))
    for _ in range(int(chance.integers(1, 5))):
        _add(yard, _squeal(rate, chance) * decibels(chance.uniform(-6, 2)), int(chance.integers(0, length - rate // 2)))
    start, gap = chance.uniform(0, length / rate - 2), chance.uniform(0.35, 0.6)
    for _ in range(int(chance.integers(3, 7))):
        _add(yard, _clatter(rate, chance, (180, 700), 0.06) * decibels(3.0), round(start * rate))
        start, gap = start + gap, gap * 0.8
    return _reverberated(yard, rate, 0.3, chance) + 0.04 * _coloured(length, rate, -4.0, chance)


CATEGORIES: dict[str, Callable[[int, int, np.random.Generator], Samples]] = {
    "fish_market": fish_market, "railway_engine": railway_engine, "children": children}


def _voice(rate: int, chance: np.random.Generator, phrases_of: tuple[str, ...], pitch: tuple[float, float],
           tract: tuple[int, int], phrases: int, lively: bool = False) -> Samples:
    """Somebody nobody else in the corpora is, saying `phrases` phrases, RMS 1."""
    speaker = Speaker(name="", gender="female", accent=str(chance.choice(["en", "en-us", "en-gb-scotland", "en-029"])),
                      pitch=chance.uniform(*pitch), tract=int(chance.integers(*tract)), flutter=3, rough=2)
    said = " ".join(map(str, chance.choice(phrases_of, phrases, replace=False))).split()
    swing = 6.0 if lively else 2.0
    tempo = float(chance.uniform(130, 190))
    spoken = [Word(each, float(chance.normal(1.0, swing)), tempo) for each in said]
    samples = speak(speaker, spoken, 80)
    divisor = int(np.gcd(rate, VOICE_RATE))
    return normalised(resample_poly(samples, rate // divisor, VOICE_RATE // divisor))


def _clatter(rate: int, chance: np.random.Generator, hertz: tuple[float, float], seconds: float) -> Samples:
    """Something struck: a few resonances that die away, and the knock itself."""
    time = np.arange(round(6 * seconds * rate)) / rate
    sound = 0.5 * chance.standard_normal(len(time)) * np.exp(-time / 0.008)
    for _ in range(4):
        tone = np.sin(2 * np.pi * chance.uniform(*hertz) * time + chance.uniform(0, 6.28))
        sound = sound + tone * np.exp(-time / (seconds * chance.uniform(0.3, 1.0))) / 2
    return np.asarray(sound)


def _horn(rate: int, chance: np.random.Generator) -> Samples:
    """Two notes a third apart with many harmonics, held for about a second."""
    time = np.arange(round(chance.uniform(0.8, 1.6) * rate)) / rate
    low = chance.uniform(270, 340)
    tone = sum(np.sin(2 * np.pi * note * k * time) / k for note in (low, low * 1.26) for k in range(1, 9))
    return np.asarray(tone * np.minimum(1, np.minimum(time, time[::-1]) / 0.06))


def _squeal(rate: int, chance: np.random.Generator) -> Samples:
    """A child's squeal: a high tone that glides up or down, with vibrato."""
    time = np.arange(round(chance.uniform(0.3, 0.8) * rate)) / rate
    path = chance.uniform(900, 1600) * 2 ** (chance.uniform(-0.8, 0.8) * time / time[-1])
    phase = 2 * np.pi * np.cumsum(path * (1 + 0.03 * np.sin(2 * np.pi * 7 * time))) / rate
    return np.asarray(sum(np.sin(k * phase) / k**1.5 for k in range(1, 5)) * np.sin(np.pi * time / time[-1]))


def _coloured(length: int, rate: int, slope: float, chance: np.random.Generator) -> Samples:
    """Noise falling by `slope` dB per octave above 40 Hz, RMS 1."""
    noise = shaped(chance.standard_normal(length), lambda f: decibels(slope * np.log2(np.maximum(f * rate, 40) / 40)))
    noise = lfilter([1, -1], [1, -0.99], noise)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def _reverberated(samples: Samples, rate: int, seconds: float, chance: np.random.Generator) -> Samples:
    """The sound with the tail of a room whose echo dies by 60 dB in `seconds`."""
    time = np.arange(round(seconds * rate)) / rate
    tail = chance.standard_normal(len(time)) * np.exp(-6.9 * time / seconds)
    tail = 0.5 * tail / np.sqrt(np.sum(tail**2))
    return np.asarray(samples + fftconvolve(samples, tail)[:len(samples)])


def _add(scene: Samples, sound: Samples, start: int) -> None:
    """Mix `sound` into `scene` at sample `start` (which may lie before its beginning)."""
    begin, end = max(start, 0), min(start + len(sound), len(scene))
    if begin < end:
        scene[begin:end] += sound[begin - start:end - start]
