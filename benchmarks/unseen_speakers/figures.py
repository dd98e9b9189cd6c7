"""A system's answers as figures: UAR of each condition in each fold, and what a bootstrap over speakers makes of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.unseen_speakers import answers
from benchmarks.unseen_speakers.svm import recall
from ser_ops.emotions import class_index
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import Condition


@dataclass(frozen=True)
class System:
    """Answers of one system over all folds, every utterance tested once.

    conditions: names of clean speech and of the cells of the grid; right: bool (conditions, utterances) in that order;
    transmitted: the same of telephone lines and rooms, by name; true: class indices (utterances,); fold: the fold that
    tests each utterance; records: one for each fold.
    """

    name: str
    conditions: tuple[str, ...]
    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    true: np.ndarray
    fold: np.ndarray
    right: np.ndarray
    transmitted: dict[str, np.ndarray]
    records: tuple[dict[str, Any], ...]

    def uar(self, condition: int) -> np.ndarray:
        """UAR in [0, 1] of each fold."""
        return self._uar(self.right[condition])

    def _uar(self, right: np.ndarray) -> np.ndarray:
        hits = np.where(right, self.true, -1)
        folds = [self.fold == number for number in np.unique(self.fold)]
        return np.array([recall(self.true[fold], hits[fold]) for fold in folds])

    @property
    def clean(self) -> float:
        """UAR on clean speech, mean over folds."""
        return float(self.uar(0).mean())

    @property
    def cells(self) -> dict[str, float]:
        """UAR of each cell of the grid, mean over folds."""
        return {name: float(self.uar(index).mean()) for index, name in enumerate(self.conditions) if index}

    @property
    def noisy(self) -> float:
        """Mean over the grid."""
        return float(np.mean(list(self.cells.values())))

    def mean_over(self, names: Collection[str]) -> float | None:
        """Mean UAR over telephone lines or rooms; None where none of them was heard."""
        known = [self._uar(right).mean() for name, right in self.transmitted.items() if name in names]
        return float(np.mean(known)) if known else None

    @property
    def seconds(self) -> float:
        """Seconds of one core that training took, mean over folds; features apart."""
        return float(np.mean([record["seconds_training"] for record in self.records]))


def read(folder: Path, name: str, folds: Sequence[int]) -> System:
    """A system's answers in the order of utterances. Raises UserError when an answer is missing or there twice."""
    rows, records = answers.read(folder, name, folds)
    conditions = list(dict.fromkeys(Condition(row["noise"], float(row["intensity"])) for row in rows))
    conditions.sort(key=lambda condition: not condition.clean)
    utterances = sorted({row["utterance"] for row in rows})
    if not conditions or not conditions[0].clean or len(rows) != len(conditions) * len(utterances):
        raise UserError(f"{folder / name}: {len(rows)} answers are not one for each of {len(utterances)} utterances "
                        f"under {len(conditions)} conditions with clean speech among them: run the system again")
    column = {utterance: index for index, utterance in enumerate(utterances)}
    level = {condition: index for index, condition in enumerate(conditions)}
    right = np.zeros((len(conditions), len(utterances)), bool)
    first = {row["utterance"]: row for row in rows}
    for row in rows:
        right[level[Condition(row["noise"], float(row["intensity"]))], column[row["utterance"]]] = \
            row["truth"] == row["predicted"]
    grid = [index for index, condition in enumerate(conditions) if not condition.transmitted]
    cells = tuple("clean" if conditions[index].clean else conditions[index].cell for index in grid)
    transmitted = {condition.cell: right[index] for index, condition in enumerate(conditions) if condition.transmitted}
    return System(name, cells, tuple(utterances),
                  tuple(first[utterance]["speaker"] for utterance in utterances),
                  np.array([class_index(first[utterance]["truth"]) for utterance in utterances]),
                  np.array([int(first[utterance]["fold"]) for utterance in utterances]), right[grid], transmitted,
                  tuple(records))
