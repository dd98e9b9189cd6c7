"""A page that reproduces a paper: tables and figures in its shape, as HTML, JSON and CSV below reports/NAME/.

A page is described by plain values (Page, Table, Cell, Figure) and written by `build_page`; `warnings` and `facts` say
in words what its figures stand on.
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
from ser_ops.pages import DASH, plain, policy

FIELDS: tuple[str, ...] = ("row", "column", "ours", "low", "high", "spread", "paper", "unit", "mark")
_HERE = Path(__file__).parent
_NUMBERED_KEY = re.compile(r"(table|figure)_([0-9]+[a-z]?|[ivxlc]+)(?=_|$)")
_PRINTED = re.compile(r"-?[0-9]+(\.[0-9]+)?%?")
_DIGITS = {"percent": 2, "share": 3, "count": 0, "": 3}
LEAKS: dict[str, str] = {
    "speaker": "no speaker is both trained on and tested on",
    "word": "by word: no test word is trained on, speakers are in training and test alike",
    "utterance": "by utterance: speakers are in training and test alike",
    "random": "by utterance: speakers are in training and test alike",
    "paper": "by row after augmentation: variants of one utterance are in training and test alike",
}
INTERVALS = "Bootstrap intervals"       # the fact that names their level
CORPUS_TITLES: dict[str, str] = {"ravdess": "RAVDESS", "crema_d": "CREMA-D", "tess": "TESS", "savee": "SAVEE"}


@dataclass(frozen=True)
class Cell:
    """An entry of a table: our figure and the paper's, None where there is none.

    Args:
        ours: our figure, or words.
        paper: the printed figure, or words.
        unit: of both: "percent" (0 to 100), "share" (0 to 1), "count", "millions" or "" for words.
        low: lower end of the interval around ours.
        high: its upper end.
        spread: deviation of ours over folds or seeds.
        mark: a footnote: why the paper's figure cannot be right, or what stands in for ours; "" for none.
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
    """A table under the paper's own number.

    Args:
        key: such as "table_iv".
        title: without the number.
        columns: their headings.
        rows: each as long as `columns`; a plain string is a row's own name.
        notes: sentences below the table.
        missing: which corpus or checkpoint it lacks and how to get it, "" where it is whole. Such a table may still
            hold rows: those that could be filled, and the paper's figures.
        protocols: partition protocols that ours were made under; empty: all that the page's facts name.
    """

    key: str
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
    """Pictures under the paper's own number, such as key "figure_4"; `files` lie in the page's folder."""

    key: str
    title: str
    files: tuple[str, ...]
    caption: str
    missing: str = ""


@dataclass(frozen=True)
class Page:
    """A page: what it is held against, tables and figures in the paper's order, and what else belongs beside them.

    Args:
        name: such as "paper1"; also the page's folder below reports/.
        title: the page's heading.
        reference: the paper, or what the page is about.
        warnings: sentences on top, as `warnings` gives them.
        facts: what every table stands on, as `facts` gives it.
        tables: in the paper's order.
        figures: in the paper's order.
        sections: further pictures with their words: {"title", "words": [...], "svg": Markup, "table": Table | None};
            with "first": True a section stands before the tables, else after the figures.
    """

    name: str
    title: str
    reference: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    sections: tuple[dict[str, Any], ...] = field(default=())


def warnings(provenance: Mapping[str, Any], backbones: Mapping[str, str | None] | None = None) -> tuple[str, ...]:
    """What must stand on top of the page, each with its name in capitals and what it means after a colon.

    provenance: {"corpora", "synthetic", "partial": lists of names}, as runs.json and splits.json hold it.
    backbones: how the card of each model describes its own; what begins with "random" was not pretrained.
    """
    sentences = []
    if synthetic := provenance.get("synthetic"):
        part = "all" if set(synthetic) >= set(provenance.get("corpora") or synthetic) else "part of the"
        sentences.append(f"SYNTHETIC SPEECH: {part} speech here was spoken by a synthesiser ({', '.join(synthetic)}). "
                         "Our figures say that the pipeline works; of people they say nothing.")
    if partial := provenance.get("partial"):
        sentences.append(f"PARTIAL CORPUS: {', '.join(partial)} {'is' if len(partial) == 1 else 'are'} not the full "
                         "published corpus. Our figures cannot be set beside results on the whole.")
    random = {model: backbone for model, backbone in (backbones or {}).items()
              if backbone and backbone.startswith("random")}
    if random:
        sentences.append(f"RANDOM-WEIGHT BACKBONE: that of {', '.join(map(plain, random))} is not pretrained "
                         f"({'; '.join(sorted(set(random.values())))}). Such models are much weaker than ones that "
                         "start from a large pretrained checkpoint.")
    return tuple(sentences)


def facts(provenance: Mapping[str, Any], protocols: Iterable[str] = (),
          backbones: Mapping[str, str | None] | None = None,
          runs: Mapping[str, str | None] | None = None) -> tuple[tuple[str, str], ...]:
    """(name, what) in the order in which a page shows them.

    protocols: those whose figures the page shows; each is explained, with the leaks that it declares.
    backbones: by model, as the models' cards say. runs: MLflow run ids, by what was run.
    """
    declared = provenance.get("declared") or {}
    listed = [(f"Partition protocol {name}", "; ".join([*(LEAKS.get(unit, "as its own stage says")
                                                          for unit in name.split(" and ")),
                                                        *(leak for leak in declared.get(name) or [] if leak)]))
              for name in protocols]
    listed += [("Corpora", _names(provenance.get("corpora")) if provenance.get("corpora") else "none"),
               ("Missing", "none of those that the paper uses" if not provenance.get("missing") else
               ", ".join(corpus_title(name) for name in provenance["missing"])),
               ("Synthetic", _names(provenance.get("synthetic"))), ("Partial", _names(provenance.get("partial")))]
    kinds: dict[str, list[str]] = {}
    for model, backbone in (backbones or {}).items():
        kinds.setdefault(backbone or "not said", []).append(model)
    if kinds:
        listed.append(("Backbone", "; ".join(f"{', '.join(models)}: {kind}" for kind, models in kinds.items())))
    listed += [("Preset", _or_dash(provenance.get("preset"))), ("Variants", _names(provenance.get("variants")))]
    if counts := provenance.get("counts"):
        listed.append(("Folds", ", ".join(f"{protocol}: {count or 'not admitted by these corpora'}"
                                          for protocol, count in counts.items())))
    seeds = provenance.get("seeds") or ([provenance["seed"]] if provenance.get("seed") is not None else [])
    listed.append(("Seeds" if len(seeds) > 1 else "Seed", _names([str(seed) for seed in seeds])))
    if level := confidence_level(provenance):
        resamples = provenance.get("resamples")
        listed.append((INTERVALS, f"{level}, {resamples:,} resamples" if resamples else level))
    if runs:
        listed.append(("MLflow runs", "; ".join(f"{name}: {run or DASH}" for name, run in runs.items())))
    changed = {"true": " with changes", "false": ""}.get(str(provenance.get("dirty")).lower(), "")
    listed += [("Commit", _or_dash(provenance.get("commit")) + changed),
               ("Data (DVC)", _or_dash(provenance.get("data_md5")))]
    return tuple(listed)


def confidence_level(provenance: Mapping[str, Any]) -> str:
    """The level of a report's intervals in words; "" where it does not say it.

    >>> confidence_level({"confidence": 0.95}), confidence_level({"confidence": 0.975}), confidence_level({})
    ('95\\xa0%', '97.5\\xa0%', '')
    """
    level = provenance.get("confidence")
    return f"{100 * level:g}\N{NO-BREAK SPACE}%" if level else ""


def interval_note(provenance: Mapping[str, Any], units: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """A sentence of what the intervals in brackets are over; none where no unit is known.

    Args:
        provenance: of the report, which names their level.
        units: what has intervals, such as a corpus, to {"over": unit, "instead": why not over speakers}.

    >>> interval_note({}, {"tess": {"over": "utterances", "instead": "two voices"},
    ...                    "ravdess": {"over": "speakers", "instead": ""}})
    ('In brackets: bootstrap intervals; of tess over utterances, since two voices; of ravdess over speakers.',)
    """
    names: dict[str, list[str]] = {}
    for name, unit in units.items():
        if unit.get("over"):
            since = f", since {unit['instead']}" if unit.get("instead") else ""
            names.setdefault(f"over {unit['over']}{since}", []).append(name)
    if not names:
        return ()
    shown = " ".join(filter(None, ("In brackets:", confidence_level(provenance), "bootstrap intervals")))
    if len(names) == 1:
        return (f"{shown} {next(iter(names))}.",)
    return ("; ".join([shown, *(f"of {', '.join(corpora)} {over}" for over, corpora in names.items())]) + ".",)


def left_out(content: Mapping[str, Any]) -> list[str]:
    """A sentence for each model of a report that could not be trained: {"lacking": {model: why and what to do}}.

    >>> left_out({"lacking": {"vit": "its checkpoint cannot be had"}})
    ['Vit was not trained: its checkpoint cannot be had.']
    """
    return [f"{plain(model).capitalize()} was not trained: {reason}."
            for model, reason in (content.get("lacking") or {}).items()]


def _names(values: Iterable[str] | None) -> str:
    return ", ".join(values or []) or "none"


def _or_dash(value: Any) -> str:
    return DASH if value in (None, "") else str(value)


def how_to_get(corpus: str) -> str:
    """How a corpus is brought in, in one line.

    >>> how_to_get("tess").split(":")[0]
    'TESS is not here'
    """
    return (f"{corpus_title(corpus)} is not here: run `ser-ops corpora add {corpus} FOLDER-OR-ZIP`, list {corpus} "
            "under data.corpora in params.yaml, then `dvc add data`; where to obtain it: docs/reference/corpora.md")


def availability(provenance: Mapping[str, Any], corpus: str) -> str:
    """"here", "synthetic" (only synthesised speech in that corpus's layout) or "missing".

    >>> availability({"corpora": ["synthetic_tess"], "synthetic": ["synthetic_tess"], "missing": []}, "tess")
    'synthetic'
    """
    if corpus in (provenance.get("missing") or []):
        return "missing"
    present, synthetic = provenance.get("corpora") or [], set(provenance.get("synthetic") or [])
    named = [name for name in present if corpus in name] or list(present)
    if not named:
        return "missing"
    return "synthetic" if all(name in synthetic for name in named) else "here"


def corpus_title(corpus: str) -> str:
    """A corpus as its publishers write it.

    >>> corpus_title("crema_d"), corpus_title("mine")
    ('CREMA-D', 'mine')
    """
    return CORPUS_TITLES.get(corpus, corpus)


def build_page(page: Page, reports: Path) -> Path:
    """Write reports/<name>/tables/*.csv, tables.json and index.html, and return index.html.

    Each is written whole or not at all. Pictures that the figures name lie in that folder already and are embedded;
    one that does not is said on the page. Raises ValueError for a row of another length than its table's columns,
    UserError when the folder cannot be written.
    """
    folder = reports / page.name
    shown = [*page.tables, *(section["table"] for section in page.sections if section.get("table") is not None)]
    for table in shown:
        for row in table.rows:
            if len(row) != len(table.columns):
                raise ValueError(f"{table.key}: a row of {len(row)} entries under {len(table.columns)} columns")
    with replacing(folder / "tables") as tables:
        tables.mkdir()
        for table in shown:
            _write_csv(tables / f"{table.key}.csv", table)
    write_json(folder / "tables.json", page_content(page))
    write_text(folder / "index.html", render_page(page, folder))
    return folder / "index.html"


def _write_csv(path: Path, table: Table) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in table.rows:
            name = ", ".join(cell for cell in row if isinstance(cell, str))
            for column, cell in zip(table.columns, row, strict=True):
                if isinstance(cell, Cell):
                    writer.writerow({"row": name, "column": column} | {
                        key: "" if value is None else value for key, value in _cell_content(cell).items()})


def page_content(page: Page) -> dict[str, Any]:
    """What tables.json holds: the page's words, and every table cell by cell. What is no finite number is null."""
    return {"name": page.name, "title": page.title, "reference": page.reference, "warnings": list(page.warnings),
            "facts": [list(fact) for fact in page.facts], "tables": [_table_content(table) for table in page.tables],
            "figures": [{"key": figure.key, "title": figure.title, "files": list(figure.files),
                         "caption": figure.caption, "missing": figure.missing} for figure in page.figures],
            "sections": [{"title": section["title"], "words": [str(word) for word in section.get("words") or []],
                          "table": section.get("table") and _table_content(section["table"])}
                         for section in page.sections]}


def _table_content(table: Table) -> dict[str, Any]:
    rows = [[_cell_content(cell) if isinstance(cell, Cell) else cell for cell in row] for row in table.rows]
    return {"key": table.key, "title": table.title, "columns": list(table.columns), "rows": rows,
            "notes": list(table.notes), "missing": table.missing, "filled": table.filled,
            "protocols": list(table.protocols)}


def _cell_content(cell: Cell) -> dict[str, Any]:
    """A cell's fields, numbers as numbers: a printed "95.30%" is 95.3 in per cent."""
    paper = cell.paper
    if cell.unit and isinstance(paper, str) and _PRINTED.fullmatch(paper):
        paper = float(paper.removesuffix("%"))
    return {key: _json_value(paper if key == "paper" else getattr(cell, key)) for key in FIELDS[2:]}


def _json_value(value: Any) -> Any:
    """A number that JSON can hold, words, or None."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and not isinstance(value, float) else number


def render_page(page: Page, folder: Path) -> str:
    """The page as HTML; every text is escaped, pictures of `folder` are embedded, nothing else is asked for."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    environment.tests |= {"cell": lambda value: isinstance(value, Cell)}
    environment.globals |= {"footnotes": lambda: _Footnotes([]), "shown": format_figure, "claimed": _format_printed,
                            "bounds": _format_interval,
                            "spread": _format_spread, "heading": numbered_title, "protocols": protocol_sentence,
                            "numeric": numeric_columns,
                            "compared": has_printed_figures}
    tables, figures = blocks(page)
    values: Mapping[str, Any] = {
        "page": page, "tables": tables, "figures": figures, "dash": DASH,
        "warnings": [sentence.partition(":")[::2] for sentence in page.warnings],
        "level": dict(page.facts).get(INTERVALS),
        "policy": policy(), "style": Markup((_HERE / "paper.css").read_text(encoding="utf-8")),
        "picture": lambda name: _picture(folder, name)}
    return environment.get_template("paper.html.j2").render(values) + "\n"


def _picture(folder: Path, name: str) -> Markup | None:
    """A PNG of the page's folder as a data URI; None when there is none, or the name leads out of the folder."""
    path = (folder / name).resolve()
    if path.suffix != ".png" or not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return Markup(f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}")


@dataclass(frozen=True)
class Block:
    """What stands together on the page under one number: tables and figures of the paper."""

    anchor: str
    short: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]


def blocks(page: Page) -> tuple[list[Block], list[Block]]:
    """The page's tables in their order, then its figures by number with the tables that stand for one or beside one."""
    tables = [table for table in page.tables if not paper_number(table.key).startswith("Figure")]
    beside = [table for table in page.tables if paper_number(table.key).startswith("Figure")]
    keys = [*(figure.key for figure in page.figures), *(table.key for table in beside)]
    numbers = dict.fromkeys(paper_number(key) or key for key in keys)
    return ([Block(table.key, paper_number(table.key) or table.title, (table,), ()) for table in tables],
            [Block(number.lower().replace(" ", "_"), number,
                   tuple(table for table in beside if paper_number(table.key) == number),
                   tuple(figure for figure in page.figures if (paper_number(figure.key) or figure.key) == number))
             for number in sorted(numbers, key=_figure_order)])


def _figure_order(number: str) -> tuple[int, str]:
    """Figures by their number; what has none, last."""
    match = re.search(r"\d+", number)
    return (int(match.group()) if match else 10**6, number if match else "")


def paper_number(key: str) -> str:
    """The paper's own number of a table or figure, "" for what the paper does not have.

    >>> paper_number("table_iv"), paper_number("figure_3a"), paper_number("figure_3_random"), paper_number("matrix")
    ('Table IV', 'Figure 3a', 'Figure 3', '')
    """
    match = _NUMBERED_KEY.match(key)
    if not match:
        return ""
    kind, number = match.groups()
    return f"{kind.capitalize()} {number if number[0].isdigit() else number.upper()}"


def numbered_title(key: str, title: str) -> str:
    """The title with its number before it, where it does not say it itself."""
    number = paper_number(key)
    return title if not number or title.lower().startswith(number.lower()) else f"{number}. {title}"


def numeric_columns(table: Table) -> tuple[bool, ...]:
    """Which columns hold figures with a unit: those stand to the right."""
    return tuple(any(isinstance(cell, Cell) and cell.unit for cell in column)
                 for column in zip(*table.rows, strict=True)) if table.rows else (False,) * len(table.columns)


def has_printed_figures(table: Table) -> bool:
    """Whether the paper's figures stand in it."""
    return any(isinstance(cell, Cell) and cell.paper is not None for row in table.rows for cell in row)


def protocol_sentence(table: Table, facts: Sequence[tuple[str, str]]) -> str:
    """For the caption: the partition protocols that ours were made under; "" for a table that has none of ours."""
    if not any(isinstance(cell, Cell) and cell.ours is not None for row in table.rows for cell in row):
        return ""
    named = table.protocols or tuple(name.removeprefix("Partition protocol ") for name, _ in facts
                                     if name.startswith("Partition protocol "))
    if named:
        return f"Partition protocol{'s' if len(named) > 1 else ''} of ours: {', '.join(named)}."
    described = next((what for name, what in facts if "protocol" in name.lower()), "")
    return f"Partition protocol of ours: {described}." if described else ""


@dataclass
class _Footnotes:
    """A table's footnotes: each reason once, under one sign."""

    reasons: list[str]

    def sign(self, reason: str) -> str:
        if reason not in self.reasons:
            self.reasons.append(reason)
        return footnote_sign(self.reasons.index(reason))

    def all(self) -> Iterator[tuple[str, str]]:
        return ((footnote_sign(index), reason) for index, reason in enumerate(self.reasons))


def footnote_sign(index: int) -> str:
    """Sign of a footnote: a to z, then aa, ab, ...

    >>> footnote_sign(0), footnote_sign(27)
    ('a', 'ab')
    """
    return (footnote_sign(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def format_figure(value: float | str | None, unit: str, digits: int | None = None) -> str:
    """A figure as the page shows it; words as they stand.

    >>> format_figure(61.844, "percent"), format_figure(0.61844, "share"), format_figure(2800, "count")
    ('61.84\\xa0%', '0.618', '2,800')
    >>> format_figure(0.593, "millions"), format_figure(None, "share"), format_figure("98%", "percent")
    ('0.593\\xa0M', '–', '98%')
    >>> format_figure(1440, ""), format_figure(float("nan"), "share"), format_figure(0.0001, "")
    ('1,440', '–', '0.0001')
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


def _format_printed(cell: Cell) -> str:
    """The paper's figure; shares with the four decimals that the papers print."""
    return format_figure(cell.paper, cell.unit, 4 if cell.unit == "share" else None)


def _format_interval(cell: Cell) -> str:
    if cell.low is None or cell.high is None or not math.isfinite(cell.low) or not math.isfinite(cell.high):
        return ""
    low, high = (format_figure(bound, cell.unit).removesuffix("\N{NO-BREAK SPACE}%") for bound in (cell.low, cell.high))
    return f"[{low}, {high}]"


def _format_spread(cell: Cell) -> str:
    if cell.spread is None or not math.isfinite(cell.spread):
        return ""
    return f"±\N{NO-BREAK SPACE}{format_figure(cell.spread, cell.unit)}".removesuffix("\N{NO-BREAK SPACE}%")
