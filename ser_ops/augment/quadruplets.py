"""The variants of an utterance: original, noisy, pitched, pitched and noisy (paper 1, section III-C).

Beside the paper's four: slow and fast, each also noisy; and noisy copies of validation utterances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ser_ops.augment.pitch import change_speed, shift_pitch
from ser_ops.config.data import Augment
from ser_ops.errors import UserError
from ser_ops.noise.mixing import NOISE_COLOURS, Mixer, Mixture
from ser_ops.seeds import derive_seed, generator

TRAINING, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class AddedNoise:
    """The noise in a variant: id of the recording, category, intensity, and the SNR that resulted in dB.

    "" and None where there is none; the recording is "" for stationary noise too.
    """

    noise_recording: str = ""
    noise_category: str = ""
    intensity: float | None = None
    snr_db: float | None = None


class Variant(NamedTuple):
    """Its name, its samples (float32, as long as the original but for slow and fast), what noise is in it."""

    name: str
    samples: np.ndarray
    added: AddedNoise


def make_variants(utterance: str, samples: np.ndarray, settings: Augment, mixer: Mixer) -> Iterator[Variant]:
    """The variants that `settings` names, of speech (n,) at the mixer's rate, in that order.

    Noise is drawn from the training partition alone, uniformly over `training_noises`; the intensity is
    a ~ U(low, high) of `settings.intensity` (equation 10). Depends on the seed, the utterance's id and its samples, on
    nothing else.
    """
    names = training_noises(settings, mixer)
    voices: dict[str, np.ndarray] = {}
    for variant in settings.variants:
        voice = variant.removesuffix("noisy").removesuffix("_")
        if voice not in voices:
            voices[voice] = _voice(samples, voice, settings, mixer.sample_rate)
        speech = voices[voice]
        if not variant.endswith("noisy"):
            yield Variant(variant, speech, AddedNoise())
            continue
        yield _in_noise(utterance, variant, speech, names, settings.seed, TRAINING, settings, mixer)


def make_validation_copies(utterance: str, samples: np.ndarray, settings: Augment, mixer: Mixer) -> Iterator[Variant]:
    """Speech (n,) of a validation utterance in noise, once for each name of `copy_names`.

    Noise is drawn as for training, but from recordings of the validation partition alone, and by a seed of its own, so
    that stationary noise is no noise of training either. Nothing where that partition has no recording.
    """
    if not mixer.categories(VALIDATION):
        return
    names, seed = noise_kinds(VALIDATION, settings, mixer), derive_seed(settings.seed, VALIDATION)
    for copy in copy_names(settings):
        yield _in_noise(utterance, copy, samples, names, seed, VALIDATION, settings, mixer)


def copy_names(settings: Augment) -> tuple[str, ...]:
    """The variants of a validation utterance beside the original: noisy_1, noisy_2, ..."""
    return tuple(f"noisy_{number}" for number in range(1, settings.validation_copies + 1))


def _in_noise(utterance: str, variant: str, speech: np.ndarray, names: Sequence[str], seed: int, partition: str,
              settings: Augment, mixer: Mixer) -> Variant:
    """Speech in noise of one of the kinds `names`, at an intensity a ~ U(low, high) of `settings.intensity`."""
    draw = generator(seed, utterance, variant)
    noise = names[int(draw.integers(len(names)))]
    # Rounded before it is used, so that the record says exactly what was mixed.
    intensity = round(float(draw.uniform(*settings.intensity)), 6)
    mixture = mixer(f"{utterance}#{variant}", speech, noise, intensity, seed, partition)
    return Variant(variant, mixture.samples, _added(mixture))


def _voice(samples: np.ndarray, voice: str, settings: Augment, sample_rate: int) -> np.ndarray:
    match voice:
        case "pitched":
            return shift_pitch(samples, sample_rate, settings.semitones)
        case "slow" | "fast":
            return change_speed(samples, sample_rate, speed_factor(voice, settings))
    return samples


def _added(mixture: Mixture) -> AddedNoise:
    return AddedNoise(mixture.recording, mixture.noise, mixture.intensity, round(mixture.snr_db, 4))


def training_noises(settings: Augment, mixer: Mixer) -> tuple[str, ...]:
    """What training may draw from: categories with training recordings, and the stationary kinds if so set.

    Raises UserError when a variant needs noise and there is none.
    """
    names = noise_kinds(TRAINING, settings, mixer)
    if not names and any("noisy" in variant for variant in settings.variants):
        raise UserError("augment.variants: no noise recordings for training: add some with `ser-ops noise add`, or "
                        "leave noisy and pitched_noisy out")
    return names


def noise_kinds(partition: str, settings: Augment, mixer: Mixer) -> tuple[str, ...]:
    """Categories with recordings in this partition, and the stationary kinds where training hears them."""
    return mixer.categories(partition) + (tuple(NOISE_COLOURS) if settings.stationary else ())


def speed_factor(variant: str, settings: Augment) -> float:
    """How many times as fast as the original a variant is: what its duration is divided by."""
    return {"slow": 1 - settings.speed, "fast": 1 + settings.speed}.get(variant.removesuffix("_noisy"), 1.0)
