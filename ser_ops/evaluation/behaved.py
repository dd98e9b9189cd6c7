"""The gate's rules on behaviour.json: unchanged_labels, group_difference, calibration_error."""

from typing import Any

from ser_ops.config import Gate, Limit
from ser_ops.evaluation.rules import Rule, compared, decide, number, pick, spared

ALL = "all"     # every change together
GROUPS = ("sex", "pitch")


def behaved(report: Any, model: str, gate: Gate) -> list[Rule]:
    """The rules on a model's behaviour; a report that is missing or of another model blocks each of them."""
    own = report if pick(report, "model") == model else None
    return [_unchanged(pick(own, "changes"), gate.unchanged_labels),
            *(_alike(name, pick(own, "groups", name), gate.group_difference) for name in GROUPS),
            _calibrated(pick(own, "calibration"), gate.calibration_error)]


def _unchanged(changes: Any, limit: Limit) -> Rule:
    """Over all changes together: of one alone a few hundred utterances say too little. The worst is named."""
    shares = {name: number(pick(one, "unchanged")) for name, one in changes.items()} \
        if isinstance(changes, dict) else {}
    known = {name: share for name, share in shares.items() if share is not None}
    each = {name: share for name, share in known.items() if name != ALL}
    if ALL not in known or not each or len(known) < len(shares):
        return decide("unchanged_labels", False, "labels under small changes are missing in behaviour.json",
                      limit.reason, None, limit.limit)
    worst = min(each, key=lambda name: each[name])
    passed = known[ALL] >= limit.limit
    words = f"share of labels that small changes leave: {compared(known[ALL], limit.limit, passed, '>=')} " \
            f"(least under {worst.replace('_', ' ')}: {each[worst]:.2f})"
    return decide("unchanged_labels", passed, words, limit.reason, known[ALL], limit.limit)


def _alike(name: str, group: Any, limit: Limit) -> Rule:
    rule = f"alike_by_{name}"
    if pick(group, "classes") == 0:
        return spared(rule, f"no class has enough test utterances of both groups to compare by {name}", limit.reason)
    chance, difference = number(pick(group, "chance")), number(pick(group, "difference"))
    names = pick(group, "groups")
    uar = {one: number(pick(group, "uar", one)) for one in names} if isinstance(names, list) and len(names) == 2 else {}
    if chance is None or difference is None or not uar or None in uar.values():
        return decide(rule, False, f"UAR by {name} is missing in behaviour.json", limit.reason, None, limit.limit)
    passed = chance >= limit.limit
    said = " and ".join(f"{one} {value:.2f}" for one, value in uar.items())
    words = f"UAR by {name}: {said}; {chance:.1%} of simulated models without such an effect differ as much"
    return decide(rule, passed, words if passed else f"{words}, chance does not explain it", limit.reason, chance,
                  limit.limit)


def _calibrated(calibration: Any, limit: Limit) -> Rule:
    error = number(pick(calibration, "error"))
    if error is None:
        return decide("calibration_error", False, "the calibration error is missing in behaviour.json", limit.reason,
                      None, limit.limit)
    passed = error <= limit.limit
    return decide("calibration_error", passed, f"calibration error {compared(error, limit.limit, passed, '<=')}",
                  limit.reason, error, limit.limit)
