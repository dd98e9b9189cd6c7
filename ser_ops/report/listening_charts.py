"""The listening page's charts that do not depend on the chosen clip: across noise, and faithfulness.

Lines differ by colour (Okabe and Ito), by dashes and by the shape of their points, so that grey print tells them apart.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from ser_ops.methods import METHODS, in_order
from ser_ops.pages import diamond, dot, is_number, line, number, path, pick, plain, rect, scale, tag, text

LEFT, TOP, _WIDTH, _PLOT = 46, 42, 340, 170
RIGHT, BOTTOM = _WIDTH - 14, TOP + _PLOT
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_BASELINES = {"random": "random order", "energy": "order by energy"}


@dataclass(frozen=True)
class Series:
    """A line of a chart: its name, what it shows of a cell ({mean, low, high} or None), and its number of a colour."""

    name: str
    of: Callable[[Mapping[str, Any]], Any]
    style: int


@dataclass(frozen=True)
class Chart:
    """A picture: `panels` (svg), and `key` (svg, name) for each line."""

    panels: list[Markup]
    key: list[tuple[Markup, str]]


def stream_shares(across: Any) -> Chart | None:
    """Share of |Shapley value| of each stream by intensity: all noises together, and a panel for each."""
    all_noises = [{"noise": "all noises together", **cell} for cell in pick(across, "by_intensity") or []
                  if isinstance(cell, Mapping) and cell.get("intensity")]
    cells = _cells({"cells": [*all_noises, *_cells(across)]})
    names = _names(cells, "streams")
    lines = [Series(plain(name), partial(_value, "streams", name), position) for position, name in enumerate(names)]
    return _noise_panels(cells, lines, pick(across, "clean"), "share of |Shapley value|", 0.0, None)


def rank_correlation(across: Any, methods: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Rank correlation with the clean clip, of each method by intensity, a panel for each noise."""
    cells = _cells(across)
    lines = _method_series(cells, methods, "rank_correlation")
    below = any(is_number(bound) and bound < 0 for cell in cells for series in lines
                for bound in (pick(series.of(cell), "mean"), pick(series.of(cell), "low")))
    return _noise_panels(cells, lines, None, "rank correlation with clean (Spearman)", -1.0 if below else 0.0, None)


def speech(across: Any, methods: Mapping[str, Mapping[str, Any]], clips: Iterable[Mapping[str, Any]]) -> Chart | None:
    """Share of positive attribution inside speech, of each method by intensity, a panel for each noise."""
    cells = _cells(across)
    time = pick(across, "share_of_time", "mean")
    times = [time] if is_number(time) else [
        value for clip in clips if is_number(value := pick(clip, "speech", "share_of_time"))]
    even = sum(times) / len(times) if times else None
    return _noise_panels(cells, _method_series(cells, methods, "speech_share"), pick(across, "clean"),
                         "share of positive attribution", 0.0, even)


def _cells(across: Any) -> list[Mapping[str, Any]]:
    return [cell for cell in pick(across, "cells") or []
            if isinstance(cell, Mapping) and is_number(cell.get("intensity")) and "noise" in cell]


def _names(cells: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(name) for cell in cells for name in pick(cell, key) or {}))


def _method_series(cells: Sequence[Mapping[str, Any]], methods: Mapping[str, Mapping[str, Any]],
                   key: str) -> list[Series]:
    names = _names(cells, key)
    ordered = in_order(names)
    marks = {name: f" ({methods[name]['mark']})" if name in methods and methods[name]["mark"] else ""
             for name in ordered}
    return [Series(METHODS[name].title + marks[name], partial(_value, key, name), position)
            for position, name in enumerate(ordered)]


def _value(key: str, name: str, cell: Mapping[str, Any]) -> Any:
    return pick(cell, key, name)


def _noise_panels(cells: Sequence[Mapping[str, Any]], lines: Sequence[Series], clean: Any, unit: str, low: float,
                  even: float | None) -> Chart | None:
    """One panel for each noise; `clean` stands at intensity 0, `even` is a dotted line across."""
    drawn = [series for series in lines if any(is_number(pick(series.of(cell), "mean")) for cell in cells)]
    if not drawn:
        return None
    top = max(float(cell["intensity"]) for cell in cells)
    x, y = scale(0, top or 1, LEFT + 20, RIGHT - 18), scale(low, 1, BOTTOM, TOP)
    panels = []
    for noise in dict.fromkeys(str(cell["noise"]) for cell in cells):
        row = sorted((cell for cell in cells if str(cell["noise"]) == noise), key=lambda cell: cell["intensity"])
        parts = framed(plain(noise), unit, "intensity (ratio of peaks)", y, low)
        intensities = ([0.0] if clean else []) + [float(cell["intensity"]) for cell in row]
        parts += [text(x(intensity), BOTTOM + 16, "clean" if intensity == 0 else f"{intensity:g}", "middle", "tick")
                  for intensity in dict.fromkeys(intensities)]
        if even is not None:
            parts.append(line(LEFT, y(even), RIGHT, y(even), "even"))
        for position, series in enumerate(drawn):
            parts += _line(series, [*([(0.0, clean)] if clean else []), *((float(cell["intensity"]), cell)
                                                                          for cell in row)],
                           x, y, 5.0 * (position - (len(drawn) - 1) / 2), unit)
        panels.append(panel(f"{unit} by intensity of {plain(noise)}", parts, BOTTOM + 38))
    key = [(_key_sample(series.style), series.name) for series in drawn]
    if even is not None:
        key.append((keyed(line(2, 8, 34, 8, "even")), f"share of time ({number(even)})"))
    return Chart(panels, key)


def _line(series: Series, cells: Sequence[tuple[float, Any]], x: Any, y: Any, shift: float, unit: str) -> list[Markup]:
    """Points with their intervals beside each other, so that none hides another, and the line through them."""
    measured = [(intensity, cell, series.of(cell)) for intensity, cell in cells
                if is_number(pick(series.of(cell), "mean"))]
    bars, points, marks = [], [], []
    for intensity, cell, value in measured:
        low, high = (value.get(name) for name in ("low", "high"))
        centre = x(intensity) + shift
        points.append((centre, y(value["mean"])))
        if is_number(low) and is_number(high):
            bars.append(line(centre, y(low), centre, y(high), f"spread series-{series.style % 8}"))
        where = "clean" if intensity == 0 else f"intensity {intensity:g}"
        title = (f"{series.name}, {where}: {unit} {number(value['mean'])} [{number(low)}, {number(high)}], "
                 f"{value.get('n') or pick(cell, 'n') or '?'} clips")
        marks.append(_mark(centre, y(value["mean"]), series.style, title))
    return [path(points, f"trend series-{series.style % 8}"), *bars, *marks]


def areas(faithfulness: Any, methods: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Areas of deletion and insertion with intervals: one panel a curve and fill, one row a method and baseline."""
    rows = [(str(words["name"]) + (" ✗" if pick(faithfulness, "methods", key, "beats_random") is False else ""),
             pick(faithfulness, "methods", key), position)
            for position, (key, words) in enumerate(methods.items()) if pick(faithfulness, "methods", key)]
    rows += [(f"{name} order", pick(faithfulness, name), 8) for name in ("random", "energy")]
    panels = []
    for curve, good in (("deletion", "low is good"), ("insertion", "high is good")):
        for fill in pick(faithfulness, "fills") or []:
            dots = [(name, pick(by_curve, curve, fill), position) for name, by_curve, position in rows]
            if any(is_number(pick(by_curve, "area")) for _, by_curve, _ in dots):
                panels.append(_dots(f"{curve}, filled with {plain(fill)}: {good}", dots))
    return Chart(panels, []) if panels else None


def _dots(title: str, rows: Sequence[tuple[str, Any, int]]) -> Markup:
    left, step, top = 128, 26, 28
    bottom = top + step * len(rows)
    x = scale(0, 1, left, RIGHT)
    parts = [text(0, 12, title, class_="label")]
    for tick in _TICKS:
        parts += [line(x(tick), top - 4, x(tick), bottom, "zero" if tick == 0 else "grid"),
                  text(x(tick), bottom + 14, f"{tick:g}", "middle", "tick")]
    parts.append(text(RIGHT, bottom + 30, "area (probability of the answer)", "end", "tick unit"))
    for position, (name, curve, style) in enumerate(rows):
        y = top + step * (position + 0.5)
        parts.append(text(left - 8, y + 4, name, "end", "tick"))
        area, low, high = (pick(curve, key) for key in ("area", "low", "high"))
        if not is_number(area):
            continue
        class_ = "baseline" if style == 8 else f"series-{style % 8}"
        if is_number(low) and is_number(high):
            parts.append(line(x(low), y, x(high), y, f"spread {class_}"))
        hover = f"{name}: {number(area, 3)} [{number(low, 3)}, {number(high, 3)}]"
        parts.append(dot(x(area), y, f"mark {class_}", hover, 5) if style == 8 else _mark(x(area), y, style, hover))
    return panel(title, parts, bottom + 36)


def curves(faithfulness: Any, methods: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """One panel a curve and fill, one line a method and baseline; None where no curve was kept."""
    shares = [share for share in pick(faithfulness, "shares") or [] if is_number(share)]
    lines = [(str(words["name"]) + (f" ({words['mark']})" if words["mark"] else ""), f"series-{position % 8}",
              pick(faithfulness, "methods", key)) for position, (key, words) in enumerate(methods.items())]
    lines += [(title, f"baseline-{name}", pick(faithfulness, name)) for name, title in _BASELINES.items()]
    fills = pick(faithfulness, "fills") or []
    lines = [drawn for drawn in lines if any(_heights(drawn[2], mode, fill, shares)
                                             for mode in ("deletion", "insertion") for fill in fills)]
    if not lines:
        return None
    panels = [_curve_panel(mode, str(fill), good, shares, lines)
              for mode, good in (("deletion", "low is good"), ("insertion", "high is good"))
              for fill in fills]
    return Chart(panels, [(keyed(path([(2, 8), (34, 8)], f"trend {style}")), name) for name, style, _ in lines])


def _heights(figures: Any, mode: str, fill: str, shares: list[float]) -> list[float]:
    values = [value for value in pick(figures, mode, fill, "curve") or [] if is_number(value)]
    return values if len(values) == len(shares) else []


def _curve_panel(mode: str, fill: str, good: str, shares: list[float], lines: list[tuple[str, str, Any]]) -> Markup:
    x, y = scale(0, 1, LEFT, RIGHT), scale(0, 1, BOTTOM, TOP)
    gone = "replaced" if mode == "deletion" else "put back"
    title = f"{mode}, filled with {plain(fill)}: {good}"
    parts = framed(title, "probability of the answer", f"share of the sound {gone}", y, 0.0)
    parts += [text(x(share), BOTTOM + 16, f"{share:g}", "middle", "tick") for share in _SHARES]
    for name, style, figures in lines:
        heights = _heights(figures, mode, fill, shares)
        area = number(pick(figures, mode, fill, "area"), 3)
        parts.append(tag("g", tag("title", f"{name}: area {area}"),
                         path([(x(share), y(height)) for share, height in zip(shares, heights, strict=False)],
                              f"trend {style}")))
    return panel(title, parts, BOTTOM + 38)


def panel(label: str, parts: Sequence[Markup], height: float) -> Markup:
    """A whole picture that a screen reader announces by `label`."""
    return tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {height:g}", role="img", aria_label=label)


def framed(title: str, unit: str, below: str, y: Any, low: float) -> list[Markup]:
    """Title, vertical axis with its unit, and the words below the horizontal one; from `low`, 0 or -1, to 1."""
    ticks = _TICKS if low >= 0 else (-1.0, -0.5, 0.0, 0.5, 1.0)
    return [text(0, 12, title, class_="label"), text(0, 28, unit, class_="tick unit"),
            *(part for tick in ticks for part in (
                line(LEFT, y(tick), RIGHT, y(tick), "zero" if tick == 0 else "grid"),
                text(LEFT - 6, y(tick) + 4, f"{tick:g}", "end", "tick"))),
            text(RIGHT, BOTTOM + 32, below, "end", "tick unit")]


def _mark(x: float, y: float, style: int, title: str) -> Markup:
    kind, class_ = style % 4, f"mark series-{style % 8}"
    if kind == 1:
        return rect(x - 4, y - 4, 8, 8, class_, title=title)
    if kind == 2:
        return diamond(x, y, class_, title)
    if kind == 3:
        return tag("polygon", tag("title", title), points=f"{x:.1f},{y - 5:.1f} {x + 5:.1f},{y + 4:.1f} "
                   f"{x - 5:.1f},{y + 4:.1f}", class_=class_)
    return dot(x, y, class_, title, 4.2)


def _key_sample(style: int) -> Markup:
    """A line as the key shows it."""
    return keyed(path([(2, 8), (34, 8)], f"trend series-{style % 8}"), _mark(18, 8, style, ""))


def keyed(*parts: Markup) -> Markup:
    """A small picture for the key."""
    return tag("svg", *parts, viewBox="0 0 36 16", width=36, height=16, aria_hidden="true")


def spread(figures: Any, digits: int = 2, key: str = "mean") -> str:
    """A figure with its interval.

    >>> spread({"mean": 0.5, "low": 0.4, "high": 0.6})
    '0.50 [0.40, 0.60]'
    """
    low, high = number(pick(figures, "low"), digits), number(pick(figures, "high"), digits)
    shown = number(pick(figures, key), digits)
    return shown if "–" in (low, high) else f"{shown} [{low}, {high}]"
