"""reports/NAME/: a paper's page, self-contained, with the same figures as JSON and as CSV."""

import base64
import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ser_ops.files import replacing, write_json, write_text
from ser_ops.pages.policy import policy
from ser_ops.pages.words import DASH
from ser_ops.papers.table import Cell, Figure, Page, Table

FIELDS: tuple[str, ...] = ("row", "column", "ours", "low", "high", "spread", "paper", "unit", "mark")
_HERE = Path(__file__).parent
_KEY = re.compile(r"(table|figure)_([0-9]+[a-z]?|[ivxlc]+)(?=_|$)")
_PRINTED = re.compile(r"-?[0-9]+(\.[0-9]+)?%?")
_DIGITS = {"percent": 2, "share": 3, "count": 0, "": 3}


def build(page: Page, reports: Path) -> Path:
    """Write reports/<name>/tables/*.csv, tables.json and index.html, and return index.html.

    Each is written whole or not at all. Pictures that the figures name lie in that folder already and are embedded;
    one that does not is said on the page. Raises ValueError for a row of another length than its table's columns,
    UserError when the folder cannot be written.
    """
    folder = reports / page.name
    every = [*page.tables, *(one["table"] for one in page.sections if one.get("table") is not None)]
    for table in every:
        for row in table.rows:
            if len(row) != len(table.columns):
                raise ValueError(f"{table.key}: a row of {len(row)} entries under {len(table.columns)} columns")
    with replacing(folder / "tables") as tables:
        tables.mkdir()
        for table in every:
            _write_csv(tables / f"{table.key}.csv", table)
    write_json(folder / "tables.json", content(page))
    write_text(folder / "index.html", render(page, folder))
    return folder / "index.html"


def content(page: Page) -> dict[str, Any]:
    """What tables.json holds: the page's words, and every table cell by cell. What is no finite number is null."""
    return {"name": page.name, "title": page.title, "reference": page.reference, "warnings": list(page.warnings),
            "facts": [list(fact) for fact in page.facts], "tables": [_table(one) for one in page.tables],
            "figures": [{"key": one.key, "title": one.title, "files": list(one.files), "caption": one.caption,
                         "missing": one.missing} for one in page.figures],
            "sections": [{"title": one["title"], "words": [str(word) for word in one.get("words") or []],
                          "table": one.get("table") and _table(one["table"])} for one in page.sections]}


def _table(table: Table) -> dict[str, Any]:
    rows = [[_entry(one) if isinstance(one, Cell) else one for one in row] for row in table.rows]
    return {"key": table.key, "title": table.title, "columns": list(table.columns), "rows": rows,
            "notes": list(table.notes), "missing": table.missing, "filled": table.filled,
            "protocols": list(table.protocols)}


def _entry(cell: Cell) -> dict[str, Any]:
    """A cell's fields, numbers as numbers: a printed "95.30%" is 95.3 in per cent."""
    paper = cell.paper
    if cell.unit and isinstance(paper, str) and _PRINTED.fullmatch(paper):
        paper = float(paper.removesuffix("%"))
    return {key: _plain(paper if key == "paper" else getattr(cell, key)) for key in FIELDS[2:]}


def _plain(value: Any) -> Any:
    """A number that JSON can hold, words, or None."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and not isinstance(value, float) else number


def _write_csv(path: Path, table: Table) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in table.rows:
            name = ", ".join(one for one in row if isinstance(one, str))
            for column, one in zip(table.columns, row, strict=True):
                if isinstance(one, Cell):
                    writer.writerow({"row": name, "column": column} | {
                        key: "" if value is None else value for key, value in _entry(one).items()})


def shown(value: float | str | None, unit: str, digits: int | None = None) -> str:
    """A figure as the page shows it; words as they stand.

    >>> shown(61.844, "percent"), shown(0.61844, "share"), shown(2800, "count"), shown(0.593, "millions")
    ('61.84\\xa0%', '0.618', '2,800', '0.593\\xa0M')
    >>> shown(None, "share"), shown("98%", "percent"), shown(1440, ""), shown(float("nan"), "share"), shown(0.0001, "")
    ('–', '98%', '1,440', '–', '0.0001')
    """
    if value is None or isinstance(value, str):
        return value or DASH
    if not math.isfinite(value):
        return DASH
    if unit == "count" or (unit == "" and float(value).is_integer()):
        return f"{value:,.0f}"
    if unit == "millions":
        return f"{value:.{(1 if value >= 10 else 3) if digits is None else digits}f}\N{NO-BREAK SPACE}M"
    if unit == "" and 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    written = f"{value:.{_DIGITS.get(unit, 3) if digits is None else digits}f}"
    return written + ("\N{NO-BREAK SPACE}%" if unit == "percent" else "")


def _claimed(cell: Cell) -> str:
    """The paper's figure; shares with the four decimals that the papers print."""
    return shown(cell.paper, cell.unit, 4 if cell.unit == "share" else None)


def _bounds(cell: Cell) -> str:
    if cell.low is None or cell.high is None or not math.isfinite(cell.low) or not math.isfinite(cell.high):
        return ""
    return f"[{shown(cell.low, cell.unit)}, {shown(cell.high, cell.unit)}]".replace("\N{NO-BREAK SPACE}%", "")


def _spread(cell: Cell) -> str:
    if cell.spread is None or not math.isfinite(cell.spread):
        return ""
    return f"±\N{NO-BREAK SPACE}{shown(cell.spread, cell.unit)}".removesuffix("\N{NO-BREAK SPACE}%")


def label(key: str) -> str:
    """The paper's own number of a table or figure, "" for what the paper does not have.

    >>> label("table_iv"), label("figure_3a"), label("figure_3_random"), label("matrix")
    ('Table IV', 'Figure 3a', 'Figure 3', '')
    """
    found = _KEY.match(key)
    if not found:
        return ""
    kind, number = found.groups()
    return f"{kind.capitalize()} {number if number[0].isdigit() else number.upper()}"


def heading(key: str, title: str) -> str:
    """The title with its number before it, where it does not say it itself."""
    number = label(key)
    return title if not number or title.lower().startswith(number.lower()) else f"{number}. {title}"


@dataclass(frozen=True)
class Block:
    """What stands together on the page under one number: tables and figures of the paper."""

    anchor: str
    short: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]


def blocks(page: Page) -> tuple[list[Block], list[Block]]:
    """The page's tables in their order, then its figures by number with the tables that stand for one or beside one."""
    tables: list[Table] = []
    figures: list[Table] = []
    for table in page.tables:
        (figures if label(table.key).startswith("Figure") else tables).append(table)
    keys = [*(one.key for one in page.figures), *(one.key for one in figures)]
    numbers = list(dict.fromkeys(label(key) or key for key in keys))
    numbers.sort(key=_order)
    return ([Block(one.key, label(one.key) or one.title, (one,), ()) for one in tables],
            [Block(number.lower().replace(" ", "_"), number,
                   tuple(one for one in figures if (label(one.key) or one.key) == number),
                   tuple(one for one in page.figures if (label(one.key) or one.key) == number)) for number in numbers])


def _order(number: str) -> tuple[int, str]:
    """Figures by their number; what has none, last."""
    found = re.search(r"\d+", number)
    return (int(found.group()) if found else 10**6, number if found else "")


@dataclass
class _Notes:
    """A table's footnotes: each reason once, under one sign."""

    reasons: list[str]

    def sign(self, reason: str) -> str:
        if reason not in self.reasons:
            self.reasons.append(reason)
        return _letters(self.reasons.index(reason))

    def all(self) -> Iterator[tuple[str, str]]:
        return ((_letters(place), reason) for place, reason in enumerate(self.reasons))


def _letters(place: int) -> str:
    """a to z, then aa, ab, ..."""
    return (_letters(place // 26 - 1) if place >= 26 else "") + chr(ord("a") + place % 26)


def numeric(table: Table) -> tuple[bool, ...]:
    """Which columns hold figures with a unit: those stand to the right."""
    return tuple(any(isinstance(row[place], Cell) and row[place].unit for row in table.rows)  # type: ignore[union-attr]
                 for place in range(len(table.columns)))


def compared(table: Table) -> bool:
    """Whether the paper's figures stand in it."""
    return any(isinstance(one, Cell) and one.paper is not None for row in table.rows for one in row)


def protocols(table: Table, facts: Sequence[tuple[str, str]]) -> str:
    """For the caption: the partition protocols that ours were made under; "" for a table that has none of ours."""
    if not any(isinstance(one, Cell) and one.ours is not None for row in table.rows for one in row):
        return ""
    named = table.protocols or tuple(name.removeprefix("Partition protocol ") for name, _ in facts
                                     if name.startswith("Partition protocol "))
    if named:
        return f"Partition protocol{'s' if len(named) > 1 else ''} of ours: {', '.join(named)}."
    told = next((what for name, what in facts if "protocol" in name.lower()), "")
    return f"Partition protocol of ours: {told}." if told else ""


def _picture(folder: Path, name: str) -> Markup | None:
    """A PNG of the page's folder as a data URI; None when there is none, or the name leads out of the folder."""
    path = (folder / name).resolve()
    if path.suffix != ".png" or not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return Markup(f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}")


def render(page: Page, folder: Path) -> str:
    """The page as HTML; every text is escaped, pictures of `folder` are embedded, nothing else is asked for."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    environment.tests |= {"cell": lambda value: isinstance(value, Cell)}
    environment.globals |= {"footnotes": lambda: _Notes([]), "shown": shown, "claimed": _claimed, "bounds": _bounds,
                            "spread": _spread, "heading": heading, "protocols": protocols, "numeric": numeric,
                            "compared": compared}
    tables, figures = blocks(page)
    values: Mapping[str, Any] = {
        "page": page, "tables": tables, "figures": figures, "dash": DASH,
        "warnings": [one.partition(":")[::2] for one in page.warnings],
        "policy": policy(), "style": Markup((_HERE / "paper.css").read_text(encoding="utf-8")),
        "picture": lambda name: _picture(folder, name)}
    return environment.get_template("paper.html.j2").render(values) + "\n"
