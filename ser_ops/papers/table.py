"""What a page that reproduces a paper is made of, as plain values: tables in its shape, figures, and why not."""

from dataclasses import dataclass, field
from typing import Any


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
