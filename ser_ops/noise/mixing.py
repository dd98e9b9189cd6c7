"""Noise into speech: crop or pad, scale, add, and say what SNR came of it (paper 1, equations 1 to 7).

Noise is a recording, or stationary noise whose power falls with frequency as S(f) ~ 1/f^beta.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy.fft

from ser_ops.audio.signal import dbfs
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow
from ser_ops.seeds import generator

NOISE_COLOURS: dict[str, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}     # beta of each
LOWEST_HERTZ = 20.0  # hertz; the law holds from here to half the sample rate, below it the spectrum is flat
Level = Literal["keep", "clip", "renormalise"]
MAX_DRAWS = 100  # silent crops in a row after which a recording is given up


@dataclass(frozen=True)
class Mixture:
    """Speech with noise in it: float32 samples (n,), the SNR that resulted in dB, and where the noise came from.

    snr_db is infinite when no noise was added. recording is "" for stationary noise.
    """

    samples: np.ndarray
    snr_db: float
    intensity: float
    noise: str = ""
    recording: str = ""


class Mixer:
    """Makes the same mixture for the same seed, utterance, noise and intensity, wherever and in whatever order.

    recordings: samples by id, mono at `sample_rate`. rows: of these recordings.
    level and silent_dbfs: settings level and silent_crop_dbfs of section augment.
    """

    def __init__(self, recordings: Mapping[str, np.ndarray], rows: Iterable[NoiseRow],
                 sample_rate: int = 16000, level: Level = "keep", silent_dbfs: float = -60.0) -> None:
        self._recordings = recordings
        self._ids: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows:
            self._ids[row.partition, row.category].append(row.recording)
        for ids in self._ids.values():
            ids.sort()
        self.sample_rate = sample_rate
        self._level = level
        self._silent_dbfs = silent_dbfs

    def categories(self, partition: str) -> tuple[str, ...]:
        """Categories with a recording in this partition, sorted."""
        return tuple(sorted(category for where, category in self._ids if where == partition))

    def __call__(self, utterance: str, speech: np.ndarray, noise: str, intensity: float, seed: int,
                 partition: str) -> Mixture:
        """Speech (n,) with noise in it: white, pink, brown, or a recording of category `noise` in `partition`.

        Raises UserError when the partition has no recording of that category, or the recording drawn is silent.
        """
        draw = generator(seed, "mixture", utterance, noise, f"{float(intensity)!r}")
        if noise in NOISE_COLOURS:
            added, recording = stationary_noise(noise, len(speech), self.sample_rate, draw), ""
        else:
            recording = self._draw(noise, partition, draw)
            added = crop_noise(self._recordings[recording], len(speech), draw, self._silent_dbfs, recording)
        return replace(mix_noise(speech, added, intensity, self._level), noise=noise, recording=recording)

    def _draw(self, category: str, partition: str, draw: np.random.Generator) -> str:
        ids = self._ids.get((partition, category))
        if not ids:
            there = ", ".join(self.categories(partition)) or "none"
            raise UserError(f"noise {category!r}: no recording in partition {partition} (there is: {there}): add "
                            f"recordings of more sources with `ser-ops noise add {category} FOLDER`")
        return ids[int(draw.integers(len(ids)))]


def mix_noise(speech: np.ndarray, noise: np.ndarray, intensity: float, level: Level = "keep") -> Mixture:
    """x = s + a max|s| n / max|n| for speech s (n,), noise n (n,) and intensity a (equations 1 to 3).

    The peak of n is that of the crop given here. Beyond full scale, level keep leaves the mixture as it is, clip cuts
    it at [-1, 1], renormalise scales it to peak 1; snr_db is that of the sum before. Raises ValueError for other
    lengths and a negative intensity.

    >>> mixture = mix_noise(np.array([0.5, -0.25]), np.array([0.1, 0.2]), 0.5)
    >>> mixture.samples, round(mixture.snr_db, 2)
    (array([0.625, 0.   ], dtype=float32), 6.02)
    """
    if np.shape(speech) != np.shape(noise) or intensity < 0:
        raise ValueError(f"speech {np.shape(speech)}, noise {np.shape(noise)}, intensity {intensity}")
    signal, total = np.asarray(speech, np.float64), np.array(noise, np.float64)
    peak = _peak(total)
    total *= intensity * _peak(signal) / peak if peak > 0 else 0.0
    power = float(total @ total)
    snr = 10 * math.log10(float(signal @ signal) / power) if power > 0 else math.inf
    total += signal
    if level == "clip":
        total = total.clip(-1, 1)
    elif level == "renormalise":
        total /= max(1.0, _peak(total))
    return Mixture(total.astype(np.float32), snr, float(intensity))


def crop_noise(noise: np.ndarray, length: int, generator: np.random.Generator, silent_dbfs: float = -60.0,
               name: str = "noise recording") -> np.ndarray:
    """`length` samples of a noise recording (n,): a random crop of a longer one, a shorter one between zeros.

    A shorter recording starts at a random place, so that onset and end fall anywhere; it is never looped. A crop
    whose peak is below `silent_dbfs` is drawn again. Raises UserError that says `name` when no crop of many draws is
    loud enough.

    >>> crop_noise(np.ones(2, np.float32), 4, np.random.default_rng(0))
    array([0., 0., 1., 1.], dtype=float32)
    """
    noise = np.asarray(noise, np.float32)
    spare = length - len(noise)
    for _ in range(MAX_DRAWS):
        start = int(generator.integers(abs(spare) + 1))
        taken = noise[start:start + length] if spare <= 0 else noise
        if dbfs(_peak(taken)) >= silent_dbfs:
            return taken.copy() if spare <= 0 else np.pad(taken, (start, spare - start))
    raise UserError(f"{name}: no crop of {MAX_DRAWS} draws is louder than {silent_dbfs:g} dBFS: remove the recording "
                    "or set augment.silent_crop_dbfs lower")


def _peak(samples: np.ndarray) -> float:
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))


def stationary_noise(kind: str, length: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """`length` samples of white, pink or brown noise, float32, peak 1.

    Gaussian white noise (equation 5) is filtered by |H(f)| = f^(-beta/2) (equation 6). Brown noise is made the same
    way and not by summing up (equation 7): a sum follows 1/f^2 only well below half the sample rate, and nearly all
    of its peak lies in drifts below 20 Hz that nobody hears, so that an intensity would say nothing.
    Raises ValueError for another kind.

    >>> stationary_noise("pink", 8000, 16000, np.random.default_rng(0)).shape
    (8000,)
    """
    if kind not in NOISE_COLOURS:
        raise ValueError(f"{kind!r} is not one of {', '.join(NOISE_COLOURS)}")
    if NOISE_COLOURS[kind] == 0:
        noise = generator.standard_normal(length, dtype=np.float32)
    else:
        # At least a second, so that short noise too has frequencies down to the lowest.
        size = scipy.fft.next_fast_len(max(length, sample_rate), real=True)
        # The transform of Gaussian white noise is Gaussian and white, so it is drawn there, which spares a transform.
        spectrum = generator.standard_normal(2 * (size // 2 + 1), dtype=np.float32).view(np.complex64)
        spectrum *= _response(NOISE_COLOURS[kind], size, sample_rate)
        noise = scipy.fft.irfft(spectrum, size, overwrite_x=True)[:length]
    noise /= max(noise.max(initial=1e-12), -noise.min(initial=0.0))
    return noise


@lru_cache(maxsize=64)      # utterances of one length, and variants of one utterance, ask for the same
def _response(beta: float, size: int, sample_rate: int) -> np.ndarray:
    """|H(f)| at the frequencies of a real FFT of `size` samples, float32 (size // 2 + 1,); nothing at 0 Hz."""
    shape = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(sample_rate / size)
    np.maximum(shape, LOWEST_HERTZ, out=shape)
    shape **= -beta / 2
    shape[0] = 0.0
    shape.flags.writeable = False
    return shape
