"""The page's charts, each from figures of reports/ alone. A figure that is missing is left out of the picture."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ser_ops.emotions import EMOTIONS
from ser_ops.pages import (
    CHANCE,
    cell_name,
    diamond,
    dot,
    drawing,
    interval,
    is_number,
    line,
    path,
    pick,
    rect,
    scale,
    share,
    text,
)
from ser_ops.report.tables import printed_accuracy

_WIDTH = 960


def glance(metrics: Any, gate: Any, published: Any, model: str) -> Markup | None:
    """Clean, noise and worst cell from 0 to 1, with chance, shuffled labels, the gate's limits and the paper."""
    figures = pick(metrics, "models", model)
    if not figures:
        return None
    worst = pick(figures, "worst_cell", "cell")
    limits = {rule.get("rule"): rule.get("limit") for rule in pick(gate, "rules") or []}
    paper = pick(published, "table_vi", str(figures.get("row"))) or {}
    rows = [("clean speech", figures.get("clean") or {}, limits.get("clean_uar"), paper.get("clean_accuracy")),
            ("in noise, mean", figures.get("noisy") or {}, None, paper.get("noisy_accuracy")),
            (f"worst: {cell_name(worst)}", pick(figures, "cells", worst or "") or {}, limits.get("worst_cell_uar"),
             printed_accuracy(published, figures, worst))]
    top, bottom, x = 34, 34 + 48 * len(rows), scale(0, 1, 210, _WIDTH - 30)
    bound = pick(metrics, "shuffled", "uar_high")
    parts = [] if bound is None else [
        rect(x(0), top, x(bound) - x(0), bottom - top, "noise-floor",
             title=f"models trained on shuffled labels reach up to {share(bound)}"),
        text(x(max(bound, CHANCE)) + 6, top - 6, f"shuffled labels: up to {share(bound)}", class_="tick")]
    parts += _axis(x, top, bottom, [0, 0.2, 0.4, 0.6, 0.8, 1])
    parts += [line(x(CHANCE), top - 4, x(CHANCE), bottom, "chance"),
              text(x(CHANCE) - 4, top - 6, f"chance {share(CHANCE)}", "end", "tick")]
    for number, (label, scores, limit, claimed) in enumerate(rows):
        y = top + 26 + 48 * number
        parts.append(text(196, y + 4, label, "end", "label"))
        if isinstance(limit, int | float):
            parts += [line(x(limit), y - 9, x(limit), y + 13, "limit"),
                      text(x(limit), y - 12, f"gate {limit:g}", "middle", "tick")]
        if is_number(claimed):
            title = f"paper 1 prints an accuracy of {claimed:.2f} %; how it split its data it does not say"
            parts.append(diamond(x(claimed / 100), y, "paper", title))
        parts += _spread(x, y, scores, "ours", f"{label}: UAR {interval(scores)}")
        if scores.get("uar") is not None:
            # On the side where the paper's figure does not stand.
            left = is_number(claimed) and claimed / 100 > scores["uar"]
            end = x(scores.get("uar_low" if left else "uar_high") or scores["uar"])
            parts.append(text(end + (-10 if left else 10), y + 5, share(scores["uar"]), "end" if left else "start",
                              "value"))
    return drawing(_WIDTH, bottom + 26, "UAR of the model beside chance, shuffled labels and the gate's limits", parts)


def ablation(rows: Sequence[Mapping[str, Any]] | None, metrics: Any) -> Markup | None:
    """Table VI and the models below it as dots: clean and in noise for each, with intervals."""
    if not rows:
        return None
    top, height = 22, 46
    bottom, x = top + height * len(rows), scale(0, 1, 210, _WIDTH - 30)
    bound = pick(metrics, "shuffled", "uar_high")
    parts = [] if bound is None else [rect(x(0), top, x(bound) - x(0), bottom - top, "noise-floor",
                                           title=f"shuffled labels reach up to {share(bound)}")]
    parts += [*_axis(x, top, bottom, [0, 0.2, 0.4, 0.6, 0.8, 1]),
              line(x(CHANCE), top - 4, x(CHANCE), bottom, "chance"),
              text(x(CHANCE), top - 8, "chance", "middle", "tick")]
    for number, row in enumerate(rows):
        y = top + height * number
        named = "  ".join(str(row[key]) for key in ("row", "model") if row.get(key))
        parts.append(text(196, y + height / 2 + 4, named, "end", "label"))
        for kind, shift in (("clean", 14), ("noisy", 31)):
            scores = pick(metrics, "models", str(row.get("model")), kind) or {"uar": row.get(f"{kind}_uar")}
            parts += _spread(x, y + shift, scores, kind, f"{row.get('model')}, {kind}: UAR {interval(scores)}")
            if scores.get("uar") is not None:
                parts.append(text(x(scores.get("uar_high") or scores["uar"]) + 10, y + shift + 4, share(scores["uar"]),
                                  class_="tick"))
        if number:
            parts.append(line(24, y, _WIDTH - 20, y, "grid"))
    return drawing(_WIDTH, bottom + 26, "UAR of each model, clean and in noise", parts)


def curves(history: Sequence[Mapping[str, Any]] | None, best: Any) -> Markup | None:
    """Loss and UAR by epoch, training and validation, the epoch that was kept marked.

    validation_uar is the mean of UAR on clean speech and in noise; each of them is drawn too, where both are there.
    """
    rows = [row for row in history or [] if isinstance(row.get("epoch"), float)]
    if not rows:
        return None
    first, last = rows[0]["epoch"], max(rows[-1]["epoch"], rows[0]["epoch"] + 1)
    parts: list[Markup] = []
    for panel, (name, unit) in enumerate((("loss", "loss"), ("uar", "UAR"))):
        x = scale(first, last, 50 + 490 * panel, 450 + 490 * panel)
        values = [row[key] for row in rows for key in (f"train_{name}", f"validation_{name}")
                  if is_number(row.get(key))]
        high = max([*values, 1.0]) if name == "loss" else 1.0
        y = scale(0, high, 200, 24)
        for step in range(5):
            value = high * step / 4
            parts += [line(x(first), y(value), x(last), y(value), "grid"),
                      text(x(first) - 8, y(value) + 4, f"{value:.2g}", "end", "tick")]
        parts += [text(x(first), 14, unit, class_="label"), text(x(last), 236, "epoch", "end", "tick")]
        parts += [text(x(row["epoch"]), 218, f"{row['epoch']:g}", "middle", "tick")
                  for row in rows[::max(1, len(rows) // 6)]]
        if name == "uar":
            parts.append(line(x(first), y(CHANCE), x(last), y(CHANCE), "chance"))
        if is_number(best) and first <= best <= last:
            parts += [line(x(best), 24, x(best), 200, "limit"),
                      text(x(best), 20, f"kept: {best:g}", "middle", "tick")]
        lines = [(f"train_{name}", "train", "noisy"), (f"validation_{name}", "validation", "clean")]
        if name == "uar" and any(is_number(row.get("validation_noisy_uar")) for row in rows):
            lines += [("validation_clean_uar", "validation on clean speech", "clean part"),
                      ("validation_noisy_uar", "validation in noise", "clean part dotted")]
        for column, words, class_ in lines:
            points = [(row["epoch"], row[column]) for row in rows if is_number(row.get(column))]
            parts.append(path([(x(epoch), y(value)) for epoch, value in points], f"curve {class_}"))
            parts += [dot(x(epoch), y(value), class_, f"epoch {epoch:g}, {words} {unit} {value:.3f}", 2.5)
                      for epoch, value in points]
    return drawing(_WIDTH, 244, "Learning curves: loss and UAR by epoch", parts)


def by_snr(rows: Sequence[Mapping[str, Any]] | None) -> Markup | None:
    """UAR by the signal-to-noise ratio that each mixture had; the size of a bar's foot is how many there were."""
    rows = [row for row in rows or [] if is_number(row.get("uar"))]
    if not rows:
        return None
    low, high = rows[0]["low_db"], rows[-1]["high_db"]
    x, y = scale(low, high, 50, _WIDTH - 20), scale(0, 1, 180, 20)
    parts = [part for tick in (0, 0.25, 0.5, 0.75, 1) for part in (
        line(50, y(tick), _WIDTH - 20, y(tick), "grid"), text(42, y(tick) + 4, f"{tick:g}", "end", "tick"))]
    for row in rows:
        left, width = x(row["low_db"]) + 2, x(row["high_db"]) - x(row["low_db"]) - 4
        title = f"{row['low_db']:g} to {row['high_db']:g} dB: UAR {share(row['uar'])}, {row['n']} mixtures"
        parts += [rect(left, y(row["uar"]), width, y(0) - y(row["uar"]), "bar", 2, title),
                  text(left + width / 2, y(row["uar"]) - 5, share(row["uar"]), "middle", "tick"),
                  text(left + width / 2, 212, f"n {row['n']}", "middle", "tick")]
    parts += [text(x(value), 197, f"{value:g}", "middle", "tick")
              for value in sorted({row[key] for row in rows for key in ("low_db", "high_db")})]
    parts += [line(50, y(CHANCE), _WIDTH - 20, y(CHANCE), "chance"), text(50, 12, "UAR", class_="label"),
              text(_WIDTH - 20, 228, "signal-to-noise ratio of the mixture, dB", "end", "tick")]
    return drawing(_WIDTH, 236, "UAR by signal-to-noise ratio", parts)


def risk_coverage(curves: Any) -> Markup | None:
    """Error among the answers that are given, the surest first, over their share: clean and in noise."""
    named = [(place, pick(curves, place)) for place in ("clean", "noisy")]
    drawn = [(place, [row for row in rows if is_number(row.get("error"))])
             for place, rows in named if isinstance(rows, list) and rows]
    if not drawn:
        return None
    top = max(0.1, *(row["error"] for _, rows in drawn for row in rows))
    x, y = scale(0, 1, 50, _WIDTH - 90), scale(0, top, 180, 20)
    parts = _axis(x, 20, 180, (0, 0.25, 0.5, 0.75, 1))
    parts += [part for tick in (0, top / 2, top) for part in (
        line(50, y(tick), _WIDTH - 90, y(tick), "grid"), text(42, y(tick) + 4, f"{tick:.2f}", "end", "tick"))]
    for place, rows in drawn:
        parts.append(path([(x(row["answered"]), y(row["error"])) for row in rows], f"curve {place}"))
        parts += [dot(x(row["answered"]), y(row["error"]), place,
                      f"{place}: {row['answered']:.0%} answered, error {row['error']:.3f}", 2.5) for row in rows]
        parts.append(text(_WIDTH - 82, y(rows[-1]["error"]) + 4, place, class_="label"))
    parts += [text(50, 12, "error", class_="label"),
              text(_WIDTH - 90, 214, "share answered, the surest first", "end", "tick")]
    return drawing(_WIDTH, 222, "Error by the share that is answered", parts)


def shap_kinds(kinds: Sequence[Mapping[str, Any]] | None, number: int = 10) -> Markup | None:
    """Mean |SHAP| of each kind of feature, summed over time, stacked by class."""
    rows = [row for row in (kinds or [])[:number] if isinstance(row.get("per_class"), Mapping)]
    if not rows:
        return None
    totals = [sum(row["per_class"].get(emotion) or 0 for emotion in EMOTIONS) for row in rows]
    left_of = max(90, 30 + 7 * max(len(str(row.get("feature"))) for row in rows))  # pixels that the names need
    x, parts = scale(0, max(totals), left_of, _WIDTH - 90), []
    for position, (row, total) in enumerate(zip(rows, totals, strict=True)):
        y, left = 8 + 24 * position, 0.0
        parts.append(text(left_of - 8, y + 13, str(row.get("feature")), "end", "label"))
        for number, emotion in enumerate(EMOTIONS):
            value = row["per_class"].get(emotion) or 0
            parts.append(rect(x(left), y, x(left + value) - x(left), 16, f"class-{number}",
                              title=f"{row.get('feature')}, {emotion}: {value:.3f}"))
            left += value
        parts.append(text(x(total) + 6, y + 13, f"{total:.2f}", class_="tick"))
    return drawing(_WIDTH, 24 * len(rows) + 16, "Mean absolute SHAP value of each kind of feature", parts)


def _axis(x: Any, top: float, bottom: float, ticks: Sequence[float]) -> list[Markup]:
    return [part for tick in ticks
            for part in (line(x(tick), top, x(tick), bottom, "grid"),
                         text(x(tick), bottom + 16, f"{tick:g}", "middle", "tick"))]


def _spread(x: Any, y: float, figures: Mapping[str, Any], class_: str, title: str) -> list[Markup]:
    """A dot with its interval, where there is one."""
    low, high, uar = (figures.get(name) for name in ("uar_low", "uar_high", "uar"))
    if uar is None:
        return []
    bar = [] if low is None or high is None else [rect(x(low), y - 3, x(high) - x(low), 6, f"{class_} faint", 3)]
    return [*bar, dot(x(uar), y, class_, title, 6)]
