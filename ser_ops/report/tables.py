"""The page's tables as rows of plain values; how they look is the template's affair."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.emotions import EMOTIONS
from ser_ops.pages.words import CHANCE, pick

STATIONARY = ("white", "pink", "brown")
_SCORES = ("accuracy", "precision", "recall", "f1")


def heat(cells: Any, shuffled: Any) -> dict[str, Any] | None:
    """Noise x intensity of one model: {levels, rows: [(noise, [cell or None])]}; recorded noise first.

    A cell is that of metrics.json with `lost`: no better than the upper bound of label-shuffled models.
    """
    if not isinstance(cells, Mapping) or not cells:
        return None
    names = [cell.rpartition("@") for cell in cells]
    levels = sorted({level for _, _, level in names}, key=_order)
    noises = sorted(dict.fromkeys(noise for noise, _, _ in names), key=lambda noise: noise in STATIONARY)
    rows = []
    for noise in noises:
        row = []
        for level in levels:
            one, bound = cells.get(f"{noise}@{level}"), pick(shuffled, "cells", f"{noise}@{level}")
            row.append(None if one is None else {**one, "lost": bound is not None and one["uar"] <= bound})
        rows.append((noise, row))
    return {"levels": levels, "rows": rows}


def _order(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return 0.0


def colour(value: Any, low: float = CHANCE, high: float = 1.0) -> str:
    """Background and ink of a cell, as inline style: pale at `low` or below, dark blue at `high`.

    >>> colour(0.1), colour(1.0)
    ('background:rgb(243,246,250);color:#000', 'background:rgb(11,46,99);color:#fff')
    """
    if not isinstance(value, int | float):
        return ""
    stops = ((243, 246, 250), (157, 196, 232), (41, 105, 184), (11, 46, 99))
    place = min(max((value - low) / ((high - low) or 1), 0.0), 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    red, green, blue = (round(a + (b - a) * (place - first)) for a, b in zip(stops[first], stops[first + 1],
                                                                             strict=True))
    light = sum(weight * (channel / 255) ** 2.2 for weight, channel in zip((0.213, 0.715, 0.072), (red, green, blue),
                                                                           strict=True))
    return f"background:rgb({red},{green},{blue});color:{'#000' if light > 0.18 else '#fff'}"  # 0.18: equal contrast


def table_v(cells: Any, published: Any) -> list[dict[str, Any]]:
    """Table V in the paper's shape: groups of {title, rows}, each row with ours and the paper's printed figures."""
    if not isinstance(cells, Mapping):
        return []
    groups: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for cell in sorted(cells, key=lambda one: (_noise_order(one), one.rpartition("@")[0])):
        noise, _, level = cell.rpartition("@")
        paper = pick(published, "table_v", cell)
        groups[noise in STATIONARY].append({
            "noise": noise, "level": level, "ours": cells[cell], "paper": paper,
            "mark": pick(published, "marks", "V", cell)})
    titles = {True: "Stationary interferences", False: "Non-stationary interferences"}
    return [{"title": titles[kind], "rows": rows} for kind, rows in groups.items() if rows]


def _noise_order(cell: str) -> int:
    noise = cell.rpartition("@")[0]
    return STATIONARY.index(noise) if noise in STATIONARY else len(STATIONARY)


def confusion(counts: Any) -> list[dict[str, Any]]:
    """Rows of the confusion matrix: {emotion, total, cells: [(count, share of the true class)]}."""
    if not isinstance(counts, Sequence) or len(counts) != len(EMOTIONS):
        return []
    return [{"emotion": emotion, "total": sum(row),
             "cells": [(count, count / sum(row) if sum(row) else None) for count in row]}
            for emotion, row in zip(EMOTIONS, counts, strict=True)]


def worst_confusion(counts: Any) -> tuple[str, str, float] | None:
    """The emotion that is recognised least, what it is taken for most, and its recall."""
    rows = [row for row in confusion(counts) if row["total"]]
    if not rows:
        return None
    recall = {row["emotion"]: row["cells"][EMOTIONS.index(row["emotion"])][1] for row in rows}
    weakest = min(rows, key=lambda row: recall[row["emotion"]])
    others = {emotion: cell[0] for emotion, cell in zip(EMOTIONS, weakest["cells"], strict=True)
              if emotion != weakest["emotion"]}
    return weakest["emotion"], max(others, key=lambda emotion: others[emotion]), recall[weakest["emotion"]]
