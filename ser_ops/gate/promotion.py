"""From candidate to staging to production and back: judged each time anew, one alias, never a half-done one.

Tags are written first and the alias is set last, by one call that the registry takes whole or not at all: a process
that is killed on the way leaves the alias where it was. The versions that held an alias before are remembered as a
list on the registered model (tag `before_staging`, `before_production`), the last one last.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

from ser_ops.config import Params
from ser_ops.documents import parse_json, read_json
from ser_ops.errors import UserError
from ser_ops.tracking.package import compare_answers
from ser_ops.tracking.registry import CANDIDATE, attached, download, holder, locked, resolve
from ser_ops.tracking.server import connect, one_line, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SHORTEST_REASON = 10
LONGEST_TAG = 5000  # characters that every registry database takes
Alias = Literal["staging", "production"]
Rule = Mapping[str, Any]
# (predictions.csv, model name) of the candidate and of the version that stands there today, None when none does.
Compare = Callable[[tuple[Path, str], tuple[Path, str] | None], Rule]


@dataclass(frozen=True)
class Promotion:
    """What was done: the version now under `alias`, the one before it (None: there was none), every rule judged."""

    name: str
    version: str
    alias: str
    before: str | None
    verdict: str
    override_reason: str | None
    rules: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Demotion:
    """What was done: the version that held `alias`, and the one that holds it now (None: there was none before)."""

    name: str
    alias: str
    version: str
    now: str | None


def _rule(name: str, passed: bool, words: str, reason: str, figure: Any = None, limit: Any = None) -> Rule:
    return {"rule": name, "figure": figure, "limit": limit, "passed": passed,
            "verdict": f"{'passed' if passed else 'blocked'}: {words}", "reason": reason, "applies": True}


def _gate(gate_json: Path | None, model: str) -> Sequence[Rule]:
    """The rules that were judged before registration, from the gate.json attached to the version."""
    reason = "what was not judged cannot be promoted"
    gate = read_json(gate_json) if gate_json else None
    rules = gate.get("rules") if isinstance(gate, dict) else None
    if not isinstance(gate, dict) or not isinstance(rules, list) or not rules:
        return [_rule("gate", False, "no gate.json is attached to this version: run dvc repro and register it again",
                      reason)]
    if gate.get("model") != model:
        return [*rules, _rule("gate", False, f"gate.json judged {gate.get('model')}, this version is {model}", reason)]
    consistent = gate.get("passed") is all(one.get("passed") is True for one in rules)
    return rules if consistent else [*rules, _rule("gate", False, "gate.json contradicts its own rules", reason)]


def _registered(params: Params, client: "MlflowClient", version: "ModelVersion", predictions: Path | None) -> Rule:
    """Whether the version that is registered loads with pickle forbidden and answers as the evaluated model did."""
    limit = params.gate.answers_tolerance
    if predictions is None:
        return _rule("registered_answers", False, "no predictions.csv is attached to this version", limit.reason)
    with TemporaryDirectory(prefix="ser-ops-version-") as folder:
        package = download(client, version, Path(folder))
        tried = compare_answers(package, predictions, version.tags.get("model", ""),
                                params.paths.work / "ingest" / "waveforms")
    largest = tried["largest_difference"]
    if tried["pickles"]:
        words = f"the registered version holds pickled files: {', '.join(tried['pickles'])}"
    elif tried["error"]:
        words = f"the registered version could not be compared: {tried['error']}"
    else:
        words = (f"the registered version loads with pickle forbidden and differs from the evaluated model by "
                 f"{largest:.1e} {'<=' if largest <= limit.limit else '>'} {limit.limit:g} over {tried['utterances']} "
                 "utterances")
    passed = not tried["pickles"] and not tried["error"] and largest <= limit.limit
    return _rule("registered_answers", passed, words, limit.reason, largest, limit.limit)


def _comparison(client: "MlflowClient", version: "ModelVersion", today: "ModelVersion | None",
                predictions: Path | None, not_worse_than: Compare) -> Rule:
    """The paired comparison with the version that stands there today."""
    model = version.tags.get("model", "")
    if predictions is None:
        return _rule("not_worse_than_staging", False, "no predictions.csv is attached to this version",
                     "what cannot be compared cannot replace anything")
    if today is not None and today.version == version.version:
        return {**_rule("not_worse_than_staging", True, "", "a model is not compared with itself"),
                "verdict": "does not apply: this version stands there already", "applies": False}
    try:
        if today is None:
            return not_worse_than((predictions, model), None)
        with attached(client, today, "predictions.csv") as standing:
            if standing is None:
                return _rule("not_worse_than_staging", False,
                             f"version {today.version}, which stands there today, has no predictions.csv attached",
                             "what cannot be compared cannot be replaced")
            return not_worse_than((predictions, model), (standing, today.tags.get("model", "")))
    except UserError as error:
        return _rule("not_worse_than_staging", False, str(error), "what cannot be compared cannot be replaced")


def _before(client: "MlflowClient", name: str, alias: str) -> list[str]:
    """Versions that held the alias before the one that holds it now, the last one last."""
    try:
        kept = parse_json(client.get_registered_model(name).tags.get(f"before_{alias}", "[]"), f"before_{alias}")
    except UserError:
        return []
    return [str(one) for one in kept] if isinstance(kept, list) else []


def _remember(client: "MlflowClient", name: str, alias: str, before: Sequence[str]) -> None:
    client.set_registered_model_tag(name, f"before_{alias}", json.dumps(list(before)))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _in_short(rules: Sequence[Rule]) -> str:
    """The whole verdict as JSON that fits into a tag; figures go first when it does not."""
    for keys in (("rule", "passed", "verdict", "figure", "limit"), ("rule", "passed", "verdict"), ("rule", "passed")):
        text = json.dumps([{key: one.get(key) for key in keys} for one in rules], ensure_ascii=False)
        if len(text) <= LONGEST_TAG:
            break
    return text


def _blocked(rules: Sequence[Rule]) -> str:
    """Verdicts of the rules that block, '' when none does."""
    words = [str(one.get("verdict", one.get("rule"))).removeprefix("blocked: ") for one in rules
             if one.get("passed") is not True]
    return f"blocked: {'; '.join(words)}" if words else ""


def promote(params: Params, not_worse_than: Compare, version: str | None = None, to: Alias = "staging",
            override_reason: str | None = None) -> Promotion:
    """Judge a version and give it the alias `to`, or raise UserError 'blocked: ...'.

    not_worse_than: the rule that needs the registry, as `Compare` says. The gate's other rules are read from the
    gate.json attached to the version. version: number or alias; by default the candidate, for production the one that
    is staging. The whole verdict is tagged on the version, blocked or not. override_reason: promote although blocked;
    the reason is recorded as a tag. Production takes only versions that hold or held staging; no reason overrides
    that.
    """
    _check_alias(to)
    if override_reason is not None and len(override_reason.strip()) < SHORTEST_REASON:
        raise UserError(f"override: needs a written reason of at least {SHORTEST_REASON} characters: say why the gate "
                        "is wrong here")
    client, name = connect(params, make=False), params.tracking.registered_model
    with one_line(tracking_uri(params)), locked(params, client) as still_ours:
        found = resolve(client, name, version or ("staging" if to == "production" else CANDIDATE))
        number, tags = str(found.version), found.tags
        if to == "production" and tags.get("held_staging") != "true":
            raise UserError(f"blocked: version {number} of {name} never held staging: promote it to staging first")
        today = holder(client, name, to)
        rules = _judge(params, client, found, today, not_worse_than)
        blocked = _blocked(rules)
        reason = override_reason.strip() if blocked and override_reason else None
        verdict = {"verdict": blocked or "passed", "verdict_for": to, "verdict_rules": _in_short(rules),
                   "verdict_at": _now()} | ({"override_reason": reason, "override_for": to} if reason else {})
        still_ours()
        for key, value in verdict.items():
            client.set_model_version_tag(name, number, key, value[:LONGEST_TAG])
        if blocked and not reason:
            raise UserError(f"{blocked} (version {number} of {name} is not promoted to {to}; an override needs a "
                            "written reason)")
        before = _give(client, name, number, to, None if today is None else str(today.version), still_ours)
        return Promotion(name, number, to, before, f"overridden, {blocked}" if reason else "passed", reason, rules)


def _judge(params: Params, client: "MlflowClient", version: "ModelVersion", today: "ModelVersion | None",
           not_worse_than: Compare) -> tuple[dict[str, Any], ...]:
    with attached(client, version, "gate.json") as gate_json, \
            attached(client, version, "predictions.csv") as predictions:
        rules = [*_gate(gate_json, version.tags.get("model", "")), _registered(params, client, version, predictions),
                 _comparison(client, version, today, predictions, not_worse_than)]
    return tuple(dict(one) for one in rules)


def _give(client: "MlflowClient", name: str, number: str, to: Alias, today: str | None,
          still_ours: Callable[[], None]) -> str | None:
    """Remember who holds the alias, then set it: the last call of all. Returns the version before."""
    kept = _before(client, name, to)
    if today == number:
        return kept[-1] if kept else None
    if today is not None and kept[-1:] != [today]:
        kept.append(today)
    _remember(client, name, to, kept)
    client.set_model_version_tag(name, number, f"previous_{to}", today or "none")
    client.set_model_version_tag(name, number, f"held_{to}", "true")
    still_ours()
    client.set_registered_model_alias(name, to, number)
    return today


def demote(params: Params, alias: Alias = "staging") -> Demotion:
    """Give the alias back to the version that held it before, or take it away when there was none.

    Raises UserError when nothing stands under the alias.
    """
    _check_alias(alias)
    client, name = connect(params, make=False), params.tracking.registered_model
    with one_line(tracking_uri(params)), locked(params, client) as still_ours:
        today = str(resolve(client, name, alias).version)
        kept = [one for one in _before(client, name, alias) if _there(client, name, one)]
        while kept[-1:] == [today]:  # left by a process that was killed before it had set the alias
            kept.pop()
        now = kept.pop() if kept else None
        still_ours()
        if now is None:
            client.delete_registered_model_alias(name, alias)
        else:
            client.set_registered_model_alias(name, alias, now)
        _remember(client, name, alias, kept)
        client.set_model_version_tag(name, today, f"demoted_from_{alias}", _now())
    return Demotion(name, alias, today, now)


def _check_alias(alias: str) -> None:
    if alias not in get_args(Alias):
        raise UserError(f"{alias}: no such alias: choose {' or '.join(get_args(Alias))}")


def _there(client: "MlflowClient", name: str, number: str) -> bool:
    try:
        resolve(client, name, number)
    except UserError:
        return False
    return True
