"""Answers to speakers of a chosen skill, without any model."""

from typing import Any

import numpy as np

from ser_ops.config.params import load_params

SETTINGS = load_params().behave


def simulated(women: int, men: int, effect: float = 0.0, spread: float = 0.1, base: float = 0.65, repeats: int = 8,
              corpus: str = "a", seed: int = 0, prefix: str = "speaker",
              sexes: tuple[str, str] = ("female", "male")) -> dict[str, Any]:
    """What `compare_by_group` asks for: each speaker says each emotion `repeats` times.

    base: share of a woman's answers that are right; effect: how much less of a man's; spread: by how much people
    deviate from that, whatever their sex.
    """
    draw = np.random.default_rng([seed, women, men])
    number = women + men
    speaker = np.repeat(np.arange(number), 7 * repeats)
    male = np.arange(number) >= women
    skill = np.clip(base - effect * male + draw.normal(0, spread, number), 0, 1)
    names = np.array([f"{corpus}/{prefix}{index:02d}" for index in range(number)])
    return {"true": np.tile(np.repeat(np.arange(7), repeats), number),
            "right": draw.random(len(speaker)) < skill[speaker],
            "corpora": np.full(len(speaker), corpus), "speakers": names[speaker],
            "sexes": np.where(male[speaker], sexes[1], sexes[0]),
            "pitch": draw.normal(np.where(male, 120.0, 210.0), 15.0)[speaker]}


def number_of_speaker(speech: dict[str, Any]) -> np.ndarray:
    """The number in each utterance's speaker's name."""
    return np.array([int(name[-2:]) for name in speech["speakers"]])
