"""Figures into words, the same way everywhere on the page; what is missing becomes a dash."""

import json
from collections.abc import Mapping
from typing import Any

from ser_ops.emotions import EMOTIONS

CHANCE = 1 / len(EMOTIONS)
DASH = "–"


def pick(report: Any, *names: str) -> Any:
    """What stands at a path of nested mappings, None where it breaks off.

    >>> pick({"clean": {"uar": 0.6}}, "clean", "uar"), pick({"clean": None}, "clean", "uar")
    (0.6, None)
    """
    for name in names:
        report = report.get(name) if isinstance(report, Mapping) else None
    return report


def number(value: Any, digits: int = 2) -> str:
    """A figure with a fixed number of decimals, or a dash.

    >>> number(0.61844), number(None), number(5.0, 0)
    ('0.62', '–', '5')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return DASH
    return f"{value:.{digits}f}"


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
        return ", ".join(f"{plain(name)} {figure(one)}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.001 else f"{value:.3f}"
    return str(value)


def settings(params: Any) -> str:
    """Settings as YAML would show them."""
    return json.dumps(params, indent=2, ensure_ascii=False) if params else DASH
