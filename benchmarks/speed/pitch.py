"""Pitch up by 0.7 semitones: utterances a second of one core, ours and librosa's, and which of them does it better."""

from collections.abc import Iterator, Sequence

import librosa
import numpy as np
import soxr
from scipy.fft import next_fast_len

from benchmarks.speed import machine
from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import by_turns, repeated
from benchmarks.speed.voices import RATE, distance, voice
from ser_ops.audio.reading import read_recording
from ser_ops.augment.pitch import FADE_SECONDS, JUMP_SPREAD_SECONDS, SEARCH_RATE, pitch_ratio, shift_pitch

ASKED = 5.0
SEMITONES = 0.7
RATIO = 2 ** (SEMITONES / 12)
LIMIT = 0.003
COUNT, VOICES = 32, 6
PITCH = (60.0, 500.0)   # hertz, where the voice is looked for
LOUD = 0.1              # of the loudest frame's RMS; quieter ones are not looked at


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """The same by a phase vocoder."""
    return librosa.effects.pitch_shift(samples, sr=RATE, n_steps=SEMITONES)


def ratios(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of each loud frame, how many times higher its fundamental frequency is, by YIN."""
    low, high = PITCH
    first, second = (librosa.yin(samples, fmin=low, fmax=high * RATIO, sr=RATE) for samples in (before, after))
    loudness = librosa.feature.rms(y=before)[0]
    return (second / first)[loudness > LOUD * loudness.max()]


def median_ratio(recordings: Sequence[np.ndarray], shifted: Sequence[np.ndarray]) -> float:
    """Median over all loud frames of all recordings: noisy frames fall on both sides of it."""
    return float(np.median(np.concatenate([ratios(*pair) for pair in zip(recordings, shifted, strict=True)])))


def distances(count: int) -> tuple[float, float]:
    """Log-spectral distance in dB to the exact shift of synthetic voices: ours, librosa's."""
    distances = []
    for seed in range(count):
        samples, ideal = voice(seed)[0], voice(seed, RATIO)[0]
        distances.append([distance(ideal, shift_pitch(samples, RATE, SEMITONES)), distance(ideal, by_librosa(samples))])
    ours, peer = np.mean(distances, axis=0)
    return float(ours), float(peer)


def floor(recordings: Sequence[np.ndarray]) -> float:
    """Recordings a second of resampling them once, and of the FFTs that find where they resemble themselves."""
    into, out_of = pitch_ratio(SEMITONES).as_integer_ratio()
    resampling = repeated(lambda: [soxr.resample(recording, into, out_of, quality="HQ") for recording in recordings])
    size = next_fast_len(int((FADE_SECONDS + JUMP_SPREAD_SECONDS) * SEARCH_RATE), real=True)
    places = sum(len(recording) for recording in recordings) * RATIO / (FADE_SECONDS * RATE)
    return len(recordings) / (resampling + 3 * places / machine.ffts(size))


def run(setting: Setting) -> Iterator[Row]:
    """One row: whole recordings in memory."""
    recordings = [read_recording(path, RATE).samples for path in setting.some(8 if setting.short else COUNT)]
    turns = by_turns(lambda: [shift_pitch(recording, RATE, SEMITONES) for recording in recordings],
                     lambda: [by_librosa(recording) for recording in recordings], 2 if setting.short else 5)
    ratio = median_ratio(recordings, turns.our_result)
    ours, peer = distances(2 if setting.short else VOICES)
    yield Row("pitch shift by 0.7 semitones", "utterances", *turns.rates(len(recordings)), ASKED, floor(recordings),
              "one resampling by soxr and three FFTs for every 12 ms; between: energies and likeness of each lag, "
              "choice of the splices, fades and the copy of the result",
              abs(ratio / RATIO - 1) <= LIMIT and ours <= peer,
              f"median F0 ratio {ratio / RATIO - 1:+.2%} off 2^(0.7/12), {ours:.2f} dB from the exact shift of "
              f"synthetic voices, librosa {peer:.2f} dB")
