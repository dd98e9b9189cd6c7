"""A system's answers as figures: UAR of each condition in each fold, and what a bootstrap over speakers makes of it."""

from collections.abc import Sequence
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

    right: bool (conditions, utterances), the clean condition first; true: class indices (utterances,); fold: the fold
    that tests each utterance; records: one for each fold.
    """

    name: str
    conditions: tuple[str, ...]
    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    true: np.ndarray
    fold: np.ndarray
    right: np.ndarray
    records: tuple[dict[str, Any], ...]

    def uar(self, condition: int) -> np.ndarray:
        """UAR in [0, 1] of each fold."""
        hits = np.where(self.right[condition], self.true, -1)
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
    cells = tuple("clean" if condition.clean else condition.cell for condition in conditions)
    return System(name, cells, tuple(utterances),
                  tuple(first[utterance]["speaker"] for utterance in utterances),
                  np.array([class_index(first[utterance]["truth"]) for utterance in utterances]),
                  np.array([int(first[utterance]["fold"]) for utterance in utterances]), right, tuple(records))
