"""Longer or shorter without another pitch: whole pitch periods are repeated or left out.

A synchronised overlap-add that splices as seldom as it can. Between two splices the samples are the recording's
own; a splice jumps by a lag at which the recording resembles itself, where it resembles itself best. Against a
phase vocoder that leaves pitch, phase and onsets as they were, at a fifth of the time.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft

FADE = 0.012  # seconds that a splice fades over, and the step between places where one may lie
SHORTEST = 0.003  # seconds; shortest jump, one period at 333 Hz (higher voices jump by several)
SPREAD = 0.013  # seconds between the shortest and the longest jump: one period at 62 Hz is within
SLACK = 0.001  # seconds that the timing may be off beyond half a jump, to wait for a better place
PREFER_SHORT = 0.1  # how much more alike the longest jump must be than the shortest
SEARCH_RATE = 4000  # hertz; likeness is sought below 2 kHz, where voices are periodic


@dataclass(frozen=True)
class Splice:
    """Read up to sample `at`, then go on at `at + jump`."""

    at: int
    jump: int


@dataclass(frozen=True)
class Candidates:
    """One place every fade: where, the likeliest jump there, and how unlike its two sides are; each (k,)."""

    places: np.ndarray
    jumps: np.ndarray
    unlike: np.ndarray


def _runs(values: np.ndarray, width: int) -> np.ndarray:
    """Every run of `width` neighbours of contiguous values (n,) as a view (n - width + 1, width).

    NumPy's sliding_window_view, without what its checks cost three times an utterance.
    """
    return np.ndarray((len(values) - width + 1, width), values.dtype, values, strides=2 * values.strides)


def _candidates(samples: np.ndarray, step: int, fade: int, shortest: int, longest: int, back: bool) -> Candidates:
    """Where `samples` can be spliced, sought on means of `step` samples.

    Unlike is 0 where both sides are equal and 1 where they are unrelated; pauses count as alike.
    """
    coarse = samples[:len(samples) // step * step].reshape(-1, step) @ np.full(step, 1 / step, np.float32)
    width, near, far = fade // step, shortest // step, longest // step
    places = np.arange(far if back else 0, len(coarse) - 2 * width - (0 if back else far) + 1, width)
    if len(places) == 0:
        return Candidates(places, places, places)
    jumps = np.arange(-far, -near + 1) if back else np.arange(near, far + 1)
    here = _runs(coarse, width)[places]
    there = _runs(coarse, width + len(jumps) - 1)[places + jumps[0]]
    size = scipy.fft.next_fast_len(there.shape[1], real=True)
    spectrum = scipy.fft.rfft(there, size) * scipy.fft.rfft(here, size).conj()
    likeness = scipy.fft.irfft(spectrum, size)[:, :len(jumps)]
    sums = np.concatenate([[0.0], np.cumsum(np.square(coarse, dtype=np.float64))])
    energy = (sums[width:] - sums[:-width]).astype(np.float32)
    energies = energy[places, None] + _runs(energy, len(jumps))[places + jumps[0]]
    pause = 1e-4 * float(energy.max()) + 1e-12
    unlike = 1 - 2 * likeness / (energies + pause)
    best = (unlike + PREFER_SHORT * np.abs(jumps) / far).argmin(axis=1)
    return Candidates(places * step, jumps[best] * step, unlike[np.arange(len(places)), best])


def _choose(found: Candidates, rate: float, fade: int, slack: float) -> list[Splice]:
    """The splices to make: each when about half its jump is due, at the best place within the slack.

    `rate` is what falls due with each sample read.
    """
    splices: list[Splice] = []
    jumped, free = 0, 0
    best: tuple[float, int, int] | None = None
    deadline = 0.0
    for place, jump, unlike in zip(found.places.tolist(), found.jumps.tolist(), found.unlike.tolist(), strict=True):
        if best and place * rate - jumped >= deadline:
            _, at, by = best
            splices.append(Splice(at, by))
            jumped += abs(by)
            free = at + fade + max(by, 0)
            best = None
        due = place * rate - jumped
        if place < free or due < abs(jump) / 2 - slack:
            continue
        if best is None:
            best, deadline = (unlike, place, jump), due + 2 * slack
        else:
            best = min(best, (unlike, place, jump))
    return splices


def _render(samples: np.ndarray, splices: list[Splice], fade: int, length: int) -> np.ndarray:
    """The first `length` samples of the recording with its splices, zeros behind its end."""
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)).astype(np.float32)
    made = np.zeros(length, np.float32)
    read = written = 0
    for splice in splices:
        goes, comes = splice.at, splice.at + splice.jump
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


def stretch(samples: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """`samples` (n,) brought to exactly `length` samples; events stay within about 10 ms of their place.

    Returns float32 of shape (length,). Samples between splices are unchanged, so pitch is too. What is
    shorter than two splices (some 40 ms) is cut or zero padded instead.

    >>> stretch(np.zeros(16000, np.float32), 17000, 16000).shape
    (17000,)
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) == length or len(samples) == 0:
        return np.pad(samples, (0, length - len(samples)))
    factor = length / len(samples)
    step = max(1, round(sample_rate / SEARCH_RATE))
    fade = max(1, round(FADE * sample_rate / step)) * step
    # Jumps must keep up with a large factor even when one place after another is used.
    shortest = max(SHORTEST * sample_rate, 2 * fade * abs(factor - 1) / min(1.0, factor))
    found = _candidates(samples, step, fade, int(shortest), int(shortest + SPREAD * sample_rate), factor > 1)
    splices = _choose(found, abs(factor - 1), fade, SLACK * sample_rate)
    missing = length - len(samples) + sum(splice.jump for splice in splices)
    end = len(samples) - fade
    if 0 < missing <= end:
        splices.append(Splice(end, -missing))
    return _render(samples, splices, fade, length)
