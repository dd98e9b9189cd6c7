"""The noise grid (table V of paper 1) and predictions.csv: what each model answers to each utterance in each condition.

The grid is every kind of noise at every intensity with every seed; a cell of it is one noise at one intensity.
Telephone lines and rooms stand beside the grid: no figure of the grid counts them.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from ser_ops.config.evaluation import Evaluate
from ser_ops.config.section import Call, Room
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.manifest import NoiseRow

DIGITS = 6  # of a probability: figures are computed from what predictions.csv holds, to the last digit
TRANSMISSIONS: dict[str, tuple[str, ...]] = {"telephone": get_args(Call), "rooms": get_args(Room)}     # by kind
PREDICTION_FIELDS: tuple[str, ...] = ("model", "utterance", "speaker", "noise", "intensity", "seed", "emotion",
                                      "predicted", *(f"p_{emotion}" for emotion in EMOTIONS), "snr_db")
_WITHOUT_SPEAKERS = tuple(name for name in PREDICTION_FIELDS if name != "speaker")


@dataclass(frozen=True, order=True)
class Condition:
    """One listening condition: clean, a noise at an intensity (ratio of peaks) with the seed of its crops, or clean
    speech over a telephone line or in a room, of that name, with the seed of packets and rooms.

    >>> Condition("fish_market", 0.5, 1).cell, Condition("gsm", seed=1).cell
    ('fish_market@0.50', 'gsm')
    """

    noise: str = "clean"
    intensity: float = 0.0
    seed: int | None = None

    @property
    def clean(self) -> bool:
        """Whether the utterance is heard as it was recorded."""
        return self.noise == "clean"

    @property
    def transmitted(self) -> bool:
        """Whether it is heard over a telephone line or in a room; no noise is added."""
        return any(self.noise in names for names in TRANSMISSIONS.values())

    @property
    def cell(self) -> str:
        """Name of the cell, the same for every seed: of the grid, or of the transmission."""
        return self.noise if self.transmitted else f"{self.noise}@{intensity_name(self.intensity)}"


CLEAN = Condition()


def intensity_name(intensity: float) -> str:
    """An intensity with two decimals, or all that it needs.

    >>> intensity_name(0.5), intensity_name(0.125)
    ('0.50', '0.125')
    """
    short = f"{intensity:.2f}"
    return short if float(short) == intensity else repr(intensity)


@dataclass(frozen=True)
class Predictions:
    """Probabilities of some models for the same utterances under the same conditions.

    speakers: of each utterance, '' where it is not known; true: class indices (utterances,); probabilities: (models,
    conditions, utterances, 7), float64, rounded to six digits; snr: signal-to-noise ratio in dB of each mixture,
    (conditions, utterances), NaN where there is no noise.
    """

    models: tuple[str, ...]
    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    true: np.ndarray
    conditions: tuple[Condition, ...]
    probabilities: np.ndarray
    snr: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """Class indices (models, conditions, utterances); of equal probabilities the first class."""
        return self.probabilities.argmax(-1)

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right, bool (models, conditions, utterances)."""
        return self.predicted == self.true

    def of(self, *models: str) -> "Predictions":
        """The same with these models alone, in this order."""
        indices = [self.models.index(model) for model in models]
        return replace(self, models=models, probabilities=self.probabilities[indices])

    def noisy_indices(self, cell: str | None = None) -> list[int]:
        """Indices of the conditions of one cell of the grid, one for each seed; without a cell, of the whole grid."""
        return [index for index, condition in enumerate(self.conditions)
                if not condition.clean and not condition.transmitted and cell in (None, condition.cell)]

    def transmitted_indices(self, kind: str | None = None) -> list[int]:
        """Indices of the telephone lines and rooms; with a kind of `TRANSMISSIONS`, of its own alone."""
        return [index for index, condition in enumerate(self.conditions)
                if condition.transmitted and (kind is None or condition.noise in TRANSMISSIONS[kind])]

    @property
    def cells(self) -> list[str]:
        """The cells of the grid, in its order."""
        return list(dict.fromkeys(self.conditions[index].cell for index in self.noisy_indices()))

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The rows of predictions.csv, in the order of FIELDS; clean rows have intensity 0, no seed and no SNR.

        Rows of a telephone line or a room have its name in place of a noise, intensity 0 and no SNR.
        """
        predicted = self.predicted
        for m, model in enumerate(self.models):
            for c, condition in enumerate(self.conditions):
                columns = (condition.noise, f"{condition.intensity:g}",
                           "" if condition.seed is None else str(condition.seed))
                for u, utterance in enumerate(self.utterances):
                    snr = self.snr[c, u]
                    yield (model, utterance, self.speakers[u], *columns, EMOTIONS[self.true[u]],
                           EMOTIONS[predicted[m, c, u]],
                           *(f"{value:.{DIGITS}f}" for value in self.probabilities[m, c, u].tolist()),
                           f"{snr:.3f}" if math.isfinite(snr) else "")

    def write(self, path: Path) -> None:
        """Write predictions.csv, whole or not at all."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(PREDICTION_FIELDS)
            writer.writerows(self.rows())


def read_predictions(path: Path, model: str) -> Predictions:
    """One model's predictions from predictions.csv.

    A table that was written before it had the column speaker is read too: a registered version may carry one.
    Raises UserError when the file is missing, is no such table, or lacks the model or some of its rows.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) not in (PREDICTION_FIELDS, _WITHOUT_SPEAKERS):
                raise UserError(f"{path}: is not a table of predictions: run the stage evaluate again")
            rows = [row for row in reader if row["model"] == model]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): run the stage evaluate") from error
    if not rows:
        raise UserError(f"{path}: holds no predictions of {model!r}: run the stage evaluate again")
    try:
        return _from_rows(rows, model)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: the predictions of {model!r} are incomplete or damaged ({error}): run the stage "
                        "evaluate again") from error


def _condition(row: dict[str, str]) -> Condition:
    return Condition(row["noise"], float(row["intensity"]), int(row["seed"]) if row["seed"] else None)


def _from_rows(rows: Sequence[dict[str, str]], model: str) -> Predictions:
    conditions = {condition: index for index, condition in enumerate(dict.fromkeys(map(_condition, rows)))}
    utterances = {name: index for index, name in enumerate(dict.fromkeys(row["utterance"] for row in rows))}
    if len(rows) != len(conditions) * len(utterances):
        raise ValueError(f"{len(rows)} rows for {len(utterances)} utterances under {len(conditions)} conditions")
    true, speakers = np.zeros(len(utterances), np.int64), [""] * len(utterances)
    probabilities = np.full((1, len(conditions), len(utterances), len(EMOTIONS)), np.nan)
    snr = np.full((len(conditions), len(utterances)), np.nan)
    for row in rows:
        c, u = conditions[_condition(row)], utterances[row["utterance"]]
        speakers[u] = row.get("speaker", "")
        true[u] = EMOTIONS.index(row["emotion"])
        probabilities[0, c, u] = [float(row[f"p_{emotion}"]) for emotion in EMOTIONS]
        snr[c, u] = float(row["snr_db"] or "nan")
    if np.isnan(probabilities).any():
        raise ValueError("an utterance is missing under some condition")
    return Predictions((model,), tuple(utterances), tuple(speakers), true, tuple(conditions), probabilities, snr)


def noise_categories(noise_rows: Sequence[NoiseRow]) -> tuple[list[str], list[str]]:
    """Noise categories with a recording in the test partition, and those without, both sorted."""
    every = {row.category for row in noise_rows}
    tested = {row.category for row in noise_rows if row.partition == "test"}
    return sorted(tested), sorted(every - tested)


def noise_grid(noise_rows: Sequence[NoiseRow], settings: Evaluate) -> list[Condition]:
    """Every noisy condition: categories with test recordings, then the stationary kinds, by intensity and seed.

    Raises UserError for a category whose name means something else here, and when there is no condition at all.
    """
    recorded, _ = noise_categories(noise_rows)
    if not (recorded or settings.stationary) or not settings.intensities:
        raise UserError("evaluate: there is no noise: bring recordings in with `ser-ops noise add`, or name "
                        "evaluate.stationary and evaluate.intensities")
    for name in recorded:
        if name == CLEAN.noise or name in ("white", "pink", "brown") or Condition(name).transmitted:
            raise UserError(f"noise category {name!r}: that name is taken: rename its folder")
    return [Condition(noise, intensity, seed) for noise in [*recorded, *settings.stationary]
            for intensity in settings.intensities for seed in settings.seeds]


def transmission_conditions(settings: Evaluate) -> list[Condition]:
    """The telephone lines and rooms to evaluate, each once: the utterances are many draws of packets and rooms."""
    return [Condition(name, seed=settings.seeds[0]) for name in settings.transmission]
