"""From a trained model to candidate, staging and production, and back. Command line and flows both come in here.

A promotion judges every rule again: those of the gate.json that is attached to the version, the answers of the package
that is registered, and the comparison with the version that holds the alias now. The alias is set last.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from ser_ops.config.params import Params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.gate.comparison import RULE, compare_with_current
from ser_ops.gate.judging import loads_without_pickle, same_answers
from ser_ops.gate.rules import Rule, decide, not_applicable, verdict_of
from ser_ops.tracking import registry
from ser_ops.tracking.aliases import Aliases, Version, changing_aliases, utc_now
from ser_ops.tracking.package import compare_answers
from ser_ops.tracking.server import user

SHORTEST_REASON = 10    # characters of an override's written reason, at least
LONGEST_TAG = 5000      # characters that every registry database takes
Alias = Literal["staging", "production"]


@dataclass(frozen=True)
class Promotion:
    """What was done: the version now under `alias`, the one before it (None: there was none), every rule judged."""

    name: str
    version: str
    alias: str
    before: str | None
    verdict: str
    override_reason: str | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Demotion:
    """What was done: the version that held `alias`, and the one that holds it now (None: there was none before)."""

    name: str
    alias: str
    version: str
    now: str | None


def register_candidate(params: Params) -> str:
    """Register the trained main model with its reports as the candidate; returns its version number."""
    return registry.register(params, params.paths.work / "models" / params.train.model, params.paths.reports)


def promote(params: Params, version: str | None = None, to: Alias = "staging",
            override_reason: str | None = None) -> Promotion:
    """Judge a version and give it the alias `to`, or raise UserError 'blocked: ...'.

    Args:
        version: number or alias; by default the candidate, for production the version that is staging.
        to: production takes only versions that hold or held staging; no reason overrides that.
        override_reason: promote although a rule blocks; recorded as a tag. At least 10 characters.

    The whole verdict is tagged on the version, blocked or not.
    """
    _check_alias(to)
    if override_reason is not None and len(override_reason.strip()) < SHORTEST_REASON:
        raise UserError(f"override: needs a written reason of at least {SHORTEST_REASON} characters: say why the gate "
                        "is wrong here")
    with changing_aliases(params) as aliases:
        candidate = aliases.version(version or ("staging" if to == "production" else registry.CANDIDATE))
        number, name = candidate.number, aliases.name
        if to == "production" and candidate.tags.get("held_staging") != "true":
            raise UserError(f"blocked: version {number} of {name} never held staging: promote it to staging first")
        rules = _judge(params, aliases, candidate, to)
        verdict = verdict_of(rules)
        passed = verdict == "passed"
        reason = override_reason.strip() if override_reason and not passed else None
        tags = {"verdict": verdict, "verdict_for": to, "verdict_rules": _as_tag(rules), "verdict_at": utc_now(),
                "verdict_by": user(params)}
        if reason:
            tags |= {"override_reason": reason, "override_for": to}
        aliases.check()
        aliases.tag(number, {key: value[:LONGEST_TAG] for key, value in tags.items()})
        if not passed and not reason:
            raise UserError(f"{verdict} (version {number} of {name} is not promoted to {to}; an override needs a "
                            "written reason)")
        before = aliases.give(to, number)
        return Promotion(name, number, to, before, f"overridden, {verdict}" if reason else "passed", reason, rules)


def demote(params: Params, alias: Alias = "staging") -> Demotion:
    """Give the alias back to the version that held it before, or take it away when there was none.

    Raises UserError when no version holds the alias.
    """
    _check_alias(alias)
    with changing_aliases(params) as aliases:
        version, now = aliases.give_back(alias)
        return Demotion(aliases.name, alias, version, now)


def _check_alias(alias: str) -> None:
    if alias not in get_args(Alias):
        raise UserError(f"{alias}: no such alias: choose {' or '.join(get_args(Alias))}")


def _judge(params: Params, aliases: Aliases, candidate: Version, alias: Alias) -> tuple[Rule, ...]:
    """Every rule on a candidate for `alias`."""
    with aliases.report(candidate, "gate.json") as gate_json, \
            aliases.report(candidate, "predictions.csv") as predictions:
        return (*_attached_rules(gate_json, candidate.model),
                _registered_answers(params, aliases, candidate, predictions),
                _comparison(params, aliases, candidate, alias, predictions))


def _attached_rules(gate_json: Path | None, model: str) -> list[Rule]:
    """The rules that were judged before registration, from the gate.json attached to the version."""
    reason = "what was not judged cannot be promoted"
    gate = read_json(gate_json) if gate_json else None
    records = gate.get("rules") if isinstance(gate, dict) else None
    if not isinstance(gate, dict) or not isinstance(records, list) or not records:
        return [decide("gate", False, "no gate.json is attached to this version: run dvc repro and register it again",
                       reason)]
    rules = [Rule.from_record(record) for record in records]
    if gate.get("model") != model:
        rules.append(decide("gate", False, f"gate.json judged {gate.get('model')}, this version is {model}", reason))
    elif gate.get("passed") is not all(rule.passed for rule in rules):
        rules.append(decide("gate", False, "gate.json contradicts its own rules", reason))
    return rules


def _registered_answers(params: Params, aliases: Aliases, candidate: Version, predictions: Path | None) -> Rule:
    """Whether the registered package loads with pickle forbidden and answers as the evaluated model did."""
    rule, limit = "registered_answers", params.gate.registered_answers
    if predictions is None:
        return decide(rule, False, "no predictions.csv is attached to this version", limit.reason)
    with TemporaryDirectory(prefix="ser-ops-version-") as folder:
        answers = compare_answers(aliases.download(candidate, Path(folder)), predictions, candidate.model,
                                  params.paths.work / "ingest" / "waveforms")
    loads, same = loads_without_pickle(answers), same_answers(answers, limit)
    return replace(same, rule=rule, passed=loads.passed and same.passed,
                   verdict=same.verdict if loads.passed else loads.verdict)


def _comparison(params: Params, aliases: Aliases, candidate: Version, alias: Alias, predictions: Path | None) -> Rule:
    """The paired comparison with the version that holds the alias now."""
    reason = "what cannot be compared cannot be replaced"
    current = aliases.current(alias)
    if predictions is None:
        return decide(RULE, False, "no predictions.csv is attached to this version",
                      "what cannot be compared cannot replace anything")
    if current is not None and current.number == candidate.number:
        return not_applicable(RULE, "this version stands there already", "a model is not compared with itself")
    try:
        if current is None:
            return compare_with_current(params, alias, (predictions, candidate.model), None)
        with aliases.report(current, "predictions.csv") as current_predictions:
            if current_predictions is None:
                return decide(RULE, False, f"version {current.number}, which stands there today, has no "
                              "predictions.csv attached", reason)
            return compare_with_current(params, alias, (predictions, candidate.model),
                                        (current_predictions, current.model))
    except UserError as error:
        return decide(RULE, False, str(error), reason)


def _as_tag(rules: Sequence[Rule]) -> str:
    """The whole verdict as JSON that fits into a tag; figures go first when it does not."""
    records: list[dict[str, Any]] = [rule.record() for rule in rules]
    for keys in (("rule", "passed", "verdict", "figure", "limit"), ("rule", "passed", "verdict"), ("rule", "passed")):
        text = json.dumps([{key: record[key] for key in keys} for record in records], ensure_ascii=False)
        if len(text) <= LONGEST_TAG:
            break
    return text
