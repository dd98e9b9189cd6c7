"""Samples as they are: their rate, the window that a model sees, levels, and what lies below speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

_FULL = 0.999               # of full scale: from here on a sample counts as clipped
LOW_CUT_HERTZ = 40.0        # 3 dB less; the lowest voices speak above 60 Hz, where 0.2 dB are lost
# A mean taken twice over T seconds passes sinc(f T)^2 of a frequency f; what is left of it is 3 dB less at f T = 0.58.
_SECONDS = 0.58 / LOW_CUT_HERTZ
_GRID_HERTZ = 2000          # the mean is known at so many moments a second at least, with a line between them
_LEAST_SECONDS = 8.0        # shorter recordings are filtered as a whole, at their end


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Resample float32 samples of shape (n,) from `source` to `target` hertz (soxr, high quality).

    >>> resample(np.zeros(48000, np.float32), 48000, 16000).shape
    (16000,)
    """
    if source == target:
        return samples
    return soxr.resample(samples, source, target, quality="HQ").astype(np.float32, copy=False)


def fit_window(samples: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """The middle `length` samples, zero padded at the end when there are fewer.

    Returns float32 of shape (length,) and the number of samples that are not padding.

    >>> fit_window(np.arange(5, dtype=np.float32), 3)
    (array([1., 2., 3.], dtype=float32), 3)
    >>> fit_window(np.ones(2, np.float32), 3)
    (array([1., 1., 0.], dtype=float32), 2)
    """
    if len(samples) >= length:
        start = (len(samples) - length) // 2
        return np.asarray(samples[start:start + length], np.float32), length
    return np.pad(np.asarray(samples, np.float32), (0, length - len(samples))), len(samples)


def fit_windows(items: Sequence[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """`fit_window` of each: windows, float32 (n, length), and their samples that are not padding, int64 (n,).

    >>> fit_windows([np.arange(5), np.ones(2)], 3)[1]
    array([3, 2])
    """
    windows, valid = np.empty((len(items), length), np.float32), np.zeros(len(items), np.int64)
    if length == 0:
        return windows, valid
    for index, samples in enumerate(items):
        start, own = max(0, (len(samples) - length) // 2), min(len(samples), length)
        windows[index, :own] = samples[start:start + own]
        windows[index, own:] = 0.0
        valid[index] = own
    return windows, valid


def window_spans(total: int, length: int, hop: int) -> list[tuple[int, int]]:
    """Start and end (samples) of the windows over a recording: every `hop`, the last one ends at its end.

    A recording no longer than one window has one.

    >>> window_spans(10, 4, 3)
    [(0, 4), (3, 7), (6, 10)]
    >>> window_spans(9, 4, 3)
    [(0, 4), (3, 7), (5, 9)]
    >>> window_spans(3, 4, 3)
    [(0, 3)]
    """
    if total <= length:
        return [(0, total)]
    starts = list(range(0, total - length + 1, hop))
    if starts[-1] + length < total:
        starts.append(total - length)
    return [(start, start + length) for start in starts]


@dataclass(frozen=True)
class Levels:
    """Peak and RMS in dB relative to full scale; silent_share in [0, 1]."""

    peak_dbfs: float
    rms_dbfs: float
    silent_share: float


def dbfs(amplitude: float) -> float:
    """Amplitude (1.0 is full scale) in dB, floored at -120.

    >>> round(dbfs(0.5), 2)
    -6.02
    """
    return float(20 * np.log10(max(amplitude, 1e-6)))


def measure_levels(samples: np.ndarray, sample_rate: int, silence_dbfs: float) -> Levels:
    """Levels of float samples of shape (n,); silence counts 25 ms frames whose RMS is below `silence_dbfs`."""
    if len(samples) == 0:
        return Levels(-120.0, -120.0, 1.0)
    frame = max(1, int(0.025 * sample_rate))
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame).astype(np.float64, copy=False)
    squares = np.vecdot(padded, padded)
    return Levels(
        peak_dbfs=dbfs(float(max(samples.max(), -samples.min()))),
        rms_dbfs=dbfs(float(np.sqrt(squares.sum() / len(samples)))),
        silent_share=float(np.mean(np.sqrt(squares / frame) < 10 ** (silence_dbfs / 20))),
    )


def clipped_samples(samples: np.ndarray) -> int:
    """How many of float samples (n,) are clipped: at full scale, beside another of the same value.

    One lone peak at full scale is none.

    >>> clipped_samples(np.array([0.0, 1.0, 1.0, 0.0, 1.0]))
    1
    """
    if len(samples) < 2 or max(samples.max(), -samples.min()) < _FULL:
        return 0
    return int(((np.abs(samples[1:]) >= _FULL) & (samples[1:] == samples[:-1])).sum())


class LowCut:
    """Takes from each sample the mean around it, block by block; what is given back lags by some samples.

    A local mean taken twice over 14.5 ms (a triangular window of 29 ms), the recording turned about both of its ends:
    linear in phase, no ringing, an offset is gone from the first sample on. 12 dB less at 20 Hz, 0.2 dB at 60 Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._step = max(1, sample_rate // _GRID_HERTZ)     # samples of one cell of the grid
        self._span = 2 * round((_SECONDS * sample_rate / self._step - 1) / 2) + 1   # cells that one mean is taken over
        ramp = np.arange(self._step, dtype=np.float32) / self._step
        self._line = np.stack([1 - ramp, ramp])     # of the values at both edges of a cell, at each of its samples
        self._least = round(_LEAST_SECONDS * sample_rate)
        self._held = np.zeros(0, np.float32)
        self._before = 0        # samples of `_held` that were given back and are context alone

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Take float32 samples (n,); give back those before them whose surroundings are known."""
        self._held = np.concatenate([self._held, block]) if len(self._held) else block
        if len(self._held) < self._least:
            return np.zeros(0, np.float32)
        cells = len(self._held) // self._step
        ready = (cells - self._span) * self._step
        if ready <= self._before:
            return np.zeros(0, np.float32)
        cut = self._without_trend(self._held[:cells * self._step])[self._before:ready]
        drop = max(0, ready - self._span * self._step)
        self._held, self._before = self._held[drop:], ready - drop
        return cut

    def end(self) -> np.ndarray:
        """What is left when the recording has ended."""
        return self._without_trend(self._held)[self._before:]

    def _without_trend(self, samples: np.ndarray) -> np.ndarray:
        """Float32 samples (n,) less the mean around each: known on the grid, lines in between."""
        if not len(samples):
            return samples
        cells, rest = divmod(len(samples), self._step)
        even = np.full(self._step, 1 / self._step, np.float32)
        means = samples[:cells * self._step].reshape(cells, self._step) @ even
        if rest:
            means = np.append(means, samples[-rest:].mean(dtype=np.float32))
        means = _local_mean(_local_mean(means, self._span), self._span)
        edges = np.empty((len(means), 2), np.float32)
        edges[0, 0], edges[-1, 1] = means[0], means[-1]
        edges[1:, 0] = edges[:-1, 1] = (means[:-1] + means[1:]) * np.float32(0.5)
        trend = (edges @ self._line).reshape(-1)[:len(samples)]
        return np.subtract(samples, trend, out=trend)


def without_offset(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Float32 samples (n,) at `sample_rate` hertz through `LowCut`, as a whole.

    >>> float(np.abs(without_offset(np.full(500, 0.3, np.float32), 16000)).max()) < 1e-6
    True
    """
    cut = LowCut(sample_rate)
    return np.concatenate([cut(np.asarray(samples, np.float32)), cut.end()])


def _local_mean(values: np.ndarray, span: int) -> np.ndarray:
    """Mean of float32 values (n,) over `span` of them (odd) around each; at the ends they go on as they came.

    >>> _local_mean(np.array([0.0, 3.0, 6.0], np.float32), 3)
    array([0., 3., 6.], dtype=float32)
    """
    half = min(span // 2, len(values) - 1)
    if half == 0:
        return values
    before, after = 2 * values[0] - values[half:0:-1], 2 * values[-1] - values[-2:-2 - half:-1]
    return _sums(np.concatenate([before, values, after]), 2 * half + 1) / np.float32(2 * half + 1)


def _sums(values: np.ndarray, number: int) -> np.ndarray:
    """Sums of `number` neighbours of values (n,): (n - number + 1,), by doubling.

    >>> _sums(np.array([1.0, 2.0, 3.0, 4.0]), 3)
    array([6., 9.])
    """
    if number == 1:
        return values
    half = number // 2
    sums = _sums(values, half)
    pairs = sums[:-half] + sums[half:]
    return pairs if number % 2 == 0 else pairs[:-1] + values[number - 1:]
