"""Folds of whole speakers, in the order of their names, and who validates in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ser_ops.manifest import UtteranceRow


@dataclass(frozen=True)
class Fold:
    """Speakers that one fold tests, chooses on, and trains on; `number` counts from 1."""

    number: int
    test: tuple[str, ...]
    validation: tuple[str, ...]
    train: tuple[str, ...]


def folds(speakers: Sequence[str], count: int, validating: int) -> list[Fold]:
    """`count` folds of consecutive speakers; the first `validating` speakers of the next fold validate.

    Every speaker is tested once. Raises ValueError when the speakers do not suffice.

    >>> folds(["a", "b", "c", "d", "e", "f"], 3, 1)[2]
    Fold(number=3, test=('e', 'f'), validation=('a',), train=('b', 'c', 'd'))
    """
    names = sorted(set(speakers))
    ends = [round(len(names) * index / count) for index in range(count + 1)]
    groups = [tuple(names[start:end]) for start, end in pairwise(ends)]
    if count < 2 or min(map(len, groups)) < validating:
        raise ValueError(f"{len(names)} speakers do not make {count} folds with {validating} who validate")
    folds = []
    for index, test in enumerate(groups):
        chosen = groups[(index + 1) % count][:validating]
        folds.append(Fold(index + 1, test, chosen, tuple(name for name in names if name not in (*test, *chosen))))
    return folds


def of_rows(rows: Sequence[UtteranceRow], count: int, validating: int) -> list[Fold]:
    """Folds of the speakers of a manifest's rows."""
    return folds([row.speaker for row in rows], count, validating)
