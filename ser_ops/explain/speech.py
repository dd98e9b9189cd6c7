"""Where in a window speech is, by its energy, and how much of an attribution falls there."""

import numpy as np

from ser_ops import config
from ser_ops.explain.trace import Trace

_SILENT = 1e-12     # mean square below which nothing sounds (-120 dBFS)


def speech_of(clean: np.ndarray, sample_rate: int, settings: config.Speech) -> np.ndarray:
    """Stretches of speech in a window without noise, (N,) at `sample_rate`: float64 (k, 2), start and end in seconds.

    Speech begins where the mean square of a frame comes within `settings.start_db` of the loudest frame's, and lasts
    until it falls below `settings.stop_db` for longer than `settings.hangover` seconds (hysteresis: a word's quiet end
    is still speech, a rustle between words is none). Rising, without overlap, within the window; (0, 2) for silence.
    It takes whatever is loud for speech: give it a recording without noise.
    """
    frame, hop = max(1, round(settings.frame * sample_rate)), max(1, round(settings.hop * sample_rate))
    starts = np.arange(0, max(1, len(clean) - frame + 1), hop)
    sums = np.concatenate([[0.0], np.cumsum(np.square(clean, dtype=np.float64))])
    ends = np.minimum(starts + frame, len(clean))
    power = (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
    loudest = power.max(initial=0.0)
    if loudest <= _SILENT:
        return np.zeros((0, 2))
    level = 10 * np.log10(np.maximum(power, _SILENT * 1e-6) / loudest)
    inside = _hysteresis(level, settings.start_db, settings.stop_db)
    return _joined(np.stack([starts, ends], 1)[inside] / sample_rate, settings.hangover)


def _hysteresis(level: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Frames of runs that stay at or above `stop` and reach `start` somewhere: bool (frames,)."""
    loud = level >= stop
    run = np.cumsum(np.diff(loud, prepend=False) & loud)    # number of the run that a loud frame belongs to
    return loud & np.isin(run, run[level >= start])


def _joined(frames: np.ndarray, gap: float) -> np.ndarray:
    """Stretches (k, 2) from frames (n, 2), rising, where no more than `gap` seconds lie between."""
    if not len(frames):
        return np.zeros((0, 2))
    breaks = np.flatnonzero(frames[1:, 0] - frames[:-1, 1] > gap)
    return np.stack([frames[np.append(0, breaks + 1), 0], frames[np.append(breaks, len(frames) - 1), 1]], 1)


def covers(stretches: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Which moments (t,) lie in one of the stretches (k, 2): bool (t,).

    >>> covers(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([0.5, 1.5, 2.5])).tolist()
    [True, False, True]
    """
    inside = (seconds[:, None] >= stretches[:, 0]) & (seconds[:, None] < stretches[:, 1])
    return np.asarray(inside.any(axis=1))


def share_of_time(stretches: np.ndarray, seconds: float) -> float:
    """Share of a window of `seconds`, padding included, that the stretches take: 0 to 1."""
    return float((stretches[:, 1] - stretches[:, 0]).sum() / seconds)


def share_inside(trace: Trace, stretches: np.ndarray, seconds: float, step: float) -> float | None:
    """Share of a trace's positive values that lies in the stretches, over a window of `seconds`, padding included.

    The trace is read every `step` seconds. A trace that knows nothing of speech has the share of time. None where no
    value is positive.
    """
    moments = (np.arange(max(1, round(seconds / step))) + 0.5) * step
    positive = np.maximum(trace.over(moments), 0)
    total = positive.sum()
    return float(positive[covers(stretches, moments)].sum() / total) if total > 0 else None
