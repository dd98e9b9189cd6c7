"""Pitch up or down with the duration kept (paper 1, section III-C, equation 11), and faster or slower.

Pitch: the recording is resampled, and whole pitch periods are repeated or left out until its duration is the old one. A
synchronised overlap-add that splices as seldom as it can: between two splices the samples are the recording's own; a
splice jumps by a lag at which the recording resembles itself, where it resembles itself best. Against a phase vocoder
that leaves pitch, phase and onsets as they were, at a fifth of the time.

Speed: duration and pitch together, as a tape does.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy.fft
import soxr

_DENOMINATOR = 1000  # a ratio of whole numbers is resampled without interpolating the filter, a quarter faster
FADE_SECONDS = 0.012  # that a splice fades over, and the step between candidates
SHORTEST_JUMP_SECONDS = 0.003  # one period at 333 Hz (higher voices jump by several)
JUMP_SPREAD_SECONDS = 0.013  # between the shortest and the longest jump: one period at 62 Hz is within
SLACK_SECONDS = 0.001  # that the timing may be off beyond half a jump, to wait for a better candidate
PREFER_SHORT = 0.1  # how much more alike the longest jump must be than the shortest
SEARCH_RATE = 4000  # hertz; likeness is sought below 2 kHz, where voices are periodic


@dataclass(frozen=True)
class Splice:
    """Read up to sample `position`, then go on at `position + jump`."""

    position: int
    jump: int


@dataclass(frozen=True)
class Candidates:
    """One every fade: its position (samples), the best jump there, and how unlike its two sides are; each (k,)."""

    positions: np.ndarray
    jumps: np.ndarray
    unlike: np.ndarray


def shift_pitch(samples: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """`samples` (n,) with every frequency times 2^(semitones/12), as float32 of the same shape.

    Positive is up: equation 11 as printed, X(f 2^(n/12)), would go down for n = 0.7. The recording is resampled
    to play faster or slower and then brought back to its duration by `stretch_time`. Formants move with the pitch, as
    in the paper. The factor is that of `pitch_ratio`. No random numbers: the same samples give the same answer.

    >>> tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    >>> higher = shift_pitch(tone, 16000, 12)
    >>> higher.shape, int(np.abs(np.fft.rfft(higher)).argmax())
    ((16000,), 400)
    """
    samples = np.ascontiguousarray(samples, np.float32)
    if semitones == 0 or len(samples) == 0:
        return samples.copy()
    factor = pitch_ratio(semitones)
    faster = soxr.resample(samples, factor.numerator, factor.denominator, quality="HQ")
    return stretch_time(faster, len(samples), sample_rate)


def pitch_ratio(semitones: float) -> Fraction:
    """2^(semitones/12) for -12 to 12, to within 0.05 per cent (a hundredth of a semitone) as a ratio of whole numbers.

    >>> pitch_ratio(0.7), f"{float(pitch_ratio(0.7)) / 2 ** (0.7 / 12) - 1:.0e}"
    (Fraction(429, 412), '-2e-08')
    """
    return Fraction(2.0 ** (semitones / 12)).limit_denominator(_DENOMINATOR)


def change_speed(samples: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """Speech of shape (n,) at `factor` times its speed: float32 of about n / factor samples.

    Raises ValueError for a factor that is not positive.

    >>> change_speed(np.zeros(1100, np.float32), 16000, 1.1).shape
    (1000,)
    """
    if factor <= 0:
        raise ValueError(f"speed {factor}: must be above 0")
    return soxr.resample(np.asarray(samples, np.float32), sample_rate * factor, sample_rate,
                         quality="HQ").astype(np.float32, copy=False)


def stretch_time(samples: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """`samples` (n,) brought to exactly `length` samples; events stay within about 10 ms of their time.

    Returns float32 of shape (length,). Samples between splices are unchanged, so pitch is too. What is
    shorter than two splices (some 40 ms) is cut or zero padded instead.

    >>> stretch_time(np.zeros(16000, np.float32), 17000, 16000).shape
    (17000,)
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) == length or len(samples) == 0:
        return np.pad(samples, (0, length - len(samples)))
    factor = length / len(samples)
    step = max(1, round(sample_rate / SEARCH_RATE))
    fade = max(1, round(FADE_SECONDS * sample_rate / step)) * step
    # Jumps must keep up with a large factor even when every candidate is used.
    shortest = max(SHORTEST_JUMP_SECONDS * sample_rate, 2 * fade * abs(factor - 1) / min(1.0, factor))
    longest = shortest + JUMP_SPREAD_SECONDS * sample_rate
    candidates = _candidates(samples, step, fade, int(shortest), int(longest), factor > 1)
    splices = _choose(candidates, abs(factor - 1), fade, SLACK_SECONDS * sample_rate)
    missing = length - len(samples) + sum(splice.jump for splice in splices)
    end = len(samples) - fade
    if 0 < missing <= end:
        splices.append(Splice(end, -missing))
    return _render(samples, splices, fade, length)


def _candidates(samples: np.ndarray, step: int, fade: int, shortest: int, longest: int, back: bool) -> Candidates:
    """Where `samples` can be spliced, sought on means of `step` samples.

    Unlike is 0 where both sides are equal and 1 where they are unrelated; pauses count as alike.
    """
    coarse = samples[:len(samples) // step * step].reshape(-1, step) @ np.full(step, 1 / step, np.float32)
    width, near, far = fade // step, shortest // step, longest // step
    positions = np.arange(far if back else 0, len(coarse) - 2 * width - (0 if back else far) + 1, width)
    if len(positions) == 0:
        return Candidates(positions, positions, positions)
    jumps = np.arange(-far, -near + 1) if back else np.arange(near, far + 1)
    before = _runs(coarse, width)[positions]
    after = _runs(coarse, width + len(jumps) - 1)[positions + jumps[0]]
    size = scipy.fft.next_fast_len(after.shape[1], real=True)
    spectrum = scipy.fft.rfft(after, size) * scipy.fft.rfft(before, size).conj()
    likeness = scipy.fft.irfft(spectrum, size)[:, :len(jumps)]
    sums = np.concatenate([[0.0], np.cumsum(np.square(coarse, dtype=np.float64))])
    energy = (sums[width:] - sums[:-width]).astype(np.float32)
    energies = energy[positions, None] + _runs(energy, len(jumps))[positions + jumps[0]]
    pause = 1e-4 * float(energy.max()) + 1e-12
    unlike = 1 - 2 * likeness / (energies + pause)
    best = (unlike + PREFER_SHORT * np.abs(jumps) / far).argmin(axis=1)
    return Candidates(positions * step, jumps[best] * step, unlike[np.arange(len(positions)), best])


def _runs(values: np.ndarray, width: int) -> np.ndarray:
    """Every run of `width` neighbours of contiguous values (n,) as a view (n - width + 1, width).

    NumPy's sliding_window_view, without what its checks cost three times an utterance.
    """
    return np.ndarray((len(values) - width + 1, width), values.dtype, values, strides=2 * values.strides)


def _choose(candidates: Candidates, rate: float, fade: int, slack: float) -> list[Splice]:
    """The splices to make: each when about half its jump is due, at the best candidate within the slack.

    `rate` is what falls due with each sample read.
    """
    splices: list[Splice] = []
    jumped, free = 0, 0
    best: tuple[float, int, int] | None = None
    deadline = 0.0
    columns = (candidates.positions, candidates.jumps, candidates.unlike)
    for position, jump, unlike in zip(*(column.tolist() for column in columns), strict=True):
        if best and position * rate - jumped >= deadline:
            splice = Splice(*best[1:])
            splices.append(splice)
            jumped += abs(splice.jump)
            free = splice.position + fade + max(splice.jump, 0)
            best = None
        due = position * rate - jumped
        if position < free or due < abs(jump) / 2 - slack:
            continue
        if best is None:
            best, deadline = (unlike, position, jump), due + 2 * slack
        else:
            best = min(best, (unlike, position, jump))
    return splices


def _render(samples: np.ndarray, splices: list[Splice], fade: int, length: int) -> np.ndarray:
    """The first `length` samples of the recording with its splices, zeros behind its end."""
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)).astype(np.float32)
    made = np.zeros(length, np.float32)
    read = written = 0
    for splice in splices:
        goes, comes = splice.position, splice.position + splice.jump
        fades = written + goes - read
        made[written:fades] = samples[read:goes]
        written = fades + fade
        into, left = made[fades:written], samples[goes:goes + fade]
        np.subtract(samples[comes:comes + fade], left, out=into)
        into *= ramp
        into += left
        read = comes + fade
    rest = samples[read:read + length - written]
    made[written:written + len(rest)] = rest
    return made
