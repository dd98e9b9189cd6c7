"""Small pieces of inline SVG: every text escaped, every mark with a hover title where it has one."""

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape


def tag(name: str, *content: str, **attributes: object) -> Markup:
    """One element; underscores in attribute names become dashes, None leaves an attribute out, `class_` is class.

    >>> tag("text", "a < b", x=1, font_size=9)
    Markup('<text x="1" font-size="9">a &lt; b</text>')
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
                      for key, value in attributes.items() if value is not None)
    return Markup(f"<{name}{written}>{''.join(map(escape, content))}</{name}>")


def _short(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def titled(mark: Callable[..., Markup], title: str, **attributes: object) -> Markup:
    """A group with a hover title around a mark."""
    return tag("g", tag("title", title), mark(**attributes))


def line(x1: float, y1: float, x2: float, y2: float, class_: str = "axis") -> Markup:
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def text(x: float, y: float, words: str, anchor: str = "start", class_: str = "") -> Markup:
    return tag("text", words, x=float(x), y=float(y), text_anchor=anchor, class_=class_ or None)


def rect(x: float, y: float, width: float, height: float, class_: str, radius: float = 0, title: str = "") -> Markup:
    content = [tag("title", title)] if title else []
    return tag("rect", *content, x=float(x), y=float(y), width=float(max(width, 0)), height=float(height),
               class_=class_, rx=radius or None)


def dot(x: float, y: float, class_: str, title: str = "", radius: float = 5) -> Markup:
    content = [tag("title", title)] if title else []
    return tag("circle", *content, cx=float(x), cy=float(y), r=float(radius), class_=class_)


def diamond(x: float, y: float, class_: str, title: str, reach: float = 5.5) -> Markup:
    points = f"{x:.1f},{y - reach:.1f} {x + reach:.1f},{y:.1f} {x:.1f},{y + reach:.1f} {x - reach:.1f},{y:.1f}"
    return tag("polygon", tag("title", title), points=points, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def drawing(width: int, height: int, label: str, parts: Sequence[Markup]) -> Markup:
    """A whole picture that a screen reader announces by `label`; it scrolls on a narrow screen."""
    return tag("div", tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=label,
                          style=f"min-width:{min(width, 700)}px;max-width:{width}px"), class_="chart")


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From values to places on the page.

    >>> scale(0, 1, 100, 200)(0.25)
    125.0
    """
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start)
