"""The rows in words (Markdown) and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.speed.case import Row
from ser_ops.files import replacing, write_json

HEAD = ("what", "ours", "peer", "ratio", "asked", "floor", "share of floor", "equal", "holds")


def rate(value: float | None, unit: str) -> str:
    """A rate in words: how many a second, or how long one takes.

    >>> rate(1234.5, "utterances"), rate(0.05, "runs"), rate(None, "runs")
    ('1,234/s', '20 s', '')
    """
    if value is None:
        return ""
    if value < 1:
        return f"{1 / value:.3g} s"
    return f"{value:,.0f}/s" if value >= 100 else f"{value:.3g}/s"


def _cells(row: Row) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    equal = "" if row.equal is None else ("yes" if row.equal else "NO")
    return (f"{row.name} ({row.unit})", rate(row.ours, row.unit), rate(row.peer, row.unit), number(row.ratio, ".2f"),
            number(row.asked, ".3g"), rate(row.floor, row.unit), number(row.share, ".0%"),
            f"{equal} {row.apart}".strip(), "yes" if row.holds() else "NO")


def markdown(rows: Sequence[Row], machine: Mapping[str, str], rates: Mapping[str, float]) -> str:
    """The table, what stands between each row and its floor, and the machine."""
    lines = ["| " + " | ".join(HEAD) + " |", "| " + " | ".join("---" for _ in HEAD) + " |"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    notes: dict[str, list[str]] = {}
    for row in rows:
        if text := "; ".join(part for part in (row.between, row.also, row.fails) if part):
            notes.setdefault(text, []).append(row.name)
    if notes:
        lines += ["", "Floor, and what stands between:",
                  *(f"- {', '.join(names)}: {text}" for text, names in notes.items())]
    if rates:
        lines += ["", "One core: " + ", ".join(f"{name} {value:.3g}/s" for name, value in rates.items()) + "."]
    return "\n".join([*lines, "", "Machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + "."])


def write(folder: Path, rows: Sequence[Row], machine: Mapping[str, str], rates: Mapping[str, float]) -> None:
    """speed.md and speed.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "speed.md") as made:
        made.write_text(markdown(rows, machine, rates) + "\n", encoding="utf-8")
    write_json(folder / "speed.json", {
        "machine": dict(machine), "rates": dict(rates),
        "rows": [asdict(row) | {"ratio": row.ratio, "share": row.share, "holds": row.holds()} for row in rows]})
