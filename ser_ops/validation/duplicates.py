"""Recordings of the same content."""

from collections import defaultdict
from collections.abc import Mapping, Sequence


def duplicates(rows: Sequence[Mapping[str, str]], key: str, label: str) -> list[str]:
    """For each row, why it is a duplicate, or an empty string.

    Same content and same label: the first by id stays, the others are named after it. Same content under
    different labels: nobody knows which label is right, so none stays.

    >>> rows = [{"id": "b", "content": "1", "emotion": "sad"}, {"id": "a", "content": "1", "emotion": "sad"}]
    >>> duplicates(rows, "id", "emotion")
    ['same content as a', '']
    """
    groups: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        if row["content"]:
            groups[row["content"]].append(row)
    reasons: dict[str, str] = {}
    for group in groups.values():
        if len(group) < 2:
            continue
        first, *others = sorted(group, key=lambda row: row[key])
        if len({row[label] for row in group}) > 1:
            for row in group:
                named = ", ".join(f"{other[key]} ({other[label]})" for other in group if other is not row)
                reasons[row[key]] = f"same content under another label: {named}"
        else:
            reasons.update({row[key]: f"same content as {first[key]}" for row in others})
    return [reasons.get(row[key], "") for row in rows]
