"""Small changes to a recording that a listener hardly notices, after the model of audEERING's public test suite.

Kinds and values are those of its tests of small changes (docs/method-tests.rst of github.com/audeering/ser-tests:
gain, white noise, crop, high-pass and low-pass, each utterance with one value of a list), and a spectral tilt. Beside
them stand changes that nobody hears at all: an offset, which the door removes, the sign, the level and a detour over
another sample rate.
"""

from collections.abc import Callable

import numpy as np

from ser_ops.audio.low_cut import without_offset
from ser_ops.audio.resampling import resample
from ser_ops.config import Behave
from ser_ops.errors import UserError

Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def changes(settings: Behave) -> dict[str, Change]:
    """Every change by name; each takes samples (n,), their rate in hertz and a generator that draws its value."""
    return {
        "gain": lambda samples, _, draw: gain(samples, _one(settings.gain_db, draw)),
        "white_noise": lambda samples, _, draw: white_noise(samples, _one(settings.noise_snr_db, draw), draw),
        "crop_start": lambda samples, rate, draw: crop(samples, rate, _one(settings.crop_seconds, draw), 0.0),
        "crop_end": lambda samples, rate, draw: crop(samples, rate, 0.0, _one(settings.crop_seconds, draw)),
        "high_pass": lambda samples, rate, draw: passing(samples, rate, _one(settings.high_pass_hertz, draw), "high"),
        "low_pass": lambda samples, rate, draw: passing(samples, rate, _one(settings.low_pass_hertz, draw), "low"),
        "tilt_up": lambda samples, rate, draw: tilt(samples, settings.tilt_db),
        "tilt_down": lambda samples, rate, draw: tilt(samples, -settings.tilt_db),
        "offset": lambda samples, rate, draw: offset(samples, rate, _one(settings.offset, draw)),
        "polarity": lambda samples, *_: -samples,
        "level": lambda samples, _, draw: gain(samples, _one(settings.level_db, draw)),
        "resampling": lambda samples, rate, draw: resampled(samples, rate, round(_one(settings.resampled_hertz, draw)))}


def _one(values: tuple[float, ...], draw: np.random.Generator) -> float:
    return values[int(draw.integers(len(values)))]


def gain(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Samples (n,) louder by so many decibels; beyond full scale they are kept.

    >>> gain(np.array([0.1, -0.1], np.float32), 20.0)
    array([ 1., -1.], dtype=float32)
    """
    return np.asarray(samples * np.float32(10 ** (decibels / 20)), np.float32)


def white_noise(samples: np.ndarray, snr_db: float, draw: np.random.Generator) -> np.ndarray:
    """Samples (n,) with Gaussian white noise at this ratio of RMS in decibels; silence stays silence."""
    rms = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    noise = draw.standard_normal(len(samples)) * rms * 10 ** (-snr_db / 20)
    return (samples + noise).astype(np.float32)


def crop(samples: np.ndarray, sample_rate: int, start: float, end: float) -> np.ndarray:
    """Samples (n,) without so many seconds at the start and at the end; half of them stay at least.

    >>> crop(np.arange(8, dtype=np.float32), 2, 0.5, 1.0)
    array([1., 2., 3., 4., 5.], dtype=float32)
    """
    most = len(samples) // 4
    first, last = (min(round(seconds * sample_rate), most) for seconds in (start, end))
    return np.asarray(samples[first:len(samples) - last], np.float32)


def passing(samples: np.ndarray, sample_rate: int, hertz: float, side: str) -> np.ndarray:
    """Samples (n,) through a Butterworth filter of first order; side: high (passes above `hertz`) or low.

    Raises UserError for a frequency that the rate does not hold.
    """
    if not 0 < hertz < sample_rate / 2:
        raise UserError(f"behave: {hertz:g} Hz is not below half of the {sample_rate} Hz of the recordings: choose "
                        f"{side}_pass_hertz lower")
    from scipy.signal import butter, sosfilt  # here, because it takes half a second to import
    sections = butter(1, hertz, side, output="sos", fs=sample_rate)
    return sosfilt(sections, samples).astype(np.float32)


def offset(samples: np.ndarray, sample_rate: int, value: float) -> np.ndarray:
    """Samples (n,) with a constant added (full scale is 1), as the door gives them."""
    return without_offset(samples + np.float32(value), sample_rate)


def resampled(samples: np.ndarray, sample_rate: int, hertz: int) -> np.ndarray:
    """Samples (n,) brought to another rate (hertz) and back.

    >>> resampled(np.zeros(1600, np.float32), 16000, 44100).shape
    (1600,)
    """
    back = resample(resample(samples, sample_rate, hertz), hertz, sample_rate)
    return np.resize(back, len(samples)) if len(back) > len(samples) else np.pad(back, (0, len(samples) - len(back)))


def tilt(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Samples (n,) whose spectrum rises in a straight line by so many decibels up to half the rate; RMS kept."""
    spectrum = np.fft.rfft(samples)
    tilted = np.fft.irfft(spectrum * 10 ** (np.linspace(0, decibels, len(spectrum)) / 20), len(samples))
    before, after = (np.sqrt(np.mean(np.square(one, dtype=np.float64))) for one in (samples, tilted))
    return (tilted * (before / after if after > 0 else 1.0)).astype(np.float32)
