"""How a model behaves: do answers survive small changes, how high are the voices, is it as sure as it is right?

After the tests of audEERING's public suite (docs/method-tests.rst of github.com/audeering/ser-tests). Small changes are
those of its lists (gain, white noise, crop, high-pass and low-pass, each utterance with one value of a list) and a
spectral tilt; beside them stand changes that nobody hears: an offset, which reading removes, the sign, the level and a
detour over another sample rate. Groups of people are compared in `ser_ops.evaluation.groups`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops.audio.signal import resample, without_offset
from ser_ops.config.evaluation import Behave
from ser_ops.errors import UserError
from ser_ops.evaluation.metrics import calibration_error
from ser_ops.progress.spreading import progress_bar
from ser_ops.seeds import derive_seed, generator

Answers = Callable[[Sequence[np.ndarray]], np.ndarray]
Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

ALL = "all"     # every change together
QUIET_DB = 20.0     # frames so far below the loudest one are not looked at
FRAME, HOP = 0.064, 0.016   # seconds; a frame holds three periods of 50 Hz


def select_balanced(utterances: Sequence[str], true: np.ndarray, count: int, seed: int) -> list[int]:
    """Indices of at most `count` utterances, sorted, with as equal numbers of each class as there are utterances for.

    utterances: names (n,), by which the choice is drawn; true: class indices (n,).

    >>> select_balanced(["a", "b", "c", "d"], np.array([0, 0, 0, 1]), 2, seed=1)[-1]
    3
    """
    ranks: dict[int, int] = {}
    keys: list[tuple[int, int, int]] = []
    for index in sorted(range(len(utterances)), key=lambda index: derive_seed(seed, "chosen", utterances[index])):
        rank = ranks[int(true[index])] = ranks.get(int(true[index]), -1) + 1
        keys.append((rank, len(keys), index))
    return sorted(index for _, _, index in sorted(keys)[:count])


def small_changes(answers: Answers, waveforms: Mapping[str, np.ndarray], utterances: Sequence[str], sample_rate: int,
                  settings: Behave) -> dict[str, dict[str, Any]]:
    """Share of labels that each small change leaves as they were.

    Args:
        answers: from waveforms, each float32 (samples,), to probabilities (n, 7).
        waveforms: by utterance, at `sample_rate` hertz.
        utterances: those that are changed and asked about.

    Returns:
        {change: {unchanged: share in [0, 1], of: utterances}}, and the same of all changes together first (ALL).
    """
    originals = [np.asarray(waveforms[utterance]) for utterance in utterances]
    before = answers(originals).argmax(1)
    shares: dict[str, dict[str, Any]] = {}
    unchanged = []
    for name, change in progress_bar(change_functions(settings).items(), "small changes", None, "change"):
        after = answers([change(samples, sample_rate, generator(settings.seed, name, utterance))
                         for utterance, samples in zip(utterances, originals, strict=True)]).argmax(1)
        unchanged.append(after == before)
        shares[name] = {"unchanged": float(unchanged[-1].mean()), "of": len(originals)}
    return {ALL: {"unchanged": float(np.mean(unchanged)), "of": int(np.size(unchanged))}, **shares}


def change_functions(settings: Behave) -> dict[str, Change]:
    """Every change by name; each takes samples (n,), their rate in hertz and a generator that draws its value."""
    return {
        "gain": lambda samples, _, draw: gain(samples, _draw(settings.gain_db, draw)),
        "white_noise": lambda samples, _, draw: white_noise(samples, _draw(settings.noise_snr_db, draw), draw),
        "crop_start": lambda samples, rate, draw: crop(samples, rate, _draw(settings.crop_seconds, draw), 0.0),
        "crop_end": lambda samples, rate, draw: crop(samples, rate, 0.0, _draw(settings.crop_seconds, draw)),
        "high_pass": lambda samples, rate, draw:
            first_order_filter(samples, rate, _draw(settings.high_pass_hertz, draw), "high"),
        "low_pass": lambda samples, rate, draw:
            first_order_filter(samples, rate, _draw(settings.low_pass_hertz, draw), "low"),
        "tilt_up": lambda samples, rate, draw: tilt(samples, settings.tilt_db),
        "tilt_down": lambda samples, rate, draw: tilt(samples, -settings.tilt_db),
        "offset": lambda samples, rate, draw: add_offset(samples, rate, _draw(settings.offset, draw)),
        "polarity": lambda samples, *_: -samples,
        "level": lambda samples, _, draw: gain(samples, _draw(settings.level_db, draw)),
        "resampling": lambda samples, rate, draw:
            resample_and_back(samples, rate, round(_draw(settings.resampled_hertz, draw)))}


def _draw(values: tuple[float, ...], generator: np.random.Generator) -> float:
    return values[int(generator.integers(len(values)))]


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


def first_order_filter(samples: np.ndarray, sample_rate: int, hertz: float, side: str) -> np.ndarray:
    """Samples (n,) through a Butterworth filter of first order; side: high (passes above `hertz`) or low.

    Raises UserError for a frequency that the rate does not hold.
    """
    if not 0 < hertz < sample_rate / 2:
        raise UserError(f"behave: {hertz:g} Hz is not below half of the {sample_rate} Hz of the recordings: choose "
                        f"{side}_pass_hertz lower")
    from scipy.signal import butter, sosfilt  # here, because it takes half a second to import
    sections = butter(1, hertz, side, output="sos", fs=sample_rate)
    return sosfilt(sections, samples).astype(np.float32)


def tilt(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Samples (n,) whose spectrum rises in a straight line by so many decibels up to half the rate; RMS kept."""
    spectrum = np.fft.rfft(samples)
    tilted = np.fft.irfft(spectrum * 10 ** (np.linspace(0, decibels, len(spectrum)) / 20), len(samples))
    before, after = (np.sqrt(np.mean(np.square(signal, dtype=np.float64))) for signal in (samples, tilted))
    return (tilted * (before / after if after > 0 else 1.0)).astype(np.float32)


def add_offset(samples: np.ndarray, sample_rate: int, value: float) -> np.ndarray:
    """Samples (n,) with a constant added (full scale is 1), as reading gives them: without the constant again."""
    return without_offset(samples + np.float32(value), sample_rate)


def resample_and_back(samples: np.ndarray, sample_rate: int, hertz: int) -> np.ndarray:
    """Samples (n,) brought to another rate (hertz) and back.

    >>> resample_and_back(np.zeros(1600, np.float32), 16000, 44100).shape
    (1600,)
    """
    back = resample(resample(samples, sample_rate, hertz), hertz, sample_rate)
    return np.resize(back, len(samples)) if len(back) > len(samples) else \
        np.pad(back, (0, len(samples) - len(back)))


def median_pitches(waveforms: Mapping[str, np.ndarray], utterances: Sequence[str], sample_rate: int,
                   settings: Behave) -> np.ndarray:
    """Median pitch in hertz of each utterance (n,), NaN where there is none."""
    pitches = [median_pitch(np.asarray(waveforms[utterance]), sample_rate, *settings.pitch_hertz)
               for utterance in progress_bar(utterances, "pitch", len(utterances))]
    return np.array([np.nan if pitch is None else pitch for pitch in pitches])


def median_pitch(samples: np.ndarray, sample_rate: int, lowest: float, highest: float) -> float | None:
    """Median fundamental frequency in hertz of the loud frames of samples (n,), by YIN (de Cheveigné 2002).

    Unvoiced frames that are loud count too and answer anything: the median bears them as long as most are voiced.
    None for what is silent or shorter than a frame.
    """
    import librosa
    frame, hop = round(FRAME * sample_rate), round(HOP * sample_rate)
    if len(samples) < frame or not np.abs(samples).max() > 0:
        return None
    loudness = librosa.feature.rms(y=samples, frame_length=frame, hop_length=hop)[0]
    pitch = librosa.yin(samples, fmin=lowest, fmax=highest, sr=sample_rate, frame_length=frame, hop_length=hop)
    return float(np.median(pitch[loudness >= loudness.max() * 10 ** (-QUIET_DB / 20)]))


def calibration(validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Calibration error of the test answers as they are and after the temperature that fits the validation answers.

    validation, test: true class indices (n,) and probabilities (n, 7).
    """
    from ser_ops.models.temperature import fit_temperature, tempered  # with torch, which the gate must not wait for
    temperature = fit_temperature(*validation)
    return {"error": calibration_error(*test), "temperature": temperature,
            "error_with_temperature": calibration_error(test[0], tempered(test[1], temperature)),
            "validation_utterances": len(validation[0])}
