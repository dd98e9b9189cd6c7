"""The listening page's tables: {head, rows}, each row {name, cells, failed}; a cell is text or lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.methods import method
from ser_ops.pages.words import number, percent, pick, plain
from ser_ops.report.listening_charts import spread
from ser_ops.report.listening_words import FAILS

Table = dict[str, Any]
_BASELINES = {"random": "random order", "energy": "order by energy"}


def across(found: Any, methods: Mapping[str, Any]) -> Table | None:
    """Every cell in figures: streams, rank correlations, shares inside speech, and answers that stayed."""
    cells = [one for one in pick(found, "cells") or [] if isinstance(one, Mapping)]
    if not cells:
        return None
    titles = {"streams": "share of |φ|", "rank_correlation": "rank correlation", "speech_share": "inside speech"}
    parts = [(key, name, title) for key, title in titles.items()
             for name in dict.fromkeys(str(one) for cell in cells for one in pick(cell, key) or {})]
    head = ["noise", "intensity", "clips", "same answer",
            *(f"{plain(name) if key == 'streams' else method(name).title}: {title}" for key, name, title in parts)]
    clean = pick(found, "clean")
    every = [*([{**clean, "noise": "clean", "intensity": None}] if isinstance(clean, Mapping) else []), *cells]
    return {"head": head, "rows": [
        {"name": plain(cell.get("noise")), "failed": False, "cells": [
            number(cell.get("intensity")), number(cell.get("n"), 0), percent(cell.get("same_answer")),
            *(spread(pick(cell, key, name)) for key, name, _ in parts)]} for cell in every]}


def faithfulness(found: Any, methods: Mapping[str, Any]) -> Table | None:
    """Areas of each method, fill and curve, against random order and order by energy; whether it beats random."""
    fills = [str(one) for one in pick(found, "fills") or []]
    curves = [(curve, fill) for curve in ("deletion", "insertion") for fill in fills]
    rows = [_row(method(key).title, one, curves)
            for key, one in (pick(found, "methods") or {}).items()]
    if not rows:
        return None
    rows += [_row(title, pick(found, name), curves) for name, title in _BASELINES.items() if pick(found, name)]
    better = {"deletion": "low is good", "insertion": "high is good"}
    return {"head": ["order of moments", "beats random order",
                     *(f"{curve}, {plain(fill)} ({better[curve]})" for curve, fill in curves)], "rows": rows}


def _row(name: str, one: Any, curves: Sequence[tuple[str, str]]) -> Table:
    beats = pick(one, "beats_random")
    cells: list[Any] = []
    for curve, fill in curves:
        lines = [spread(pick(one, curve, fill), 3, "area")]
        lines += [f"{title}: {spread(pick(one, key, curve, fill), 3, 'difference')}"
                  for key, title in (("against_random", "less random"), ("against_energy", "less energy"))
                  if pick(one, key, curve, fill)]
        cells.append(lines)
    verdict = {True: "✓ yes", False: f"✗ {FAILS}"}.get(beats, "–") if isinstance(beats, bool) else "–"
    return {"name": name, "failed": beats is False, "cells": [verdict, *cells]}


def checks(found: Any, planted: Any, methods: Mapping[str, Any]) -> Table | None:
    """Completeness, agreement between seeds, randomisation and the planted cue, of each method."""
    every = dict.fromkeys([*methods, *(pick(found, "methods") or {}), *(pick(planted, "methods") or {})])
    rows = []
    for key in every:
        one, cue = pick(found, "methods", key), pick(planted, "methods", key)
        if one is None and cue is None:
            continue
        random = _or(pick(one, "randomised_correlation"), "not measured")
        head = pick(one, "randomised_head_correlation")
        rows.append({"name": method(key).title, "failed": pick(one, "beats_random") is False, "cells": [
            _or(pick(one, "completeness_error"), "does not apply"), _or(pick(one, "seed_agreement"), "no chance in it"),
            [random, *([] if head is None else [f"last layers alone: {number(head, 3)}"])], _hit(cue)]})
    return {"head": ["method", "completeness error, share of what is explained (0 is complete)",
                     "agreement between seeds (1 is the same order)",
                     "rank correlation with a randomised model (0 is good)", "finds the planted cue"],
            "rows": rows} if rows else None


def _hit(cue: Any) -> list[str]:
    """How often the planted cue was found, and what would be reached blindly."""
    if not cue:
        return ["not measured"]
    verdict = {True: ["✓ more than chance"], False: ["✗ not clearly more than chance"]}.get(cue.get("found"), [])
    return [f"{percent(cue.get('hit_rate'))} of {number(cue.get('n'), 0)} (by chance {percent(cue.get('chance'))})",
            *verdict]


def _or(value: Any, words: str) -> str:
    return words if value is None else number(value, 3)
