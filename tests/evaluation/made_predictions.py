"""Predictions of models of a chosen skill, without any model."""

from dataclasses import replace

import numpy as np

from ser_ops.config.evaluation import Evaluate
from ser_ops.evaluation.predictions import CLEAN, Condition, Predictions

CONDITIONS = (CLEAN, *(Condition(noise, intensity, seed) for noise in ("fish_market", "white")
                       for intensity in (0.25, 0.75) for seed in (1, 2, 3)))
SETTINGS = Evaluate(stationary=("white",), intensities=(0.25, 0.75), seeds=(1, 2, 3), transmission=(), resamples=200,
                    voice_clips=(1, 4), coverages=(0.9,), confidence=0.95, bootstrap_seed=7, batch_size=8,
                    speed_utterances=4)


LINES = tuple(Condition(name, seed=1) for name in ("mulaw", "gsm", "room_small"))


def with_lines(predictions, seed=3):
    """The same predictions, and beside them the same clean answers over telephone lines and in a room, some of them
    spoilt.
    """
    rng = np.random.default_rng(seed)
    heard = np.repeat(predictions.probabilities[:, :1], len(LINES), axis=1)
    spoilt = rng.random(heard.shape[:3]) < np.array([0.1, 0.3, 0.5])[:, None]
    heard[spoilt] = np.roll(heard[spoilt], 1, axis=-1)
    return replace(predictions, conditions=(*predictions.conditions, *LINES),
                   probabilities=np.concatenate([predictions.probabilities, heard], axis=1),
                   snr=np.concatenate([predictions.snr, np.full((len(LINES), len(predictions.true)), np.nan)]))


def made(models=("fusion",), skill=0.6, number=70, seed=0):
    """Answers that are right with a probability of `skill` (less in noise)."""
    rng = np.random.default_rng(seed)
    true = np.arange(number) % 7
    probabilities = rng.dirichlet(np.ones(7), (len(models), len(CONDITIONS), number))
    noisy = np.array([0.0 if condition.clean else condition.intensity / 2 for condition in CONDITIONS])
    right = rng.random(probabilities.shape[:3]) < skill - noisy[:, None]
    boost = np.eye(7)[np.where(right, true, rng.integers(0, 7, right.shape))]
    probabilities = ((probabilities + 3 * boost) / 4).round(6)
    snr = np.where(noisy[:, None] > 0, np.random.default_rng(9).uniform(-12, 20, (len(CONDITIONS), number)), np.nan)
    names = tuple(f"corpus/{index:03d}" for index in range(number))
    speakers = tuple(f"corpus/s{index // 14}" for index in range(number))
    return Predictions(tuple(models), names, speakers, true, CONDITIONS, probabilities, snr.round(3))
