"""Partitions of noise recordings: by source, so that no test noise was heard in training."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ser_ops.config import Partitions
from ser_ops.noise.recordings.scanning import source_of
from ser_ops.seeds import derive


def assign(rows: Sequence[Mapping[str, str]], settings: Partitions) -> list[str]:
    """train, validation or test for each row, in their order.

    Rows need recording and category, and hold source, content, sound and error where these are known.
    Recordings of one source, of the same content, or of one sound, stay together. In each category the shares of
    `settings.noise_validation` and `noise_test` count sources, with at least one for training, from two sources on
    one for testing, from three on one for validation (unless a share is 0). A category of `settings.held_out_noise`
    goes to test with every source that occurs in it. Depends on names and seed, not on the order of rows. Rows with
    an error are not counted.
    """
    sources = _joined(rows)
    members: dict[str, set[str]] = defaultdict(set)
    for row, source in zip(rows, sources, strict=True):
        if not row.get("error"):
            members[row["category"]].add(source)
    place = {source: "test" for category in settings.held_out_noise for source in members.get(category, ())}
    for category in sorted(set(members) - set(settings.held_out_noise)):
        left = _wanted(len(members[category]), settings)
        left.subtract(place[source] for source in members[category] if source in place)
        free = sorted(members[category] - set(place), key=lambda source: derive(settings.seed, "noise", source))
        # Sources that occur in two categories may have been placed already, so training has the first choice.
        queue = ["train"] * min(1, left["train"]) + ["test"] * left["test"] + ["validation"] * left["validation"]
        place.update((source, queue[rank] if rank < len(queue) else "train") for rank, source in enumerate(free))
    return [place.get(source, "train") for source in sources]


def _wanted(sources: int, settings: Partitions) -> Counter[str]:
    """How many of a category's sources each partition should get.

    >>> from types import SimpleNamespace
    >>> quarters = SimpleNamespace(noise_test=0.25, noise_validation=0.25)
    >>> [tuple(_wanted(sources, quarters).values()) for sources in (1, 2, 3, 8)]
    [(1, 0, 0), (1, 1, 0), (1, 1, 1), (4, 2, 2)]
    """
    tested = sources >= 2 and settings.noise_test > 0
    validated = sources >= 3 and settings.noise_validation > 0
    test = min(max(1, round(sources * settings.noise_test)), sources - 1 - validated) if tested else 0
    validation = min(max(1, round(sources * settings.noise_validation)), sources - 1 - test) if validated else 0
    return Counter(train=sources - test - validation, test=test, validation=validation)


def _joined(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The source of each row, the same one for sources that have a recording of the same content or sound."""
    parent: dict[str, str] = {}

    def top(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    rows = list(rows)
    for row in rows:
        for key in (row.get("content"), row.get("sound")):
            if key:
                # A tilde sorts after every source, so that the top of a tree is always a source.
                first, second = sorted((top(_source(row)), top(f"~{key}")))
                parent[second] = first
    return [top(_source(row)) for row in rows]


def _source(row: Mapping[str, str]) -> str:
    return row.get("source") or source_of(row["recording"])
