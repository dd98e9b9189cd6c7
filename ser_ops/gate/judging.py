"""The gate before registration: every rule that needs no registry, judged from reports/ and params.yaml.

A figure that is missing, NaN or of the wrong kind blocks its rule, in words. The comparison with today's staging model
needs the registry and is judged again at each promotion (`ser_ops.gate.comparison`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ser_ops.caveats import heard_in_training
from ser_ops.config.evaluation import Gate, Limit
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.behaviour import ALL
from ser_ops.evaluation.predictions import Condition
from ser_ops.evaluation.selective import CLEAN_PLACE
from ser_ops.gate.rules import Rule, decide, finite_number, hold, missing_figure, not_applicable, verdict_of
from ser_ops.methods import METHODS, Method, in_order
from ser_ops.model_table import MODELS
from ser_ops.pages import pick

GROUPS = ("sex", "pitch")
COMPARED_ANSWERS = 8    # test utterances on which package and evaluation must agree, at least
BETTER: dict[str, int] = {"deletion": -1, "insertion": 1}   # the sign by which a good method's area differs from chance
ADMITS = "does not beat a random ranking"   # words by which a report says so
LEAST_FILLS = 2         # fills under which a claim must hold, at least
_EQUAL = 1e-9           # apart at most by rounding
_SAME = 1e-5            # robustness.csv is rounded to six digits

_UNSEEN = "only speakers that training never heard say what a stranger will meet"
_WHERE = "a user of an answer must be able to see where in the recording it comes from"
_WHAT = "a user of the model must be able to see what it listens to"
_FAITHFUL = "a picture that tells no more than chance does must say so"
# Figures of paper 2's metric table: of every map, and of a map that is not zero everywhere.
_ALWAYS = ("mean_activation", "max_activation", "activated_area_pct", "confidence")
_OF_AN_AREA = ("entropy", "confidence_drop")
_RANGES = ("time_focus_range", "freq_focus_range")


def judge(reports: Mapping[str, Any], gate: Gate, model: str, conditions: Sequence[Condition], files: Collection[str],
          answers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every rule that needs no registry, as gate.json holds them. A bad report blocks; it never raises.

    Args:
        reports: what was read of reports/: `metrics`, `robustness` (rows), `behaviour`, `leak_audit`,
            `data_validation` and `explanations`; None where a file is missing.
        gate: the limits and their reasons.
        model: name of the main model in the table of models.
        conditions: those that must have been evaluated: the noise grid, telephone lines and rooms.
        files: names of the files under reports/, as in 'figures/shap.png'.
        answers: what the packaged model answered in a fresh process: {loads: bool, pickles: [file], utterances: n,
            largest_difference: x, error: words or ""}; None when it was not tried.

    Returns:
        {passed, verdict, model, rules: [{rule, figure, limit, passed, verdict, reason, applies}], notes: [words]}.

    Raises:
        UserError: for an unknown model, or a method of explanation that is not in the catalogue.
    """
    metrics = reports.get("metrics")
    figures = pick(metrics, "models", model)
    grid = [condition for condition in conditions if not condition.transmitted]
    rules = [
        _protocol(metrics, reports.get("leak_audit")),
        _validation(reports.get("data_validation")),
        _leaks(reports.get("leak_audit")),
        _clean(figures, gate.clean_uar),
        _worst_cell(figures, pick(metrics, "shuffled"), grid, gate.worst_cell_uar),
        _drop(figures, grid, gate.largest_drop),
        _transmission(figures, [condition for condition in conditions if condition.transmitted],
                      gate.transmission_uar),
        _beats_shuffled(figures, pick(metrics, "shuffled"), pick(metrics, "provenance", "intervals", "over"),
                        gate.beats_shuffled),
        _covered(pick(figures, "selective", "sets"), pick(metrics, "provenance", "intervals", "over"),
                 gate.coverage_missed),
        _streams(figures, pick(metrics, "streams")),
        _robustness(figures, reports.get("robustness"), model, conditions),
        *_behaviour(reports.get("behaviour"), model, gate),
        *explanation_rules(reports.get("explanations"), model, files),
        loads_without_pickle(answers),
        same_answers(answers, gate.same_answers),
    ]
    verdict = verdict_of(rules)
    return {"passed": verdict == "passed", "verdict": verdict, "model": model,
            "rules": [rule.record() for rule in rules], "notes": [*_notes(metrics, figures), *_untold(rules)]}


def _protocol(metrics: Any, audit: Any) -> Rule:
    """Speakers are apart by design: only the protocol `speaker` passes."""
    protocols = {"metrics.json": pick(metrics, "provenance", "protocol"), "leak_audit.json": pick(audit, "protocol")}
    wrong = {name: protocol for name, protocol in protocols.items() if protocol != "speaker"}
    words = "; ".join(f"{name} says protocol {protocol}, only speaker may pass" if protocol else
                      f"{name} names no protocol" for name, protocol in wrong.items())
    return decide("protocol", not wrong, words or "no speaker in two partitions by design", _UNSEEN,
                  next(iter(wrong.values()), "speaker"), "speaker")


def _validation(report: Any) -> Rule:
    """Data validation succeeded; every failed rule of severity `stop` is named."""
    success = pick(report, "success")
    failed = [str(pick(rule, "rule")) for rule in pick(report, "rules") or []
              if pick(rule, "severity") == "stop" and pick(rule, "success") is not True]
    words = {True: "data validation passed", None: "data_validation.json is missing"}.get(
        success, f"data validation failed{': ' if failed else ''}{', '.join(failed)}")
    return decide("validation", success is True, words, "figures from unchecked recordings mean nothing", success, True)


def _leaks(report: Any) -> Rule:
    """The leak audit is clean and has no findings, declared ones included."""
    reason = "what training has heard in any form is no test"
    if not isinstance(report, dict) or not isinstance(report.get("clean"), bool):
        return decide("leak_audit", False, "leak_audit.json is missing", reason, None, 0)
    findings = report.get("findings") or []
    if report["clean"] and not findings:
        return decide("leak_audit", True, "leak audit clean", reason, 0, 0)
    kinds = sorted({str(pick(finding, "kind")) for finding in findings})
    words = f"leak audit: {len(findings)} findings ({', '.join(kinds)})" if findings else "leak audit not clean"
    return decide("leak_audit", False, words, reason, len(findings), 0)


def _clean(figures: Any, limit: Limit) -> Rule:
    """Clean UAR reaches its floor."""
    uar = finite_number(pick(figures, "clean", "uar"))
    if uar is None:
        return missing_figure("clean_uar", "clean UAR is missing", limit)
    return hold("clean_uar", uar, ">=", limit.limit, limit.reason, "clean: UAR")


def _uar(figures: Any, condition: Condition) -> float | None:
    """UAR of the cell of a condition in metrics.json."""
    return finite_number(pick(figures, *(("transmission",) if condition.transmitted else ()), "cells", condition.cell,
                              "uar"))


def _cells(figures: Any, wanted: Sequence[Condition]) -> tuple[dict[Condition, float], list[str]]:
    """UAR of each cell of the conditions that are asked for, and the names of those without one."""
    conditions = {(condition.noise, condition.intensity): condition for condition in wanted}.values()
    uar = {condition: _uar(figures, condition) for condition in conditions}
    return ({condition: value for condition, value in uar.items() if value is not None},
            [condition.cell for condition, value in uar.items() if value is None])


def _without_uar(cells: Sequence[str]) -> str:
    """Which cells of the grid have no UAR, in words."""
    more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
    return f"no UAR for {', '.join(cells[:3])}{more}" if cells else "the grid has no cell"


def _worst_cell(figures: Any, shuffled: Any, grid: Sequence[Condition], limit: Limit) -> Rule:
    """The cell that misses its floor by most: the limit, or the label-shuffled models' upper bound there if higher."""
    cells, lacking = _cells(figures, grid)
    if lacking or not cells:
        return missing_figure("worst_cell_uar", f"worst cell unknown: {_without_uar(lacking)}", limit)
    floor = {cell: max(limit.limit, finite_number(pick(shuffled, "cells", cell.cell)) or 0.0) for cell in cells}
    worst = min(cells, key=lambda cell: (cells[cell] - floor[cell], cells[cell]))
    return hold("worst_cell_uar", cells[worst], ">=", floor[worst], limit.reason,
                f"{worst.noise} at {worst.intensity:g}: UAR",
                " (upper bound of label-shuffled models there)" if floor[worst] > limit.limit else "")


def _drop(figures: Any, grid: Sequence[Condition], limit: Limit) -> Rule:
    """Clean UAR less that of the worst cell stays within its limit."""
    cells, lacking = _cells(figures, grid)
    clean = finite_number(pick(figures, "clean", "uar"))
    if clean is None or lacking or not cells:
        why = "clean UAR is missing" if clean is None else _without_uar(lacking)
        return missing_figure("largest_drop", f"drop unknown: {why}", limit)
    worst = min(cells, key=lambda cell: cells[cell])
    return hold("largest_drop", clean - cells[worst], "<=", limit.limit, limit.reason,
                f"drop from clean to {worst.noise} at {worst.intensity:g}: UAR")


def _transmission(figures: Any, wanted: Sequence[Condition], limit: Limit) -> Rule:
    """Mean UAR over the telephone lines and rooms reaches its floor; the worst is named."""
    rule = "transmission_uar"
    if not wanted:
        return not_applicable(rule, "no telephone line and no room was evaluated (evaluate.transmission is empty), so "
                              "nobody knows what the model does there", limit.reason)
    cells, lacking = _cells(figures, wanted)
    if lacking:
        return missing_figure(rule, f"telephone and rooms unknown: {_without_uar(lacking)}", limit)
    worst = min(cells, key=lambda cell: cells[cell])
    return hold(rule, sum(cells.values()) / len(cells), ">=", limit.limit, limit.reason,
                f"mean over {', '.join(cell.cell for cell in cells)}: UAR" if len(cells) <= 3 else
                f"mean over {len(cells)} telephone lines and rooms: UAR", f" (worst {worst.cell}: {cells[worst]:.2f})")


def _beats_shuffled(figures: Any, shuffled: Any, over: Any, limit: Limit) -> Rule:
    """The lower bound of clean UAR clears the upper bound of label-shuffled models by a margin.

    over: what both bounds are over, speakers or utterances.
    """
    low, high = finite_number(pick(figures, "clean", "uar_low")), finite_number(pick(shuffled, "uar_high"))
    if low is None or high is None:
        words = "the lower bound of clean UAR is missing" if low is None else \
            "no label-shuffled model was evaluated: set ablations.shuffled to 1 or more"
        return decide("beats_shuffled", False, words, limit.reason, low, None)
    return hold("beats_shuffled", low, ">=", high + limit.limit, limit.reason,
                f"lower bound of clean UAR{f' over {over}' if over else ''}",
                f" (label-shuffled up to {high:.2f}, margin {limit.limit:g})")


def _covered(sets: Any, over: Any, limit: Limit) -> Rule:
    """No promised coverage is missed on clean test speech by more than the limit and beyond chance between speakers.

    Either alone would block good models: with few test speakers a share lies beyond any limit by chance, and with many
    the few speakers of validation, by whose scores the promise is made, move it beyond the interval of the test's.
    """
    rule = "coverage_missed"
    if sets == []:
        return not_applicable(rule, "no coverage was evaluated (evaluate.coverages is empty)", limit.reason)
    names = ("coverage", "held", "held_low", "held_high")
    rows = [[finite_number(pick(row, name)) for name in names] for row in sets if pick(row, "place") == CLEAN_PLACE] \
        if isinstance(sets, list) else []
    known = [tuple(value for value in row if value is not None) for row in rows]
    if not known or any(len(row) < len(names) for row in known):
        return missing_figure(rule, "how often promised sets hold the truth on clean speech is missing", limit)

    def is_missed(coverage: float, held: float, high: float) -> tuple[bool, bool]:
        return coverage - held > limit.limit + _EQUAL, high < coverage - _EQUAL

    coverage, held, low, high = max(known, key=lambda row: (all(is_missed(row[0], row[1], row[3])), row[0] - row[1]))
    words = f"sets that promise {coverage:g} hold the truth in {held:.3f} of clean clips " \
            f"[{low:.3f}, {high:.3f}{f' over {over}' if over else ''}]"
    missed, beyond = is_missed(coverage, held, high)
    if missed:
        words += f", {coverage - held:.3f} > {limit.limit:g} less: {'beyond' if beyond else 'within'} chance"
    return decide(rule, not (missed and beyond), words, limit.reason, coverage - held, limit.limit)


def _streams(figures: Any, streams: Any) -> Rule:
    """Each stream was compared, alone, with the label-shuffled models. One that does not beat them still passes."""
    reason = "a stream that does no better than chance alone is weight that the fusion carries for nothing, to be said"
    own = pick(figures, "streams")
    if not isinstance(own, list) or not own:
        return decide("streams", False, "the model's streams are missing", reason)
    if len(own) == 1:
        return not_applicable("streams", f"{own[0]} is the model's only stream", reason)
    beats = {str(stream): pick(streams, stream, "beats_shuffled") for stream in own}
    unknown = [stream for stream, verdict in beats.items() if not isinstance(verdict, bool)]
    if unknown:
        return decide("streams", False, f"no model of the {' and the '.join(unknown)} stream alone was compared with "
                      "the label-shuffled models: name it in ablations.models", reason, beats)
    idle = [stream for stream, verdict in beats.items() if not verdict]
    words = f"{' and '.join(idle)} alone does not beat the label-shuffled models and adds nothing, as the report says" \
        if idle else "each stream alone beats the label-shuffled models"
    return decide("streams", True, words, reason, beats)


def _robustness(figures: Any, rows: Any, model: str, conditions: Sequence[Condition]) -> Rule:
    """robustness.csv has every row of the grid, telephone lines and rooms, and agrees with metrics.json."""
    reason = "nobody knows what the model does in a cell that was not measured"
    wanted = set(conditions)
    if not isinstance(rows, list) or not rows:
        return decide("robustness_table", False, "robustness.csv is missing", reason, None, len(wanted))
    uar: dict[Condition, float] = {}
    for row in rows:
        try:
            condition = Condition(str(row["noise"]), float(row["intensity"]), int(row["seed"]))
            if row["model"] == model and finite_number(float(row["uar"])) is not None:
                uar[condition] = float(row["uar"])
        except (KeyError, TypeError, ValueError):
            continue
    lacking = sorted(wanted - uar.keys())
    if lacking or not wanted:
        words = "the grid has no cell"
        if lacking:
            first = lacking[0]
            cell = first.cell if first.transmitted else f"{first.noise} at {first.intensity:g}"
            words = f"robustness.csv lacks {len(lacking)} of {len(wanted)} rows, {cell} with seed {first.seed} " \
                    "among them"
        return decide("robustness_table", False, words, reason, len(wanted) - len(lacking), len(wanted))
    for cell, condition in sorted({condition.cell: condition for condition in wanted}.items()):
        values = [uar[condition] for condition in wanted if condition.cell == cell]
        mean = _uar(figures, condition)
        if mean is None or abs(mean - sum(values) / len(values)) > _SAME:
            words = f"robustness.csv and metrics.json disagree on {cell}: run the stage evaluate again"
            return decide("robustness_table", False, words, reason, len(wanted), len(wanted))
    return decide("robustness_table", True, f"all {len(wanted)} rows are there", reason, len(wanted),
                  len(wanted))


def _behaviour(report: Any, model: str, gate: Gate) -> list[Rule]:
    """The rules on a model's behaviour; a report that is missing or of another model blocks each of them."""
    own = report if pick(report, "model") == model else None
    return [_unchanged(pick(own, "changes"), gate.unchanged_labels),
            *(_alike(group, pick(own, "groups", group), getattr(gate, f"alike_by_{group}"), gate.group_difference)
              for group in GROUPS),
            _calibrated(pick(own, "calibration"), gate.calibration_error)]


def _unchanged(changes: Any, limit: Limit) -> Rule:
    """Over all changes together: of one alone a few hundred utterances say too little. The worst is named."""
    shares = {name: finite_number(pick(change, "unchanged")) for name, change in changes.items()} \
        if isinstance(changes, dict) else {}
    known = {name: share for name, share in shares.items() if share is not None}
    each = {name: share for name, share in known.items() if name != ALL}
    if ALL not in known or not each or len(known) < len(shares):
        return missing_figure("unchanged_labels", "labels under small changes are missing in behaviour.json", limit)
    worst = min(each, key=lambda name: each[name])
    return hold("unchanged_labels", known[ALL], ">=", limit.limit, limit.reason,
                "share of labels that small changes leave:",
                f" (least under {worst.replace('_', ' ')}: {each[worst]:.2f})")


def _alike(grouping: str, group: Any, limit: Limit, least: Limit) -> Rule:
    """Two groups of speakers differ no more than exchanged speakers do, or by too little to matter.

    It does not apply where so few speakers were compared that no difference could reach the limit: then nothing is
    known, for the model or against it.
    """
    rule, reason = f"alike_by_{grouping}", f"{limit.reason}; {least.reason}"
    names = pick(group, "groups")
    names = names if isinstance(names, list) and len(names) == 2 else []
    voices = " and ".join(f"{pick(group, 'speakers', name)} {name}" for name in names)
    if pick(group, "classes") == 0:
        return not_applicable(rule, f"no corpus has enough test utterances of both groups to compare by {grouping} "
                              f"(speakers: {voices}, {pick(group, 'unknown')} unknown)", reason)
    chance, smallest, difference = (finite_number(pick(group, key)) for key in
                                    ("chance", "smallest_chance", "difference"))
    uar = {name: finite_number(pick(group, "uar", name)) for name in names}
    if chance is None or smallest is None or difference is None or not uar or None in uar.values():
        return missing_figure(rule, f"UAR by {grouping} is missing in behaviour.json", limit)
    words = f"UAR by {grouping}: {' and '.join(f'{name} {value:.2f}' for name, value in uar.items())}"
    if smallest > limit.limit:
        return not_applicable(rule, f"too few voices to tell: {voices} speakers, the smallest possible chance is "
                              f"{smallest:.2g}, the limit {limit.limit:g} ({words})", reason)
    words += f"; {chance:.2%} of exchanges of {voices} speakers differ as much"
    if chance > limit.limit:
        return decide(rule, True, words, reason, chance, limit.limit)
    passed = abs(difference) <= least.limit
    return decide(rule, passed, f"{words}: beyond chance, and {abs(difference):.3f} "
                  f"{'<=' if passed else '>'} {least.limit:g}", reason, chance, limit.limit)


def _calibrated(calibration: Any, limit: Limit) -> Rule:
    """The calibration error stays within its limit."""
    error = finite_number(pick(calibration, "error"))
    if error is None:
        return missing_figure("calibration_error", "the calibration error is missing in behaviour.json", limit)
    return hold("calibration_error", error, "<=", limit.limit, limit.reason, "calibration error")


def explanation_rules(report: Any, model: str, files: Collection[str]) -> list[Rule]:
    """A rule for each method of the catalogue, which does not apply where the model does not admit it; and `faithful`.

    What a model admits is asked of the table of models, not of the report: a method that the report leaves out is
    missed. report: explanations.json; files: names of the files under reports/. Raises UserError for an unknown model.
    """
    if model not in MODELS:
        raise UserError(f"unknown model {model!r}: expected one of {', '.join(MODELS)}")
    described, rules = MODELS[model], list[Rule]()
    for method in (each for each in METHODS.values() if each.rule):
        if why := method.lacks(described.streams, described.has_cam_layer, described.attends):
            rules.append(not_applicable(method.rule, f"{model} admits no {method.title}: {why}", _WHERE))
        elif method.evidence == "features":
            rules.append(_features(method, report, model, files))
        else:
            rules.append(_clips(method, report, model, files))
    return [*rules, _faithful(report, model)]


def _figure(name: Any, files: Collection[str], what: str) -> str:
    """What is wrong with a figure that a report names, in words; '' when its file is there."""
    return "" if isinstance(name, str) and name in files else f"{what}'s figure {name or ''} is not in reports/"


def _features(method: Method, report: Any, model: str, files: Collection[str]) -> Rule:
    """A method that ranks features over all utterances: usable figures and one picture."""
    top, title = pick(report, method.name, "top"), method.title
    if pick(report, "model") != model or not isinstance(top, list) or not top:
        return decide(method.rule, False, f"no {title} values of {model} in explanations.json", _WHAT)
    bad = [pick(entry, "feature") for entry in top
           if any(finite_number(pick(entry, "per_class", emotion)) is None for emotion in EMOTIONS)]
    words = f"{title} values of {bad[0]} are missing or no numbers" if bad else \
        _figure(pick(report, method.name, "figure"), files, title)
    return decide(method.rule, not words, words or f"{title} values of {len(top)} features and their figure are there",
                  _WHAT, len(top), 1)


def _clips(method: Method, report: Any, model: str, files: Collection[str]) -> Rule:
    """A method that explains single utterances: usable figures and a picture for each of them."""
    clips, title = pick(report, "clips"), method.title
    explained = pick(report, "model") == model and isinstance(clips, list) and \
        any(pick(clip, method.name) is not None for clip in clips)
    if not explained:
        return decide(method.rule, False, f"no {title} of {model} in explanations.json", _WHERE)
    words, usable = "", _is_table if method.evidence == "table" else _is_curve
    for clip in clips:
        name = pick(clip, "utterance")
        words = words or (_figure(pick(clip, method.name, "figure"), files, f"{title} of {name}")
                          if usable(pick(clip, method.name)) else f"{title} of {name} is missing or no numbers")
    return decide(method.rule, not words, words or f"{title} of {len(clips)} clips and their figures are there", _WHERE,
                  len(clips), 1)


def _is_curve(explanation: Any) -> bool:
    """Values over time, as many as times, all finite."""
    values, times = pick(explanation, "values"), pick(explanation, "times")
    return isinstance(values, list) and isinstance(times, list) and 0 < len(values) == len(times) and \
        all(finite_number(value) is not None for value in values)


def _is_table(explanation: Any) -> bool:
    """Every figure of paper 2's metric table; a map that is zero everywhere has no area, so none of the area's."""
    whole = all(finite_number(pick(explanation, name)) is not None for name in _ALWAYS) and \
        all(finite_number(pick(explanation, "probabilities", emotion)) is not None for emotion in EMOTIONS)
    if pick(explanation, "empty") is True:
        return whole and all(pick(explanation, name) is None for name in (*_OF_AN_AREA, *_RANGES))
    return whole and all(finite_number(pick(explanation, name)) is not None for name in _OF_AN_AREA) and \
        all(_is_range(pick(explanation, name)) for name in _RANGES)


def _is_range(value: Any) -> bool:
    ends = [finite_number(end) for end in value] if isinstance(value, list) else []
    return len(ends) == 2 and None not in ends and ends[0] <= ends[1]  # type: ignore[operator]


def _faithful(report: Any, model: str) -> Rule:
    """Every method that is shown beats random rankings, by its own figures, or the report says that it does not."""
    measured = pick(report, "faithfulness", "methods")
    if pick(report, "model") != model or not isinstance(measured, dict):
        return decide("faithful", False, f"no faithfulness of {model} in explanations.json", _FAITHFUL)
    shown = _shown(report)
    wrong, beating, admitted = [], [], []
    for method in shown:
        title = METHODS[method].title
        claim = pick(measured, method, "beats_random")
        if _admits_failure(report, title):
            admitted.append(title)
        elif claim is not True:
            wrong.append(f"{title} is shown, beats no random ranking, and the report does not say so"
                         if claim is False else f"{title} is shown and was not compared with random rankings")
        elif not _borne_out(pick(measured, method, "against_random")):
            wrong.append(f"{title} is said to beat a random ranking, but its own figures do not show it")
        else:
            beating.append(title)
    if not (wrong or beating or admitted):
        return decide("faithful", False, f"no method of {model} is shown in explanations.json", _FAITHFUL)
    words = [f"{_listed(beating)} beat{'' if len(beating) > 1 else 's'} random rankings in deletion and insertion"] \
        if beating else []
    words += [f"of {_listed(admitted)} the report says that it does not"] if admitted else []
    return decide("faithful", not wrong, "; ".join(wrong or words), _FAITHFUL, len(beating) + len(admitted),
                  len(shown))


def _admits_failure(report: Any, title: str) -> bool:
    """Whether a sentence of the report says that a method does not beat a random ranking."""
    words = pick(report, "faithfulness", "words")
    sentences = [sentence.casefold() for sentence in words if isinstance(sentence, str)] \
        if isinstance(words, list) else []
    return any(title.casefold() in sentence and ADMITS in sentence for sentence in sentences)


def _shown(report: Any) -> list[str]:
    """Methods of which explanations.json has figures: those that it names, and those with a trace of any clip.

    Raises UserError for one that is not in the catalogue.
    """
    methods, clips = pick(report, "methods"), pick(report, "heard")
    names = [method for method in methods if isinstance(method, str)] if isinstance(methods, list) else []
    for clip in clips if isinstance(clips, list) else []:
        traces = pick(clip, "traces")
        names += list(traces) if isinstance(traces, dict) else []
    return in_order(names)


def _borne_out(against: Any) -> bool:
    """Whether the whole interval beats chance, in deletion and insertion, under LEAST_FILLS fills or more."""
    for mode, direction in BETTER.items():
        fills = pick(against, mode)
        if not isinstance(fills, dict) or len(fills) < LEAST_FILLS:
            return False
        for difference in fills.values():
            bounds = [finite_number(pick(difference, name)) for name in ("low", "high")]
            if None in bounds or min(bound * direction for bound in bounds) <= 0:   # type: ignore[operator]
                return False
    return True


def _listed(names: list[str]) -> str:
    """Names as a sentence lists them: 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def loads_without_pickle(answers: Any) -> Rule:
    """The packaged model holds no pickle and loads with pickle forbidden. answers: as for `judge`."""
    reason = "loading a pickle runs code of its author's choice"
    if not isinstance(answers, Mapping):
        return decide("loads_without_pickle", False, "the packaged model was not tried", reason, None, True)
    pickles = answers.get("pickles")
    words = f"the packaged model holds pickled files: {', '.join(map(str, pickles))}" if pickles else ""
    if answers.get("loads") is not True:
        words = words or f"the packaged model does not load with pickle forbidden: {answers.get('error') or 'no word'}"
    if not isinstance(pickles, list):
        words = words or "the package was not searched for pickled files"
    return decide("loads_without_pickle", not words, words or "the packaged model loads with pickle forbidden", reason,
                  answers.get("loads") is True and pickles == [], True)


def same_answers(answers: Any, limit: Limit) -> Rule:
    """The packaged model answers enough test utterances as predictions.csv says. answers: as for `judge`."""
    count = finite_number(pick(answers, "utterances")) or 0
    difference = finite_number(pick(answers, "largest_difference"))
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


def _untold(rules: Sequence[Rule]) -> list[str]:
    """The comparisons of groups that could not be made: a verdict 'passed' would seem to include them."""
    return [f"whether it serves people alike by {group} is not known: {rule.verdict.removeprefix('does not apply: ')}"
            for group in GROUPS for rule in rules if rule.rule == f"alike_by_{group}" and not rule.applies]


def _notes(metrics: Any, figures: Any) -> list[str]:
    """What a reader must know beside the verdict."""
    notes = []
    provenance = pick(metrics, "provenance")
    if pick(provenance, "synthetic"):
        notes.append(f"figures come from synthetic speech: {', '.join(map(str, pick(provenance, 'synthetic')))}")
    if pick(provenance, "partial"):
        notes.append(f"partial corpora: {', '.join(map(str, pick(provenance, 'partial')))}")
    if heard := heard_in_training(provenance or {}):
        notes.append(heard[0].lower() + heard.removesuffix(".")[1:])
    if pick(provenance, "noise_without_test_recordings"):
        names = ", ".join(map(str, pick(provenance, "noise_without_test_recordings")))
        notes.append(f"no test recording, so not in the grid: {names}")
    if str(pick(provenance, "backbone") or "").startswith("random"):
        notes.append(f"nothing of the model was pretrained: {pick(provenance, 'backbone')}")
    notes += [f"{model} was not trained beside it: {reason}"
              for model, reason in (pick(provenance, "lacking") or {}).items()]
    if pick(provenance, "intervals", "instead"):
        notes.append(f"intervals are over utterances, which says nothing of other people: "
                     f"{pick(provenance, 'intervals', 'instead')}")
    high = finite_number(pick(metrics, "shuffled", "uar_high"))
    for stream in pick(figures, "streams") or []:
        alone = pick(metrics, "streams", stream)
        if pick(alone, "beats_shuffled") is False and high is not None:
            low = finite_number(pick(alone, "uar_low"))
            notes.append(f"the {stream} stream alone (lower bound of clean UAR {'?' if low is None else f'{low:.2f}'}) "
                         f"does not beat the label-shuffled models (up to {high:.2f}): it adds nothing")
    bounds = pick(metrics, "shuffled", "cells")
    within_chance = [cell for cell, bound in (bounds if isinstance(bounds, dict) else {}).items()
                     if (uar := finite_number(pick(figures, "cells", cell, "uar"))) is not None
                     and finite_number(bound) is not None and uar <= bound]
    if within_chance:
        notes.append(f"no better than a label-shuffled model's upper bound in {', '.join(within_chance)}")
    if pick(metrics, "models"):
        notes.append("the comparison with today's staging model is made at promotion, over the same utterances")
    return notes
