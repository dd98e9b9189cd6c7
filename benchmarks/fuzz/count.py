"""What became of all calls, by route; faults by cause, with the inputs that repeat them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.fuzz.call import Kind, Outcome

_SHOWN = 4      # inputs named of each cause


@dataclass
class Row:
    """One route: its calls by how they ended, the slowest (seconds), and the largest peak of memory (MB)."""

    ended: Counter[Kind] = field(default_factory=Counter)
    slowest: float = 0.0
    peak: float = 0.0


class Count:
    """Calls by route, and their faults."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.faults: list[Outcome] = []

    def add(self, outcomes: Iterable[Outcome]) -> "Count":
        """Count more calls."""
        for outcome in outcomes:
            row = self.rows.setdefault(outcome.route, Row())
            row.ended[outcome.kind] += 1
            row.slowest, row.peak = max(row.slowest, outcome.seconds), max(row.peak, outcome.megabytes)
            if outcome.kind.fault:
                self.faults.append(outcome)
        return self

    def table(self) -> str:
        """Markdown, a row a route."""
        head = ["route", "inputs", *Kind, "slowest", "peak memory"]
        lines = [head, ["---"] * len(head)]
        for route, row in self.rows.items():
            lines.append([route, f"{row.ended.total():,}", *(f"{row.ended[kind]:,}" for kind in Kind),
                          f"{row.slowest:.1f} s", f"{row.peak:.0f} MB"])
        return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

    def causes(self) -> list[str]:
        """Each cause of a fault in a line, the most frequent first, with inputs for `--only`."""
        groups: dict[tuple[Kind, str], list[Outcome]] = defaultdict(list)
        for outcome in self.faults:
            groups[outcome.kind, _same(outcome)].append(outcome)
        return [f"{len(same)} {kind}: {same[0].cause[:300]!r} (--only "
                f"{' '.join(f'{outcome.route}:{outcome.number}'.replace(' ', '-') for outcome in same[:_SHOWN])})"
                for (kind, _), same in sorted(groups.items(), key=lambda item: -len(item[1]))]


def _same(fault: Outcome) -> str:
    """What is the same of a fault that occurs twice: an exception's type and line, or the route.

    >>> cause = "ValueError: 17 is none (audio/reading.py:93)"
    >>> _same(Outcome("predict", 4, Kind.TRACEBACK, 0.1, 1.0, cause))
    'ValueError (audio/reading.py:93)'
    """
    if fault.kind is not Kind.TRACEBACK:
        return fault.route
    return f"{fault.cause.partition(':')[0]} {fault.cause[fault.cause.rfind('('):]}"
