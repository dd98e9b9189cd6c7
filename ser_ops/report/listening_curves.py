"""Deletion and insertion curves of the listening page: the answer's probability by how much sound is replaced."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ser_ops.pages.svg import path, scale, tag, text
from ser_ops.pages.words import number, pick, plain
from ser_ops.report.listening_charts import BOTTOM, LEFT, RIGHT, TOP, Chart, framed, is_number, keyed, panel

_BASELINES = {"random": "random order", "energy": "order by energy"}
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def curves(faithfulness: Any, methods: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """One panel a curve and fill, one line a method and baseline; None where no curve was kept."""
    shares = [one for one in pick(faithfulness, "shares") or [] if is_number(one)]
    lines = [(str(one["name"]) + (f" ({one['mark']})" if one["mark"] else ""), f"series-{place % 8}",
              pick(faithfulness, "methods", key)) for place, (key, one) in enumerate(methods.items())]
    lines += [(title, f"baseline-{name}", pick(faithfulness, name)) for name, title in _BASELINES.items()]
    lines = [one for one in lines if any(_heights(one[2], mode, fill, shares) for mode in ("deletion", "insertion")
                                         for fill in pick(faithfulness, "fills") or [])]
    if not lines:
        return None
    panels = [_panel(mode, str(fill), good, shares, lines)
              for mode, good in (("deletion", "low is good"), ("insertion", "high is good"))
              for fill in pick(faithfulness, "fills")]
    return Chart(panels, [(keyed(path([(2, 8), (34, 8)], f"trend {style}")), name) for name, style, _ in lines])


def _heights(one: Any, mode: str, fill: str, shares: list[float]) -> list[float]:
    found = [value for value in pick(one, mode, fill, "curve") or [] if is_number(value)]
    return found if len(found) == len(shares) else []


def _panel(mode: str, fill: str, good: str, shares: list[float], lines: list[tuple[str, str, Any]]) -> Markup:
    x, y = scale(0, 1, LEFT, RIGHT), scale(0, 1, BOTTOM, TOP)
    gone = "replaced" if mode == "deletion" else "put back"
    title = f"{mode}, filled with {plain(fill)}: {good}"
    parts = framed(title, "probability of the answer", f"share of the sound {gone}", y, 0.0)
    parts += [text(x(one), BOTTOM + 16, f"{one:g}", "middle", "tick") for one in _SHARES]
    for name, style, one in lines:
        heights = _heights(one, mode, fill, shares)
        area = number(pick(one, mode, fill, "area"), 3)
        parts.append(tag("g", tag("title", f"{name}: area {area}"),
                         path([(x(share), y(height)) for share, height in zip(shares, heights, strict=False)],
                              f"trend {style}")))
    return panel(title, parts, BOTTOM + 38)
