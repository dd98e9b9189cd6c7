"""Which utterances are looked at: a keyed choice, the same on every machine and in any order of the rows."""

from collections.abc import Sequence

from ser_ops.dataset.rows import Row
from ser_ops.emotions import EMOTIONS
from ser_ops.seeds import derive


def per_class(rows: Sequence[Row], number: int, seed: int) -> list[int]:
    """Positions of `number` original utterances of each class (all, when there are fewer), class by class."""
    return [position for emotion in EMOTIONS
            for position in _drawn(rows, number, seed, [i for i, row in enumerate(rows) if row.emotion == emotion])]


def background(rows: Sequence[Row], number: int, seed: int) -> list[int]:
    """Positions of `number` original utterances, whatever their class."""
    return _drawn(rows, number, seed, range(len(rows)))


def _drawn(rows: Sequence[Row], number: int, seed: int, among: Sequence[int]) -> list[int]:
    originals = [position for position in among if rows[position].variant == "original"]
    return sorted(originals, key=lambda position: derive(seed, "explain", rows[position].utterance))[:number]
