"""What every HTML page of the project is made of: figures as words, pieces of inline SVG, and a security policy.

A figure reads alike on every page, and a missing one is a dash. Every text in SVG is escaped.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from ser_ops.emotions import EMOTIONS

CHANCE = 1 / len(EMOTIONS)
DASH = "–"


def pick(report: Any, *names: str) -> Any:
    """The value at a path of keys in nested mappings; None where the path breaks off.

    >>> pick({"clean": {"uar": 0.6}}, "clean", "uar"), pick({"clean": None}, "clean", "uar")
    (0.6, None)
    """
    for name in names:
        report = report.get(name) if isinstance(report, Mapping) else None
    return report


def is_number(value: Any) -> bool:
    """Whether a file holds a number here, and not a missing value or a yes."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any, digits: int = 2) -> str:
    """A figure with a fixed number of decimals, or a dash.

    >>> number(0.61844), number(None), number(5.0, 0)
    ('0.62', '–', '5')
    """
    return f"{value:.{digits}f}" if is_number(value) else DASH


def share(value: Any) -> str:
    """A share in [0, 1] with two decimals."""
    return number(value, 2)


def percent(value: Any, digits: int = 0) -> str:
    """A share as per cent; the space does not break.

    >>> percent(0.6184, 1), percent(None)
    ('61.8\\xa0%', '–')
    """
    return DASH if number(value) == DASH else f"{value:.{digits}%}".replace("%", "\N{NO-BREAK SPACE}%")


def interval(figures: Any, name: str = "uar", digits: int = 2) -> str:
    """A figure with its interval: 0.62 [0.55, 0.69].

    >>> interval({"uar": 0.62, "uar_low": 0.551, "uar_high": 0.69})
    '0.62 [0.55, 0.69]'
    >>> interval({"uar": 0.62})
    '0.62'
    """
    low, high = pick(figures, f"{name}_low"), pick(figures, f"{name}_high")
    shown = number(pick(figures, name), digits)
    if DASH in (number(low), number(high)):
        return shown
    return f"{shown} [{number(low, digits)}, {number(high, digits)}]"


def cell_name(cell: Any) -> str:
    """A cell of the grid in words.

    >>> cell_name("fish_market@0.75"), cell_name(None)
    ('fish market at 0.75', '–')
    """
    if not isinstance(cell, str):
        return DASH
    noise, _, intensity = cell.partition("@")
    return f"{plain(noise)} at {intensity}" if intensity else plain(noise)


def plain(name: Any) -> str:
    """A name as a person writes it.

    >>> plain("fish_market")
    'fish market'
    """
    return str(name).replace("_", " ")


def figure(value: Any) -> str:
    """A gate's figure or limit, whatever its kind.

    >>> figure(0.41234), figure(2e-7), figure(True), figure({"wav2vec": False}), figure(None)
    ('0.412', '2.0e-07', 'yes', 'wav2vec no', '–')
    """
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(name)} {figure(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.001 else f"{value:.3f}"
    return str(value)


def settings(params: Any) -> str:
    """Settings as YAML would show them."""
    return json.dumps(params, indent=2, ensure_ascii=False) if params else DASH


def tag(name: str, *content: str, **attributes: object) -> Markup:
    """One element; underscores in attribute names become dashes, None leaves an attribute out, `class_` is class.

    >>> tag("text", "a < b", x=1, font_size=9)
    Markup('<text x="1" font-size="9">a &lt; b</text>')
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(_rounded(value))}"'
                      for key, value in attributes.items() if value is not None)
    return Markup(f"<{name}{written}>{''.join(map(escape, content))}</{name}>")


def _rounded(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def line(x1: float, y1: float, x2: float, y2: float, class_: str = "axis") -> Markup:
    """A straight line; coordinates in pixels."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def text(x: float, y: float, words: str, anchor: str = "start", class_: str = "") -> Markup:
    """Words at a point in pixels; `anchor`: the part of them at that point: start, middle or end."""
    return tag("text", words, x=float(x), y=float(y), text_anchor=anchor, class_=class_ or None)


def rect(x: float, y: float, width: float, height: float, class_: str, radius: float = 0, title: str = "") -> Markup:
    """A rectangle in pixels, with round corners of `radius` and a hover title; a negative width counts as 0."""
    content = [tag("title", title)] if title else []
    return tag("rect", *content, x=float(x), y=float(y), width=float(max(width, 0)), height=float(height),
               class_=class_, rx=radius or None)


def dot(x: float, y: float, class_: str, title: str = "", radius: float = 5) -> Markup:
    """A filled circle in pixels, with a hover title."""
    content = [tag("title", title)] if title else []
    return tag("circle", *content, cx=float(x), cy=float(y), r=float(radius), class_=class_)


def diamond(x: float, y: float, class_: str, title: str, reach: float = 5.5) -> Markup:
    """A square on its tip, `reach` pixels from its centre to each tip, with a hover title."""
    points = f"{x:.1f},{y - reach:.1f} {x + reach:.1f},{y:.1f} {x:.1f},{y + reach:.1f} {x - reach:.1f},{y:.1f}"
    return tag("polygon", tag("title", title), points=points, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points (x, y) in pixels."""
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def drawing(width: int, height: int, label: str, parts: Sequence[Markup]) -> Markup:
    """A whole picture that a screen reader announces by `label`; it scrolls on a narrow screen."""
    return tag("div", tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=label,
                          style=f"min-width:{min(width, 700)}px;max-width:{width}px"), class_="chart")


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """The function that maps values from `low` to `high` to coordinates from `start` to `end`, in pixels.

    >>> scale(0, 1, 100, 200)(0.25)
    125.0
    """
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start)


def policy(script: str = "", style: str = "") -> str:
    """The content security policy of a page that holds all it shows.

    Args:
        script: the text of the page's only script element; '' for a page that has none, where no script ever runs.
        style: the text of its only style element; '' admits any style inside the page, as SVG's own attributes need.

    Returns:
        What stands in the `content` of `<meta http-equiv="Content-Security-Policy">`, the first thing in the head.

    >>> policy()
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    """
    scripts = f"script-src {_hash_source(script)}; " if script else ""
    styles = _hash_source(style) if style else "'unsafe-inline'"
    return (f"default-src 'none'; {scripts}style-src {styles}; img-src data:; media-src data:; base-uri 'none'; "
            "form-action 'none'")


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
