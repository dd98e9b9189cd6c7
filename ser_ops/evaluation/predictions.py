"""What every model said of every test utterance, clean and in every cell of the noise grid.

In which noises models are tried: every kind at every intensity with every seed (table V of paper 1).
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ser_ops.config import Evaluate
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing

DIGITS = 6  # of a probability: figures are computed from what predictions.csv holds, to the last digit
FIELDS: tuple[str, ...] = ("model", "utterance", "noise", "intensity", "seed", "emotion", "predicted",
                           *(f"p_{emotion}" for emotion in EMOTIONS), "snr_db")


@dataclass(frozen=True, order=True)
class Condition:
    """One listening condition: clean, or a noise at an intensity (ratio of peaks) with the seed of its crops.

    >>> Condition("fish_market", 0.5, 1).cell
    'fish_market@0.50'
    """

    noise: str = "clean"
    intensity: float = 0.0
    seed: int | None = None

    @property
    def clean(self) -> bool:
        """Whether no noise is added."""
        return self.noise == "clean"

    @property
    def cell(self) -> str:
        """Name of the cell of the grid, the same for every seed."""
        return f"{self.noise}@{level(self.intensity)}"


CLEAN = Condition()


def level(intensity: float) -> str:
    """An intensity with two decimals, or all that it needs.

    >>> level(0.5), level(0.125)
    ('0.50', '0.125')
    """
    short = f"{intensity:.2f}"
    return short if float(short) == intensity else repr(intensity)


@dataclass(frozen=True)
class Predictions:
    """Probabilities of some models for the same utterances under the same conditions.

    true: class indices (utterances,); probabilities: (models, conditions, utterances, 7), float64, rounded to six
    digits; snr: signal-to-noise ratio in dB of each mixture, (conditions, utterances), NaN where there is no noise.
    """

    models: tuple[str, ...]
    utterances: tuple[str, ...]
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
        places = [self.models.index(model) for model in models]
        return replace(self, models=models, probabilities=self.probabilities[places])

    def places(self, cell: str | None = None) -> list[int]:
        """Where the conditions of one cell stand, one for each seed; without a cell, those of every noise."""
        return [place for place, one in enumerate(self.conditions)
                if not one.clean and cell in (None, one.cell)]

    @property
    def cells(self) -> list[str]:
        """The cells of the grid, in its order."""
        return list(dict.fromkeys(one.cell for one in self.conditions if not one.clean))

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The rows of predictions.csv, in the order of FIELDS; clean rows have intensity 0, no seed and no SNR."""
        predicted = self.predicted
        for place, model in enumerate(self.models):
            for at, one in enumerate(self.conditions):
                condition = (one.noise, f"{one.intensity:g}", "" if one.seed is None else str(one.seed))
                for number, utterance in enumerate(self.utterances):
                    snr = self.snr[at, number]
                    yield (model, utterance, *condition, EMOTIONS[self.true[number]],
                           EMOTIONS[predicted[place, at, number]],
                           *(f"{value:.{DIGITS}f}" for value in self.probabilities[place, at, number].tolist()),
                           f"{snr:.3f}" if math.isfinite(snr) else "")

    def write(self, path: Path) -> None:
        """Write predictions.csv, whole or not at all."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            writer.writerows(self.rows())


def read(path: Path, model: str) -> Predictions:
    """One model's predictions from predictions.csv.

    Raises UserError when the file is missing, is no such table, or lacks the model or some of its rows.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != FIELDS:
                raise UserError(f"{path}: is no table of predictions: run the stage evaluate again")
            rows = [row for row in reader if row["model"] == model]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): run the stage evaluate") from error
    if not rows:
        raise UserError(f"{path}: holds no predictions of {model!r}: run the stage evaluate again")
    try:
        return _assemble(rows, model)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: the predictions of {model!r} are incomplete or damaged ({error}): run the stage "
                        "evaluate again") from error


def _condition(row: dict[str, str]) -> Condition:
    return Condition(row["noise"], float(row["intensity"]), int(row["seed"]) if row["seed"] else None)


def _assemble(rows: Sequence[dict[str, str]], model: str) -> Predictions:
    conditions = {one: place for place, one in enumerate(dict.fromkeys(map(_condition, rows)))}
    utterances = {one: place for place, one in enumerate(dict.fromkeys(row["utterance"] for row in rows))}
    if len(rows) != len(conditions) * len(utterances):
        raise ValueError(f"{len(rows)} rows for {len(utterances)} utterances under {len(conditions)} conditions")
    true = np.zeros(len(utterances), np.int64)
    probabilities = np.full((1, len(conditions), len(utterances), len(EMOTIONS)), np.nan)
    snr = np.full((len(conditions), len(utterances)), np.nan)
    for row in rows:
        at, number = conditions[_condition(row)], utterances[row["utterance"]]
        true[number] = EMOTIONS.index(row["emotion"])
        probabilities[0, at, number] = [float(row[f"p_{emotion}"]) for emotion in EMOTIONS]
        snr[at, number] = float(row["snr_db"] or "nan")
    if np.isnan(probabilities).any():
        raise ValueError("an utterance is missing under some condition")
    return Predictions((model,), tuple(utterances), true, tuple(conditions), probabilities, snr)


def categories(noise_rows: Iterable[Mapping[str, str]]) -> tuple[list[str], list[str]]:
    """Noise categories with a recording in the test partition, and those without, both sorted."""
    rows = list(noise_rows)
    every = {row["category"] for row in rows}
    tested = {row["category"] for row in rows if row["partition"] == "test"}
    return sorted(tested), sorted(every - tested)


def grid(noise_rows: Iterable[Mapping[str, str]], settings: Evaluate) -> list[Condition]:
    """Every noisy condition: categories with test recordings, then the stationary kinds, by intensity and seed.

    Raises UserError for a category whose name means something else here, and when there is no condition at all.
    """
    recorded, _ = categories(noise_rows)
    if not (recorded or settings.stationary) or not settings.intensities:
        raise UserError("evaluate: no noise to listen in: bring recordings in with `ser-ops noise add`, or name "
                        "evaluate.stationary and evaluate.intensities")
    for name in recorded:
        if name == CLEAN.noise or name in ("white", "pink", "brown"):
            raise UserError(f"noise category {name!r}: that name is taken: rename its folder")
    return [Condition(noise, intensity, seed) for noise in [*recorded, *settings.stationary]
            for intensity in settings.intensities for seed in settings.seeds]
