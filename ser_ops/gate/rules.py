"""One rule of the gate: its figure, its limit and its verdict in words. Every rule is made here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ser_ops.config.evaluation import Limit


@dataclass(frozen=True)
class Rule:
    """A rule as gate.json holds it.

    figure, limit: what was measured and what it was held against; None where there is no figure.
    verdict: 'passed: ...', 'blocked: ...' or 'does not apply: ...'. reason: why the rule exists.
    applies: False where the rule says nothing about this model; such a rule passes.
    """

    rule: str
    figure: Any
    limit: Any
    passed: bool
    verdict: str
    reason: str
    applies: bool = True

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Rule":
        """A rule read back from gate.json. A key that is missing there never makes it pass."""
        name = str(record.get("rule"))
        return cls(name, record.get("figure"), record.get("limit"), record.get("passed") is True,
                   str(record.get("verdict", name)), str(record.get("reason", "")), record.get("applies") is not False)

    def record(self) -> dict[str, Any]:
        """As a plain dictionary, in the order of gate.json."""
        return asdict(self)


def decide(rule: str, passed: bool, words: str, reason: str, figure: Any = None, limit: Any = None) -> Rule:
    """A rule with its verdict, 'passed: ...' or 'blocked: ...'.

    >>> decide("leak_audit", False, "one speaker in train and test", "what was heard is not unseen").verdict
    'blocked: one speaker in train and test'
    """
    return Rule(rule, figure, limit, passed, f"{'passed' if passed else 'blocked'}: {words}", reason)


def hold(rule: str, figure: float, sign: Literal[">=", "<="], limit: float, reason: str, before: str,
         after: str = "") -> Rule:
    """A figure against its limit: a rule whose words are `before`, both numbers with the sign between, `after`.

    sign: '>=' for a limit that the figure must reach, '<=' for one that it must not exceed. Both numbers get as many
    digits as it takes to see which is larger.

    >>> hold("clean_uar", 0.41, ">=", 0.45, "nobody is served below", "clean: UAR").verdict
    'blocked: clean: UAR 0.41 < 0.45'
    >>> hold("clean_uar", 0.4499, ">=", 0.45, "nobody is served below", "clean: UAR").verdict
    'blocked: clean: UAR 0.4499 < 0.4500'
    """
    passed = figure >= limit if sign == ">=" else figure <= limit
    shown = sign if passed else {">=": "<", "<=": ">"}[sign]
    digits = next((digits for digits in range(2, 9) if figure == limit or
                   f"{figure:.{digits}f}" != f"{limit:.{digits}f}"), 9)
    return decide(rule, passed, f"{before} {figure:.{digits}f} {shown} {limit:.{digits}f}{after}", reason,
                  figure, limit)


def missing_figure(rule: str, words: str, limit: Limit) -> Rule:
    """A rule that blocks because there is no figure to hold against its limit."""
    return decide(rule, False, words, limit.reason, None, limit.limit)


def not_applicable(rule: str, words: str, reason: str) -> Rule:
    """A rule that does not apply to this model. It passes.

    >>> not_applicable("streams", "spectral is the only stream", "to be said").verdict
    'does not apply: spectral is the only stream'
    """
    return Rule(rule, None, None, True, f"does not apply: {words}", reason, applies=False)


def verdict_of(rules: Sequence[Rule]) -> str:
    """The verdict over all rules: 'passed', or 'blocked: ' and the words of every rule that blocks.

    >>> verdict_of([decide("a", True, "fine", "r"), decide("b", False, "UAR too low", "r")])
    'blocked: UAR too low'
    """
    blocked = [rule.verdict.removeprefix("blocked: ") for rule in rules if not rule.passed]
    return f"blocked: {'; '.join(blocked)}" if blocked else "passed"


def finite_number(value: Any) -> float | None:
    """A finite number as float; None for anything else: missing, NaN, infinite, words, true or false.

    >>> finite_number(0.5), finite_number(float("nan")), finite_number("0.5"), finite_number(True), finite_number(None)
    (0.5, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
