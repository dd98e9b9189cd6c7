"""The gate: every rule that needs no registry, judged from reports/ and params.yaml.

A missing figure fails: a rule whose figure is absent, NaN or of the wrong kind is blocked, in words. The comparison
with today's staging model needs the registry and is judged at promotion, each time anew (`staging`).

The gate's rules on behaviour.json: unchanged_labels, group_difference, calibration_error.

Whether the explanations are there that the model's architecture admits: the gate's rules on explanations.json.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ser_ops.config import Gate, Limit
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.behaviour import ALL
from ser_ops.evaluation.predictions import Condition
from ser_ops.gate.comparison import comparison, not_worse_than
from ser_ops.gate.rules import Rule, compared, decide, number, pick, spared
from ser_ops.methods import METHODS, Method, in_order
from ser_ops.model_table import MODELS

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


# Which way the areas of a method should differ from a random ranking's.
BETTER: dict[str, int] = {"deletion": -1, "insertion": 1}
ADMITS = "does not beat a random ranking"     # words by which a report says so
FILLS = 2                                      # under which a claim must hold, at least

_ALWAYS = ("mean_activation", "max_activation", "activated_area_pct", "confidence")
_OF_AN_AREA = ("entropy", "confidence_drop")
_RANGES = ("time_focus_range", "freq_focus_range")
_WHERE = "whoever relies on an answer must be able to see where in the recording it comes from"
_WHAT = "whoever relies on the model must be able to see what it listens to"
_BELIEVED = "a picture that tells no more than chance does must say so"


def explained(report: Any, model: str, files: Collection[str]) -> list[Rule]:
    """A rule for each method of the catalogue, spared where the model does not admit it, and the rule faithful.

    What a model admits is not asked of the stage explain, so that a method which it left out is missed. report:
    explanations.json; files: names of the files under reports/. Raises UserError for an unknown model.
    """
    if model not in MODELS:
        raise UserError(f"unknown model {model!r}: expected one of {', '.join(MODELS)}")
    described, rules = MODELS[model], list[Rule]()
    for method in METHODS.values():
        if why := method.lacks(described.streams, described.camera):
            rules.append(spared(method.rule, f"{model} admits no {method.title}: {why}", _WHERE))
        elif method.evidence == "features":
            rules.append(_features(method, report, model, files))
        else:
            rules.append(_clips(method, report, model, files))
    return [*rules, _faithful(report, model)]


def _figure(name: Any, files: Collection[str], what: str) -> str:
    return "" if isinstance(name, str) and name in files else f"{what}'s figure {name or ''} is not in reports/"


def _features(method: Method, report: Any, model: str, files: Collection[str]) -> Rule:
    """A method that ranks features over all utterances: usable figures and one picture."""
    top, title = pick(report, method.name, "top"), method.title
    if pick(report, "model") != model or not isinstance(top, list) or not top:
        return decide(method.rule, False, f"no {title} values of {model} in explanations.json", _WHAT)
    bad = [pick(one, "feature") for one in top
           if any(number(pick(one, "per_class", emotion)) is None for emotion in EMOTIONS)]
    words = f"{title} values of {bad[0]} are missing or no numbers" if bad else \
        _figure(pick(report, method.name, "figure"), files, title)
    return decide(method.rule, not words, words or f"{title} values of {len(top)} features and their figure are there",
                  _WHAT, len(top), 1)


def _clips(method: Method, report: Any, model: str, files: Collection[str]) -> Rule:
    """A method that explains single utterances: usable figures and a picture for each of them."""
    clips, title = pick(report, "clips"), method.title
    found = pick(report, "model") == model and isinstance(clips, list) and \
        any(pick(clip, method.name) is not None for clip in clips)
    if not found:
        return decide(method.rule, False, f"no {title} of {model} in explanations.json", _WHERE)
    words, usable = "", _is_table if method.evidence == "table" else _is_curve
    for clip in clips:
        name = pick(clip, "utterance")
        words = words or (_figure(pick(clip, method.name, "figure"), files, f"{title} of {name}")
                          if usable(pick(clip, method.name)) else f"{title} of {name} is missing or no numbers")
    return decide(method.rule, not words, words or f"{title} of {len(clips)} clips and their figures are there", _WHERE,
                  len(clips), 1)


def _is_curve(found: Any) -> bool:
    """Values over time, as many as times, all finite."""
    values, times = pick(found, "values"), pick(found, "times")
    return isinstance(values, list) and isinstance(times, list) and 0 < len(values) == len(times) and \
        all(number(value) is not None for value in values)


def _is_table(found: Any) -> bool:
    """Every figure of paper 2's metric table; a map that is zero everywhere has no area, so none of the area's."""
    whole = all(number(pick(found, name)) is not None for name in _ALWAYS) and \
        all(number(pick(found, "probabilities", emotion)) is not None for emotion in EMOTIONS)
    if pick(found, "empty") is True:
        return whole and all(pick(found, name) is None for name in (*_OF_AN_AREA, *_RANGES))
    return whole and all(number(pick(found, name)) is not None for name in _OF_AN_AREA) and \
        all(_is_range(pick(found, name)) for name in _RANGES)


def _is_range(found: Any) -> bool:
    ends = [number(end) for end in found] if isinstance(found, list) else []
    return len(ends) == 2 and None not in ends and ends[0] <= ends[1]  # type: ignore[operator]


def _faithful(report: Any, model: str) -> Rule:
    """Every method that is shown beats random rankings, by its own figures, or the report says that it does not."""
    measured = pick(report, "faithfulness", "methods")
    if pick(report, "model") != model or not isinstance(measured, dict):
        return decide("faithful", False, f"no faithfulness of {model} in explanations.json", _BELIEVED)
    said = pick(report, "faithfulness", "words")
    sentences = [one.casefold() for one in said if isinstance(one, str)] if isinstance(said, list) else []
    wrong, beating, admitted = [], [], []
    for method in _shown(report):
        title = METHODS[method].title
        claim = pick(measured, method, "beats_random")
        if any(title.casefold() in one and ADMITS in one for one in sentences):
            admitted.append(title)
        elif claim is not True:
            wrong.append(f"{title} is shown, beats no random ranking, and the report keeps silent about it"
                         if claim is False else f"{title} is shown and was not held against random rankings")
        elif not _borne_out(pick(measured, method, "against_random")):
            wrong.append(f"{title} is said to beat a random ranking, which its own figures do not bear out")
        else:
            beating.append(title)
    if not (wrong or beating or admitted):
        return decide("faithful", False, f"no method of {model} is shown in explanations.json", _BELIEVED)
    words = [f"{_listed(beating)} beat{'' if len(beating) > 1 else 's'} random rankings in deletion and insertion"] \
        if beating else []
    words += [f"of {_listed(admitted)} the report says that it does not"] if admitted else []
    return decide("faithful", not wrong, "; ".join(wrong or words), _BELIEVED, len(beating) + len(admitted),
                  len(_shown(report)))


def _shown(report: Any) -> list[str]:
    """Methods of which explanations.json has figures: those that it names, and those with a trace of any clip.

    Raises UserError for one that is not in the catalogue.
    """
    named, heard = pick(report, "methods"), pick(report, "heard")
    names = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    for clip in heard if isinstance(heard, list) else []:
        traces = pick(clip, "traces")
        names += list(traces) if isinstance(traces, dict) else []
    return in_order(names)


def _borne_out(against: Any) -> bool:
    """Whether in deletion and insertion, under every fill of at least FILLS, the interval lies on the right side."""
    for mode, direction in BETTER.items():
        fills = pick(against, mode)
        if not isinstance(fills, dict) or len(fills) < FILLS:
            return False
        for one in fills.values():
            bounds = [number(pick(one, name)) for name in ("low", "high")]
            if None in bounds or min(bound * direction for bound in bounds) <= 0:   # type: ignore[operator]
                return False
    return True


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


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
