"""One rule of the gate: its figure, its limit and its verdict in words.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """A rule as gate.json holds it. `applies` is False where the rule has nothing to say, and it passes then."""

    rule: str
    figure: Any
    limit: Any
    passed: bool
    verdict: str
    reason: str
    applies: bool = True

    def record(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


def decide(rule: str, passed: bool, words: str, reason: str, figure: Any = None, limit: Any = None) -> Rule:
    """A rule with its verdict, 'passed: ...' or 'blocked: ...'.

    >>> decide("leak_audit", False, "one speaker in train and test", "what was heard is not unseen").verdict
    'blocked: one speaker in train and test'
    """
    return Rule(rule, figure, limit, passed, f"{'passed' if passed else 'blocked'}: {words}", reason)


def spared(rule: str, words: str, reason: str) -> Rule:
    """A rule that does not apply."""
    return Rule(rule, None, None, True, f"does not apply: {words}", reason, applies=False)


def number(value: Any) -> float | None:
    """A finite figure, or None for whatever else stands in its place: missing, NaN, words, true or false.

    >>> number(0.5), number(float("nan")), number("0.5"), number(True), number(None)
    (0.5, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def pick(report: Any, *path: str) -> Any:
    """What stands at a path of nested dictionaries, None where it breaks off.

    >>> pick({"clean": {"uar": 0.6}}, "clean", "uar"), pick({"clean": None}, "clean", "uar")
    (0.6, None)
    """
    for name in path:
        report = report.get(name) if isinstance(report, dict) else None
    return report


def compared(figure: float, limit: float, passed: bool, sign: str) -> str:
    """Figure and limit with as many digits as it takes to see which one is larger.

    >>> compared(0.41, 0.45, False, ">=")
    '0.41 < 0.45'
    >>> compared(0.4499, 0.45, False, ">=")
    '0.4499 < 0.4500'
    """
    shown = {">=": ">=" if passed else "<", "<=": "<=" if passed else ">"}[sign]
    digits = next((digits for digits in range(2, 9) if figure == limit or
                   f"{figure:.{digits}f}" != f"{limit:.{digits}f}"), 9)
    return f"{figure:.{digits}f} {shown} {limit:.{digits}f}"
