"""What a recording sounds like, in figures: level, bandwidth, share of speech and signal-to-noise ratio.

Speech is told from what lies between by the detector of speech, in its moments of 32 ms.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ser_ops.audio.signal import dbfs
from ser_ops.speech.detector import MOMENT, Segment

_BELOW = 0.99               # of the power of a recording lies below its bandwidth
_LEAST_PAUSE = 3            # moments without speech from which noise is known; of fewer the quietest tenth counts
_QUIETEST = 0.1
_SNR_DB = (-20.0, 60.0)     # beyond these bounds an estimate says no more than that it is very low or very high
_FAINTEST = 1e-12           # power; below it lies nothing but rounding
_WINDOW = np.hanning(MOMENT).astype(np.float32)


@dataclass(frozen=True)
class Sound:
    """Figures of one recording at a model's sample rate, NaN where one cannot be known.

    level_dbfs: RMS while somebody speaks, of all where nobody does; bandwidth_hertz: 99 % of the power lies below it;
    clipped_share: of the samples as they came, in [0, 1]; speech_share: in [0, 1], NaN without a detector; snr_db:
    estimated, NaN where nobody speaks.
    """

    level_dbfs: float = math.nan
    bandwidth_hertz: float = math.nan
    clipped_share: float = math.nan
    speech_share: float = math.nan
    snr_db: float = math.nan


class SoundMeter:
    """Measures one recording in memory that grows by four bytes for each 32 ms."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._held = np.zeros(0, np.float32)
        self._powers: list[np.ndarray] = []     # mean square of each moment
        self._spectrum = np.zeros(MOMENT // 2 + 1)

    def passing(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Measure blocks of samples, float32 (n,), and hand each on."""
        for block in blocks:
            self._measure(block)
            yield block

    def _measure(self, block: np.ndarray) -> None:
        held = np.concatenate([self._held, block])
        number = len(held) // MOMENT
        self._held = held[number * MOMENT:]
        if number == 0:
            return
        moments = held[:number * MOMENT].reshape(number, MOMENT)
        self._powers.append(np.vecdot(moments, moments) / np.float32(MOMENT))
        self._spectrum += np.square(np.abs(np.fft.rfft(moments * _WINDOW, axis=1))).sum(0)

    def end(self, speech: Sequence[Segment] | None) -> Sound:
        """The figures of a recording that has ended, but for what is clipped.

        speech: where somebody speaks, None where there is no detector.
        """
        if not self._powers:    # shorter than a moment
            self._measure(np.zeros(MOMENT - len(self._held), np.float32))
        powers = np.concatenate(self._powers).astype(np.float64)
        sound = Sound(_level(powers), _bandwidth(self._spectrum, self._rate))
        if speech is None:
            return sound
        speaks = np.zeros(len(powers), bool)
        for segment in speech:
            speaks[round(segment.start * self._rate / MOMENT):round(segment.end * self._rate / MOMENT)] = True
        if not speaks.any():
            return replace(sound, speech_share=0.0)
        return replace(sound, level_dbfs=_level(powers[speaks]), speech_share=float(speaks.mean()),
                       snr_db=estimated_snr(powers, speaks))


def estimated_snr(powers: np.ndarray, speaks: np.ndarray) -> float:
    """The estimated signal-to-noise ratio of a recording, in dB, in [-20, 60].

    Noise is the median power of the moments in which nobody speaks; where they are too few, that of the quietest tenth
    of all. Signal is what the whole recording has beyond it, as `ser_ops.noise.mixing` counts an SNR.

    Args:
        powers: mean square of each moment, (moments,).
        speaks: whether somebody speaks in it, bool (moments,).

    >>> round(estimated_snr(np.array([1.0, 1.0, 1.0, 11.0, 11.0, 11.0]), np.arange(6) >= 3), 2)
    6.99
    """
    pauses = powers[~speaks]
    if len(pauses) < _LEAST_PAUSE:
        pauses = np.sort(powers)[:math.ceil(_QUIETEST * len(powers))]
    noise = max(float(np.median(pauses)), _FAINTEST)
    signal = max(float(powers.mean()) - noise, _FAINTEST)
    return float(np.clip(10 * math.log10(signal / noise), *_SNR_DB))


def _level(powers: np.ndarray) -> float:
    return dbfs(math.sqrt(float(powers.mean())))


def _bandwidth(spectrum: np.ndarray, sample_rate: int) -> float:
    total = np.cumsum(spectrum)
    return float(np.searchsorted(total, _BELOW * total[-1])) * sample_rate / MOMENT
