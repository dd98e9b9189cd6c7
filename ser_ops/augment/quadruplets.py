"""The variants of an utterance: original, noisy, pitched, pitched and noisy (paper 1, section III-C).

Beside the paper's four: slow, fast and in a room, each also noisy; over the telephone, and noisy over the telephone.
The words of a name stand in the order in which things happen: a noise goes through the telephone with the voice, but
lies close to the microphone of a room. Validation utterances get noisy copies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ser_ops.augment.pitch import change_speed, shift_pitch
from ser_ops.config.data import Augment
from ser_ops.errors import UserError
from ser_ops.noise.mixing import NOISE_COLOURS, Mixer
from ser_ops.seeds import derive_seed, generator
from ser_ops.transmission.conditions import ROOMS, TELEPHONE, transmit

TRAINING, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Surroundings:
    """What noise is in a variant, and over which transmission it is heard.

    noise_recording, noise_category, intensity, snr_db: id, category, intensity and the SNR in dB of the mixture, before
    a telephone takes its part away; "" and None where there is none, and no recording of stationary noise.
    transmission: a condition of `ser_ops.transmission`, or "".
    """

    noise_recording: str = ""
    noise_category: str = ""
    intensity: float | None = None
    snr_db: float | None = None
    transmission: str = ""


class Heard(NamedTuple):
    """Samples, float32 (n,), and what is around the voice in them."""

    samples: np.ndarray
    around: Surroundings


class Variant(NamedTuple):
    """Its name, its samples (float32, as long as the original but for slow and fast), and what is around the voice."""

    name: str
    samples: np.ndarray
    around: Surroundings


def make_variants(utterance: str, samples: np.ndarray, settings: Augment, mixer: Mixer) -> Iterator[Variant]:
    """The variants that `settings` names, of speech (n,) at the mixer's rate, in that order.

    Noise is drawn from the training partition alone, uniformly over `training_noises`; the intensity is
    a ~ U(low, high) of `settings.intensity` (equation 10). A telephone is drawn uniformly over its conditions, and so
    is a room. Depends on the seed, the utterance's id and its samples, on nothing else.
    """
    noises = training_noises(settings, mixer)
    voices: dict[str, Heard] = {}
    for variant in settings.variants:
        words = variant.split("_")
        voice = words[0]
        if voice not in voices:
            voices[voice] = _voice(utterance, samples, voice, settings, mixer.sample_rate)
        heard = voices[voice]
        if "noisy" in words:
            heard = _in_noise(utterance, heard, variant, noises, settings.seed, TRAINING, settings, mixer)
        if "telephone" in words:
            heard = _transmitted(utterance, heard, variant, TELEPHONE, settings, mixer.sample_rate)
        yield Variant(variant, *heard)


def make_validation_copies(utterance: str, samples: np.ndarray, settings: Augment, mixer: Mixer) -> Iterator[Variant]:
    """Speech (n,) of a validation utterance in noise, once for each name of `copy_names`.

    Noise is drawn as for training, but from recordings of the validation partition alone, and by a seed of its own, so
    that stationary noise is no noise of training either. Nothing where that partition has no recording.
    """
    if not mixer.categories(VALIDATION):
        return
    noises, seed = noise_kinds(VALIDATION, settings, mixer), derive_seed(settings.seed, VALIDATION)
    spoken = Heard(samples, Surroundings())
    for copy in copy_names(settings):
        yield Variant(copy, *_in_noise(utterance, spoken, copy, noises, seed, VALIDATION, settings, mixer))


def copy_names(settings: Augment) -> tuple[str, ...]:
    """The variants of a validation utterance beside the original: noisy_1, noisy_2, ..."""
    return tuple(f"noisy_{number}" for number in range(1, settings.validation_copies + 1))


def _voice(utterance: str, samples: np.ndarray, voice: str, settings: Augment, sample_rate: int) -> Heard:
    spoken = Heard(samples, Surroundings())
    match voice:
        case "pitched":
            return spoken._replace(samples=shift_pitch(samples, sample_rate, settings.semitones))
        case "slow" | "fast":
            return spoken._replace(samples=change_speed(samples, sample_rate, speed_factor(voice, settings)))
        case "room":
            return _transmitted(utterance, spoken, voice, ROOMS, settings, sample_rate)
    return spoken


def _in_noise(utterance: str, heard: Heard, variant: str, noises: Sequence[str], seed: int, partition: str,
              settings: Augment, mixer: Mixer) -> Heard:
    """What is heard, in noise of one kind of `noises`, at an intensity a ~ U(low, high) of `settings.intensity`."""
    draw = generator(seed, utterance, variant)
    noise = noises[int(draw.integers(len(noises)))]
    # Rounded before it is used, so that the record says exactly what was mixed.
    intensity = round(float(draw.uniform(*settings.intensity)), 6)
    mixture = mixer(f"{utterance}#{variant}", heard.samples, noise, intensity, seed, partition)
    return Heard(mixture.samples, replace(
        heard.around, noise_recording=mixture.recording, noise_category=mixture.noise, intensity=mixture.intensity,
        snr_db=round(mixture.snr_db, 4)))


def _transmitted(utterance: str, heard: Heard, variant: str, conditions: tuple[str, ...], settings: Augment,
                 sample_rate: int) -> Heard:
    draw = generator(settings.seed, utterance, variant, "transmission")
    condition = conditions[int(draw.integers(len(conditions)))]
    samples = transmit(heard.samples, condition, sample_rate, settings.seed, utterance, variant)
    return Heard(samples, replace(heard.around, transmission=condition))


def training_noises(settings: Augment, mixer: Mixer) -> tuple[str, ...]:
    """What training may draw from: categories with training recordings, and the stationary kinds if so set.

    Raises UserError when a variant needs noise and there is none.
    """
    names = noise_kinds(TRAINING, settings, mixer)
    if not names and any("noisy" in variant for variant in settings.variants):
        raise UserError("augment.variants: no noise recordings for training: add some with `ser-ops noise add`, or "
                        "leave every variant with noisy in its name out")
    return names


def noise_kinds(partition: str, settings: Augment, mixer: Mixer) -> tuple[str, ...]:
    """Categories with recordings in this partition, and the stationary kinds where training hears them."""
    return mixer.categories(partition) + (tuple(NOISE_COLOURS) if settings.stationary else ())


def speed_factor(variant: str, settings: Augment) -> float:
    """How many times as fast as the original a variant is: what its duration is divided by."""
    return {"slow": 1 - settings.speed, "fast": 1 + settings.speed}.get(variant.removesuffix("_noisy"), 1.0)
