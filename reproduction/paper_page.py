"""reports/NAME/: a paper's page, self-contained, with the same figures as JSON and as CSV.

What a page that reproduces a paper is made of, as plain values: tables in its shape, figures, and why not.

What every table of a paper's page stands on, in words: corpora, partitions, backbones, seeds, runs.
"""

import base64
import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ser_ops.files import replacing, write_json, write_text
from ser_ops.pages import DASH, policy


@dataclass(frozen=True)
class Cell:
    """One entry: our figure and the paper's, each as it is shown; `low` and `high` bound ours; None: there is none.

    unit: "percent" (0 to 100), "share" (0 to 1), "count", "millions" or "" for words. spread: deviation over folds or
    seeds, in the same unit. mark: why the paper's figure cannot be right, or what stands in for ours; "" for nothing.
    """

    ours: float | str | None = None
    paper: float | str | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table under the paper's own number. `missing` says which corpus or checkpoint it lacks and how to get it.

    Rows are as long as `columns`; a plain string is a row's own name. A table with `missing` may still hold rows: those
    that could be filled, and the paper's figures; a cell of ours that could not be is None. protocols: those that
    ours were made under, for the caption; empty: all that the page's facts name.
    """

    key: str                            # "table_iv"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    notes: tuple[str, ...] = ()
    missing: str = ""
    protocols: tuple[str, ...] = ()

    @property
    def filled(self) -> bool:
        """Whether it holds any figure of ours."""
        return any(isinstance(cell, Cell) and isinstance(cell.ours, int | float) for row in self.rows for cell in row)


@dataclass(frozen=True)
class Figure:
    """Pictures under the paper's own number; `files` are relative to the page's folder."""

    key: str                            # "figure_4"
    title: str
    files: tuple[str, ...]
    caption: str
    missing: str = ""


@dataclass(frozen=True)
class Page:
    """A paper: what it is held against, tables and figures in its order, and what else belongs beside them.

    facts: what every table stands on, in the order in which it is shown (partition protocol, corpora present and
    missing, backbone, preset, seeds, runs, commit). warnings stand on top (synthetic, partial, random weights).
    sections: further pictures with their words: {"title", "words": [...], "svg": Markup, "table": Table | None}; with
    "first": True it stands before the tables, else after the figures.
    """

    name: str                           # "paper1", also the folder below reports/
    title: str
    reference: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    sections: tuple[dict[str, Any], ...] = field(default=())


LEAKS: dict[str, str] = {
    "speaker": "no speaker is both trained on and tested on",
    "random": "by utterance: speakers are in training and test alike",
    "paper": "by row after augmentation: variants of one utterance are in training and test alike",
}
TITLES: dict[str, str] = {"ravdess": "RAVDESS", "crema_d": "CREMA-D", "tess": "TESS", "savee": "SAVEE"}


def warnings(provenance: Mapping[str, Any], backbones: Iterable[str | None] = ()) -> tuple[str, ...]:
    """What must stand on top of the page, each with its name in capitals and what it means after a colon.

    provenance: {"corpora", "synthetic", "partial": lists of names}, as runs.json and splits.json hold it.
    backbones: how the models' cards describe theirs; those that begin with "random" were not pretrained.
    """
    found = []
    if synthetic := provenance.get("synthetic"):
        every = set(synthetic) >= set(provenance.get("corpora") or synthetic)
        found.append(f"SYNTHETIC SPEECH: {'all' if every else 'part of the'} speech here was spoken by a synthesiser "
                     f"({', '.join(synthetic)}). Our figures say that the pipeline works; of people they say nothing.")
    if partial := provenance.get("partial"):
        found.append(f"PARTIAL CORPUS: {', '.join(partial)} {'is' if len(partial) == 1 else 'are'} not the full "
                     "published corpus. Our figures cannot be set beside results on the whole.")
    if random := sorted({one for one in backbones if one and one.startswith("random")}):
        found.append(f"RANDOM-WEIGHT BACKBONE: not pretrained ({'; '.join(random)}). Such models are much weaker than "
                     "ones that start from a large pretrained checkpoint.")
    return tuple(found)


def facts(provenance: Mapping[str, Any], protocols: Iterable[str] = (),
          backbones: Mapping[str, str | None] | None = None,
          runs: Mapping[str, str | None] | None = None) -> tuple[tuple[str, str], ...]:
    """(name, what) in the order in which a page shows them.

    protocols: those whose figures the page shows; each is explained, with the leaks that it declares.
    backbones: by model, as the models' cards say. runs: MLflow run ids, by what was run.
    """
    declared = provenance.get("declared") or {}
    found = [(f"Partition protocol {name}", "; ".join([LEAKS.get(name, "as its own stage says"),
                                                      *(one for one in declared.get(name) or [] if one)]))
             for name in protocols]
    found += [("Corpora", _names(provenance.get("corpora")) if provenance.get("corpora") else "none"),
              ("Missing", "none of the papers' four" if not provenance.get("missing") else
               ", ".join(title(name) for name in provenance["missing"])),
              ("Synthetic", _names(provenance.get("synthetic"))), ("Partial", _names(provenance.get("partial")))]
    kinds: dict[str, list[str]] = {}
    for model, backbone in (backbones or {}).items():
        kinds.setdefault(backbone or "not said", []).append(model)
    if kinds:
        found.append(("Backbone", "; ".join(f"{', '.join(models)}: {kind}" for kind, models in kinds.items())))
    found += [("Preset", _known(provenance.get("preset"))), ("Variants", _names(provenance.get("variants")))]
    if provenance.get("count"):
        found.append(("Folds", str(provenance["count"])))
    seeds = provenance.get("seeds") or ([provenance["seed"]] if provenance.get("seed") is not None else [])
    found.append(("Seeds" if len(seeds) > 1 else "Seed", _names([str(one) for one in seeds])))
    if runs:
        found.append(("MLflow runs", "; ".join(f"{name}: {run or DASH}" for name, run in runs.items())))
    changed = {"true": " with changes", "false": ""}.get(str(provenance.get("dirty")).lower(), "")
    found += [("Commit", _known(provenance.get("commit")) + changed),
              ("Data (DVC)", _known(provenance.get("data_md5")))]
    return tuple(found)


def how_to_get(corpus: str) -> str:
    """How a corpus is brought in, in one line.

    >>> how_to_get("tess").split(":")[0]
    'TESS is not here'
    """
    return (f"{title(corpus)} is not here: run `ser-ops corpora add {corpus} FOLDER-OR-ZIP`, list {corpus} under "
            "data.corpora in params.yaml, then `dvc add data`; where to obtain it: docs/reference/corpora.md")


def standing(provenance: Mapping[str, Any], corpus: str) -> str:
    """"here", "synthetic" (only synthesised speech in that corpus's layout) or "missing".

    >>> standing({"corpora": ["synthetic_tess"], "synthetic": ["synthetic_tess"], "missing": []}, "tess")
    'synthetic'
    """
    if corpus in (provenance.get("missing") or []):
        return "missing"
    present, synthetic = provenance.get("corpora") or [], set(provenance.get("synthetic") or [])
    named = [name for name in present if corpus in name] or list(present)
    if not named:
        return "missing"
    return "synthetic" if all(name in synthetic for name in named) else "here"


def title(corpus: str) -> str:
    """A corpus as its publishers write it.

    >>> title("crema_d"), title("mine")
    ('CREMA-D', 'mine')
    """
    return TITLES.get(corpus, corpus)


def _names(values: Iterable[str] | None) -> str:
    return ", ".join(values or []) or "none"


def _known(value: Any) -> str:
    return DASH if value in (None, "") else str(value)


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
