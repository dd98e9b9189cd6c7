"""Recordings of the same content."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

_NAMED = 3      # others at most: all of them in each reason would be the square of a large group


def duplicates(rows: Sequence[Mapping[str, str]], key: str, label: str) -> list[str]:
    """For each row, why it is a duplicate, or an empty string.

    Same content and same label: the first by id stays, the others are named after it. Same content under
    different labels: nobody knows which label is right, so none stays.

    >>> rows = [{"id": "b", "content": "1", "emotion": "sad"}, {"id": "a", "content": "1", "emotion": "sad"}]
    >>> duplicates(rows, "id", "emotion")
    ['same content as a', '']
    >>> happy = [{"id": name, "content": "1", "emotion": "happy"} for name in "cde"]
    >>> duplicates([*rows, *happy], "id", "emotion")[4]
    'same content under another label: b (sad), a (sad), c (happy) and 1 more'
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
                others = [other for other in group[:_NAMED + 1] if other is not row][:_NAMED]
                named = ", ".join(f"{other[key]} ({other[label]})" for other in others)
                more = f" and {len(group) - 1 - len(others)} more" if len(group) - 1 > len(others) else ""
                reasons[row[key]] = f"same content under another label: {named}{more}"
        else:
            reasons.update({row[key]: f"same content as {first[key]}" for row in others})
    return [reasons.get(row[key], "") for row in rows]
