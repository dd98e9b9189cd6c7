"""What happens to the voice after synthesis: tension, tilt, breath, tremolo, swell, level, room floor."""

from collections.abc import Callable

import numpy as np
from corpus_settings import Settings
from delivery import Utterance
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly

from ser_ops.seeds import generator

Samples = NDArray[np.float64]


def finish(settings: Settings, utterance: Utterance, voice: Samples, rate: int, values: dict[str, float]) -> Samples:
    """The recording at settings.sample_rate, in [-1, 1], from a voice at `rate` hertz."""
    wanted, delivery = settings.sample_rate, settings.delivery
    chance = generator(settings.seed, "timbre", utterance.corpus, utterance.path)
    divisor = int(np.gcd(wanted, rate))
    voice = trim(resample_poly(voice, wanted // divisor, rate // divisor))
    voice = drive(normalised(voice), values["drive"])
    voice = tilted(voice, wanted, values["tilt"])
    voice = voice + breath(voice, wanted, delivery.breath_db + values["breath"], chance)
    tremble = chance.uniform(*delivery.tremble_hertz)
    voice = voice * tremolo(len(voice), wanted, values["tremble"] / 100, tremble, chance)
    voice = voice * decibels(np.linspace(-0.5, 0.5, len(voice)) * values["swell"])
    gasp, sigh = (puff(wanted, delivery.gasp_db + values[cue], chance.uniform(*delivery.gasp_seconds), chance)
                  for cue in ("gasp", "sigh"))
    voice = np.concatenate([gasp, normalised(voice), sigh[::-1]]) * decibels(delivery.level_dbfs + values["loudness"])
    silence = [round(chance.uniform(*span) * wanted) for span in (delivery.silence_before, delivery.silence_after)]
    return recorded(settings, utterance, np.pad(voice, silence), chance)


def recorded(settings: Settings, utterance: Utterance, samples: Samples, chance: np.random.Generator) -> Samples:
    """Through the speaker's microphone: its response, its noise floor, never above the set peak."""
    delivery = settings.delivery
    microphone = generator(settings.seed, "microphone", utterance.corpus, utterance.speaker.name)
    colour = delivery.colour_db * microphone.standard_normal(6)
    response = np.interp(np.linspace(0, 1, 512), np.linspace(0, 1, 6), colour)
    samples = shaped(samples, lambda frequencies: decibels(np.interp(frequencies, np.linspace(0, 0.5, 512), response)))
    floor = decibels(microphone.uniform(*delivery.floor_dbfs))
    samples = samples + floor * lfilter([1.0], [1.0, -0.7], chance.standard_normal(len(samples))) * np.sqrt(1 - 0.7**2)
    return samples * min(1.0, decibels(delivery.peak_dbfs) / np.abs(samples).max())


def decibels(value: float | Samples) -> Samples:
    """Decibels as an amplitude factor."""
    return np.asarray(10.0 ** (np.asarray(value) / 20))


def normalised(samples: Samples) -> Samples:
    """RMS of 1 over the part within 30 dB of the loudest 20 ms."""
    energy = lfilter(np.full(320, 1 / 320), [1.0], samples**2)
    return samples / np.sqrt(np.mean(samples[energy > energy.max() * 1e-3] ** 2))


def trim(samples: Samples) -> Samples:
    """Without the synthesiser's own silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[loud[0]:loud[-1] + 1]


def drive(samples: Samples, amount: float) -> Samples:
    """A tense voice: a soft clipper, `amount` dB (below 0: none) above where it begins to bend."""
    gain = decibels(max(amount, 0.0) - 12.0)
    return np.asarray(normalised(np.tanh(gain * samples)))


def tilted(samples: Samples, rate: int, slope: float) -> Samples:
    """Spectrum tilted by `slope` dB per octave around 1 kHz, level beyond 150 Hz and 7 kHz as there."""
    return shaped(samples, lambda f: decibels(slope * np.log2(np.clip(f * rate, 150, 7000) / 1000)))


def shaped(samples: Samples, gain: Callable[[Samples], NDArray[np.floating]]) -> Samples:
    """Samples with each frequency (in cycles per sample) multiplied by gain(frequency); zero phase, padded."""
    size = len(samples) + 4096
    spectrum = np.fft.rfft(samples, size) * gain(np.asarray(np.fft.rfftfreq(size), np.float64))
    return np.asarray(np.fft.irfft(spectrum, size)[:len(samples)])


def breath(samples: Samples, rate: int, level: float, chance: np.random.Generator) -> Samples:
    """High noise that follows the voice's envelope, `level` dB relative to the voice."""
    noise = shaped(chance.standard_normal(len(samples)), lambda f: np.clip(f * rate / 2500, 0, 1))
    envelope = np.sqrt(np.maximum(lfilter(np.full(480, 1 / 480), [1.0], samples**2), 0))
    return np.asarray(noise * envelope * decibels(level))


def puff(rate: int, level: float, seconds: float, chance: np.random.Generator) -> Samples:
    """A breath drawn in: airy noise that rises and stops; its RMS is `level` dB. Reversed, a breath let out."""
    noise = chance.standard_normal(round(seconds * rate))
    noise = shaped(noise, lambda f: 1 / (1 + ((f * rate - 1800) / 1400) ** 2))
    swell = np.linspace(0, 1, len(noise)) ** 1.5 * np.minimum(1, np.arange(len(noise))[::-1] / (0.02 * rate))
    noise = noise * swell
    return np.asarray(noise * decibels(level) / np.sqrt(np.mean(noise**2)))


def tremolo(length: int, rate: int, depth: float, hertz: float, chance: np.random.Generator) -> Samples:
    """Factor around 1 that swings `depth` (0 to 0.9) deep, `hertz` times a second."""
    swing = np.sin(2 * np.pi * hertz * np.arange(length) / rate + chance.uniform(0, 2 * np.pi))
    return np.asarray(1 + min(max(depth, 0.0), 0.9) * swing)
