"""The gate: every rule that needs no registry, judged from reports/ and params.yaml.

A missing figure fails: a rule whose figure is absent, NaN or of the wrong kind is blocked, in words. The comparison
with today's staging model needs the registry and is judged at promotion, each time anew (`staging`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ser_ops.config import Gate, Limit
from ser_ops.evaluation.behaved import behaved
from ser_ops.evaluation.explained import explained
from ser_ops.evaluation.predictions import Condition
from ser_ops.evaluation.rules import Rule, compared, decide, number, pick, spared
from ser_ops.evaluation.staging import comparison, not_worse_than

__all__ = ["COMPARED_ANSWERS", "comparison", "judge", "not_worse_than"]

COMPARED_ANSWERS = 8  # test utterances on which package and evaluation must agree, at least
_SAME = 1e-5  # robustness.csv is rounded to six digits

_UNSEEN = "only speakers that training never heard say what a stranger will meet"


def judge(reports: Mapping[str, Any], gate: Gate, model: str, grid: Sequence[Condition], files: Collection[str],
          answers: Mapping[str, Any] | None) -> dict[str, Any]:
    """gate.json: {passed, verdict, model, rules: [{rule, figure, limit, passed, verdict, reason, applies}], notes}.

    reports: what was read of reports/: `metrics`, `robustness` (rows), `behaviour`, `leak_audit`, `data_validation`
    and `explanations`, None where a file is missing. grid: the noisy conditions that must be there. files: names of the
    files under reports/, as in 'figures/shap.png'. answers: what the packaged model answered in a fresh process:
    {loads: bool, pickles: [file], utterances: n, largest_difference: x, error: words or ""}. Never raises for a bad
    report: whatever is wrong there blocks.
    """
    metrics = reports.get("metrics")
    figures = pick(metrics, "models", model)
    rules = [
        _protocol(metrics, reports.get("leak_audit")),
        _validation(reports.get("data_validation")),
        _leaks(reports.get("leak_audit")),
        _clean(figures, gate.clean_uar),
        _worst_cell(figures, pick(metrics, "shuffled"), grid, gate.worst_cell_uar),
        _drop(figures, grid, gate.largest_drop),
        _beats_shuffled(figures, pick(metrics, "shuffled"), gate.shuffled_margin),
        _streams(figures, pick(metrics, "streams")),
        _robustness(figures, reports.get("robustness"), model, grid),
        *behaved(reports.get("behaviour"), model, gate),
        *explained(reports.get("explanations"), model, files),
        _no_pickle(answers),
        _same_answers(answers, gate.answers_tolerance),
    ]
    blocked = [rule.verdict.removeprefix("blocked: ") for rule in rules if not rule.passed]
    return {"passed": not blocked, "verdict": f"blocked: {'; '.join(blocked)}" if blocked else "passed",
            "model": model, "rules": [rule.record() for rule in rules], "notes": _notes(metrics, figures)}


def _protocol(metrics: Any, audit: Any) -> Rule:
    said = {"metrics.json": pick(metrics, "provenance", "protocol"), "leak_audit.json": pick(audit, "protocol")}
    wrong = {name: protocol for name, protocol in said.items() if protocol != "speaker"}
    words = "; ".join(f"{name} says protocol {protocol}, only speaker may pass" if protocol else
                      f"{name} names no protocol" for name, protocol in wrong.items())
    return decide("protocol", not wrong, words or "no speaker in two partitions by design", _UNSEEN,
                  next(iter(wrong.values()), "speaker"), "speaker")


def _validation(report: Any) -> Rule:
    success = pick(report, "success")
    failed = [str(pick(rule, "rule")) for rule in pick(report, "rules") or []
              if pick(rule, "severity") == "stop" and pick(rule, "success") is not True]
    words = {True: "data validation passed", None: "data_validation.json is missing"}.get(
        success, f"data validation failed{': ' if failed else ''}{', '.join(failed)}")
    return decide("validation", success is True, words, "figures from unchecked recordings mean nothing", success, True)


def _leaks(report: Any) -> Rule:
    reason = "what training has heard in any form is no test"
    if not isinstance(report, dict) or not isinstance(report.get("clean"), bool):
        return decide("leak_audit", False, "leak_audit.json is missing", reason, None, 0)
    findings = report.get("findings") or []
    if report["clean"] and not findings:
        return decide("leak_audit", True, "leak audit clean", reason, 0, 0)
    kinds = sorted({str(pick(one, "kind")) for one in findings})
    words = f"leak audit: {len(findings)} findings ({', '.join(kinds)})" if findings else "leak audit not clean"
    return decide("leak_audit", False, words, reason, len(findings), 0)


def _clean(figures: Any, limit: Limit) -> Rule:
    uar = number(pick(figures, "clean", "uar"))
    if uar is None:
        return decide("clean_uar", False, "clean UAR is missing", limit.reason, None, limit.limit)
    passed = uar >= limit.limit
    return decide("clean_uar", passed, f"clean: UAR {compared(uar, limit.limit, passed, '>=')}", limit.reason, uar,
                  limit.limit)


def _cells(figures: Any, grid: Sequence[Condition]) -> tuple[dict[Condition, float], list[str]]:
    """UAR of each cell that the grid asks for, and the names of those without one."""
    cells = {(one.noise, one.intensity): one for one in grid}
    found = {one: number(pick(figures, "cells", one.cell, "uar")) for one in cells.values()}
    return ({one: uar for one, uar in found.items() if uar is not None},
            [one.cell for one, uar in found.items() if uar is None])


def _lacking(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
    return f"no UAR for {', '.join(cells[:3])}{more}" if cells else "the grid has no cell"


def _worst_cell(figures: Any, shuffled: Any, grid: Sequence[Condition], limit: Limit) -> Rule:
    """The cell that misses its floor by most: the limit, or the label-shuffled models' upper bound there if higher."""
    cells, lacking = _cells(figures, grid)
    if lacking or not cells:
        return decide("worst_cell_uar", False, f"worst cell unknown: {_lacking(lacking)}", limit.reason, None,
                      limit.limit)
    chance = {one: number(pick(shuffled, "cells", one.cell)) or 0.0 for one in cells}
    floor = {one: max(limit.limit, chance[one]) for one in cells}
    worst = min(cells, key=lambda one: (cells[one] - floor[one], cells[one]))
    passed = cells[worst] >= floor[worst]
    words = f"{worst.noise} at {worst.intensity:g}: UAR {compared(cells[worst], floor[worst], passed, '>=')}"
    if floor[worst] > limit.limit:
        words += " (upper bound of label-shuffled models there)"
    return decide("worst_cell_uar", passed, words, limit.reason, cells[worst], floor[worst])


def _drop(figures: Any, grid: Sequence[Condition], limit: Limit) -> Rule:
    cells, lacking = _cells(figures, grid)
    clean = number(pick(figures, "clean", "uar"))
    if clean is None or lacking or not cells:
        why = "clean UAR is missing" if clean is None else _lacking(lacking)
        return decide("largest_drop", False, f"drop unknown: {why}", limit.reason, None, limit.limit)
    worst = min(cells, key=lambda one: cells[one])
    drop = clean - cells[worst]
    passed = drop <= limit.limit
    words = f"drop from clean to {worst.noise} at {worst.intensity:g}: UAR {compared(drop, limit.limit, passed, '<=')}"
    return decide("largest_drop", passed, words, limit.reason, drop, limit.limit)


def _beats_shuffled(figures: Any, shuffled: Any, limit: Limit) -> Rule:
    low, high = number(pick(figures, "clean", "uar_low")), number(pick(shuffled, "uar_high"))
    if low is None or high is None:
        words = "the lower bound of clean UAR is missing" if low is None else \
            "no label-shuffled model was evaluated: set ablations.shuffled to 1 or more"
        return decide("beats_shuffled", False, words, limit.reason, low, None)
    needed = high + limit.limit
    passed = low >= needed
    words = (f"lower bound of clean UAR {compared(low, needed, passed, '>=')} "
             f"(label-shuffled up to {high:.2f}, margin {limit.limit:g})")
    return decide("beats_shuffled", passed, words, limit.reason, low, needed)


def _streams(figures: Any, streams: Any) -> Rule:
    reason = "a stream that does no better than chance alone is weight that the fusion carries for nothing, to be said"
    own = pick(figures, "streams")
    if not isinstance(own, list) or not own:
        return decide("streams", False, "the model's streams are missing", reason)
    if len(own) == 1:
        return spared("streams", f"{own[0]} is the model's only stream", reason)
    beats = {str(stream): pick(streams, stream, "beats_shuffled") for stream in own}
    unknown = [stream for stream, verdict in beats.items() if not isinstance(verdict, bool)]
    if unknown:
        return decide("streams", False, f"no model of the {' and the '.join(unknown)} stream alone was compared with "
                      "the label-shuffled models: name it in ablations.models", reason, beats)
    idle = [stream for stream, verdict in beats.items() if not verdict]
    words = f"{' and '.join(idle)} alone does not beat the label-shuffled models and adds nothing, as the report says" \
        if idle else "each stream alone beats the label-shuffled models"
    return decide("streams", True, words, reason, beats)


def _robustness(figures: Any, rows: Any, model: str, grid: Sequence[Condition]) -> Rule:
    reason = "a cell that was not measured is a room in which nobody knows what the model does"
    wanted = set(grid)
    if not isinstance(rows, list) or not rows:
        return decide("robustness_table", False, "robustness.csv is missing", reason, None, len(wanted))
    found: dict[Condition, float] = {}
    for row in rows:
        try:
            one = Condition(str(row["noise"]), float(row["intensity"]), int(row["seed"]))
            if row["model"] == model and number(float(row["uar"])) is not None:
                found[one] = float(row["uar"])
        except (KeyError, TypeError, ValueError):
            continue
    lacking = sorted(wanted - found.keys())
    if lacking or not wanted:
        words = "the grid has no cell"
        if lacking:
            words = f"robustness.csv lacks {len(lacking)} of {len(wanted)} rows, {lacking[0].noise} at " \
                    f"{lacking[0].intensity:g} with seed {lacking[0].seed} among them"
        return decide("robustness_table", False, words, reason, len(wanted) - len(lacking), len(wanted))
    for cell in sorted({one.cell for one in wanted}):
        values = [found[one] for one in wanted if one.cell == cell]
        said = number(pick(figures, "cells", cell, "uar"))
        if said is None or abs(said - sum(values) / len(values)) > _SAME:
            words = f"robustness.csv and metrics.json disagree on {cell}: run the stage evaluate again"
            return decide("robustness_table", False, words, reason, len(wanted), len(wanted))
    return decide("robustness_table", True, f"all {len(wanted)} rows of the grid are there", reason, len(wanted),
                  len(wanted))


def _no_pickle(answers: Any) -> Rule:
    reason = "a pickle runs code of its choice on whoever loads it"
    if not isinstance(answers, Mapping):
        return decide("loads_without_pickle", False, "the packaged model was not tried", reason, None, True)
    pickles = answers.get("pickles")
    words = f"the packaged model holds pickled files: {', '.join(map(str, pickles))}" if pickles else ""
    if answers.get("loads") is not True:
        words = words or f"the packaged model does not load with pickle forbidden: {answers.get('error') or 'no word'}"
    if not isinstance(pickles, list):
        words = words or "nobody looked for pickled files in the package"
    return decide("loads_without_pickle", not words, words or "the packaged model loads with pickle forbidden", reason,
                  answers.get("loads") is True and pickles == [], True)


def _same_answers(answers: Any, limit: Limit) -> Rule:
    count = number(pick(answers, "utterances")) or 0
    difference = number(pick(answers, "largest_difference"))
    if difference is None or count < COMPARED_ANSWERS:
        words = "the packaged model's answers are missing" if difference is None else \
            f"only {count:.0f} answers of the packaged model were compared, {COMPARED_ANSWERS} are needed"
        error = pick(answers, "error")
        return decide("same_answers", False, f"{words}{f': {error}' if error else ''}", limit.reason, difference,
                      limit.limit)
    passed = difference <= limit.limit
    words = f"package and evaluation differ by {difference:.1e} {'<=' if passed else '>'} {limit.limit:g} at most " \
            f"over {count:.0f} utterances"
    return decide("same_answers", passed, words, limit.reason, difference, limit.limit)


def _notes(metrics: Any, figures: Any) -> list[str]:
    """What a reader must know beside the verdict."""
    notes = []
    provenance = pick(metrics, "provenance")
    if pick(provenance, "synthetic"):
        notes.append(f"figures come from synthetic speech: {', '.join(map(str, pick(provenance, 'synthetic')))}")
    if pick(provenance, "partial"):
        notes.append(f"partial corpora: {', '.join(map(str, pick(provenance, 'partial')))}")
    if pick(provenance, "noise_without_test_recordings"):
        names = ", ".join(map(str, pick(provenance, "noise_without_test_recordings")))
        notes.append(f"no test recording, so not in the grid: {names}")
    if str(pick(provenance, "backbone") or "").startswith("random"):
        notes.append(f"nothing of the model was pretrained: {pick(provenance, 'backbone')}")
    high = number(pick(metrics, "shuffled", "uar_high"))
    for stream in pick(figures, "streams") or []:
        one = pick(metrics, "streams", stream)
        if pick(one, "beats_shuffled") is False and high is not None:
            low = number(pick(one, "uar_low"))
            notes.append(f"the {stream} stream alone (lower bound of clean UAR {'?' if low is None else f'{low:.2f}'}) "
                         f"does not beat the label-shuffled models (up to {high:.2f}): it adds nothing")
    bounds = pick(metrics, "shuffled", "cells")
    lost = [cell for cell, bound in (bounds if isinstance(bounds, dict) else {}).items()
            if (uar := number(pick(figures, "cells", cell, "uar"))) is not None and number(bound) is not None
            and uar <= bound]
    if lost:
        notes.append(f"no better than a label-shuffled model's upper bound in {', '.join(lost)}")
    if pick(metrics, "models"):
        notes.append("the comparison with today's staging model is made at promotion, over the same utterances")
    return notes
