"""What a system answered in a fold: a CSV of its predictions and a JSON of how it came to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.files import write_json
from ser_ops.tables import read_csv, write_csv

FIELDS = ("system", "fold", "noise", "intensity", "seed", "utterance", "speaker", "truth", "predicted")
PROBABILITIES = tuple(f"p_{emotion}" for emotion in EMOTIONS)


@dataclass(frozen=True)
class Answer:
    """One prediction: of which utterance, heard how, what is true and what was said; probabilities or ()."""

    noise: str
    intensity: float
    seed: int | None
    utterance: str
    speaker: str
    truth: str
    predicted: str
    probabilities: tuple[float, ...] = ()


def write(folder: Path, system: str, fold: int, answers: Sequence[Answer], record: dict[str, Any]) -> None:
    """Write <folder>/<system>/fold<k>.csv, then its .json: a fold without .json is not done.

    record: seconds_training (one core), threads, trained_on (speakers), chosen, validation_uar.
    """
    fields = FIELDS + (PROBABILITIES if answers and answers[0].probabilities else ())
    rows = [{"system": system, "fold": fold, "noise": answer.noise, "intensity": answer.intensity,
             "seed": "" if answer.seed is None else answer.seed, "utterance": answer.utterance,
             "speaker": answer.speaker, "truth": answer.truth, "predicted": answer.predicted,
             **dict(zip(PROBABILITIES, (round(value, 6) for value in answer.probabilities), strict=False))}
            for answer in answers]
    write_csv(folder / system / f"fold{fold}.csv", rows, fields)
    write_json(folder / system / f"fold{fold}.json", {"system": system, "fold": fold, **record})


def done(folder: Path, system: str, fold: int) -> bool:
    """Whether a system's fold is there, whole."""
    return (folder / system / f"fold{fold}.json").exists()


def read(folder: Path, system: str, numbers: Iterable[int]) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Rows of all folds, and their records. Raises UserError when one is missing."""
    rows: list[dict[str, str]] = []
    records = []
    for number in numbers:
        rows += read_csv(folder / system / f"fold{number}.csv")
        records.append(read_json(folder / system / f"fold{number}.json"))
    return rows, records
