"""Validate what ingest read: verdicts, quarantine, and whether the run may go on; the record and the page of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_ops.config.data import Validation
from ser_ops.corpora import leaks
from ser_ops.corpora.partitions import group_rows
from ser_ops.manifest import AnyRow, NoiseRow, UtteranceRow, columns
from ser_ops.pages import policy
from ser_ops.validation.suite import DataRule, RuleVerdict, Table, data_rules, run_rules

_NAMED = 3      # others at most: all of them in each reason would be the square of a large group


_NUMBERS = ("native_rate", "seconds", "peak_dbfs", "rms_dbfs", "clipped_share", "silent_share")


@dataclass(frozen=True)
class Finding:
    """One recording in quarantine, under the first rule that it failed."""

    kind: str
    id: str
    path: str
    rule: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What validation came to; `stops` are the reasons, in words, for which the run must not go on."""

    utterances: list[UtteranceRow]
    noise: list[NoiseRow]
    quarantine: list[Finding]
    verdicts: list[RuleVerdict]
    stops: list[str]
    bad_share: float
    audit: dict[str, Any]
    pages: dict[str, str] = field(repr=False, default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the run may go on."""
        return not self.stops


def validate(utterances: Sequence[UtteranceRow], noise: Sequence[NoiseRow], corpora: Mapping[str, Mapping[str, Any]],
             known_faults: Mapping[str, Mapping[str, str]], settings: Validation, protocol: str) -> Outcome:
    """Judge every recording of the manifest and of the noise list.

    corpora: content of corpora.json. known_faults: for each layout, reasons by file name without its suffix.
    protocol: that of the partitions; leaks that it declares do not stop the run.
    """
    judge = _Judge(data_rules(settings))
    frame = _frame(utterances, "utterance", "emotion")
    for values in frame:
        # A synthetic corpus has the names of a published one, not its faults.
        faults = {} if values["synthetic"] else known_faults.get(values["layout"], {})
        values["known_fault"] = faults.get(PurePosixPath(values["path"]).stem, "")
    bad_utterances = _quarantined(judge("utterances", frame), frame, "utterance", "utterance")
    kept_utterances = _without(utterances, "utterance", bad_utterances)
    noise_frame = _frame(noise, "recording", "category")
    bad_noise = _quarantined(judge("noise", noise_frame), noise_frame, "noise", "recording")
    kept_noise = _without(noise, "recording", bad_noise)

    audit = leaks.audit_leaks(kept_utterances, kept_noise, protocol)
    undeclared = [finding for finding in audit["findings"] if not finding["declared"]]
    judge("speakers", _speakers(kept_utterances, undeclared))
    judge("sources", _sources(kept_noise))
    judge("leaks", [{"protocol": protocol, "undeclared": len(undeclared)}])
    judge("corpora", [_counted(name, corpus) for name, corpus in corpora.items()])

    bad_share = len(bad_utterances) / max(1, len(utterances))
    stops = [_stop(verdict, undeclared) for verdict in judge.verdicts
             if verdict.rule.severity == "stop" and verdict.failed]
    if bad_share > settings.bad_share:
        worst = max(judge.verdicts, key=lambda verdict: len(verdict.failed) * (verdict.rule.severity == "quarantine"))
        stops.append(f"{bad_share:.1%} of the recordings are bad, more than validation.bad_share = "
                     f"{settings.bad_share:.1%} (most often: {worst.rule.name})")
    if not kept_utterances:
        stops.append("no utterance is left to work with")
    return Outcome(kept_utterances, kept_noise, [*bad_utterances, *bad_noise], judge.verdicts, stops, bad_share, audit,
                   judge.pages)


@dataclass
class _Judge:
    """Holds the rows of each table to its rules; keeps all verdicts, and Great Expectations' page of each table."""

    rules: Sequence[DataRule]
    verdicts: list[RuleVerdict] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=dict)

    def __call__(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[RuleVerdict]:
        import pandas

        verdicts, self.pages[table] = run_rules(table, pandas.DataFrame(rows),
                                                [rule for rule in self.rules if rule.table == table])
        self.verdicts += verdicts
        return verdicts


def _frame(rows: Sequence[AnyRow], key: str, label: str) -> list[dict[str, Any]]:
    """Rows as the rules see them: every number a float, and a column that says why a row is a duplicate.

    The numbers of a file that did not decode are None: they pass every rule but that it decodes.
    """
    frame = [{name: getattr(row, name) for name in columns(type(row))} for row in rows]
    for values, reason in zip(frame, duplicate_reasons(rows, key, label), strict=True):
        values.update({name: float(number) for name in _NUMBERS if (number := values.get(name)) is not None})
        values["duplicate"] = reason
    return frame


def duplicate_reasons(rows: Sequence[AnyRow], key: str, label: str) -> list[str]:
    """For each row, why it is a duplicate, or an empty string. `key` and `label` name columns.

    Same content and same label: the first by id stays, the others are named after it. Same content under
    different labels: nobody knows which label is right, so none stays.

    >>> rows = [UtteranceRow(name, emotion="sad", content="1") for name in "ba"]
    >>> duplicate_reasons(rows, "utterance", "emotion")
    ['same content as a', '']
    >>> happy = [UtteranceRow(name, emotion="happy", content="1") for name in "cde"]
    >>> duplicate_reasons([*rows, *happy], "utterance", "emotion")[4]
    'same content under another label: b (sad), a (sad), c (happy) and 1 more'
    """
    name_of, label_of = attrgetter(key), attrgetter(label)
    reasons: dict[str, str] = {}
    for group in group_rows((row for row in rows if row.content), "content").values():
        if len(group) < 2:
            continue
        first, *others = sorted(group, key=name_of)
        if len({label_of(row) for row in group}) > 1:
            for row in group:
                others = [other for other in group[:_NAMED + 1] if other is not row][:_NAMED]
                named = ", ".join(f"{name_of(other)} ({label_of(other)})" for other in others)
                more = f" and {len(group) - 1 - len(others)} more" if len(group) - 1 > len(others) else ""
                reasons[name_of(row)] = f"same content under another label: {named}{more}"
        else:
            reasons.update({name_of(row): f"same content as {name_of(first)}" for row in others})
    return [reasons.get(name_of(row), "") for row in rows]


def _quarantined(verdicts: Sequence[RuleVerdict], frame: Sequence[Mapping[str, Any]], kind: str,
                 key: str) -> list[Finding]:
    """Each bad row once, under the first rule that it failed, in the order of the rows."""
    first: dict[int, Finding] = {}
    for verdict in verdicts:
        if verdict.rule.severity == "quarantine":
            for position in verdict.failed:
                values = frame[position]
                first.setdefault(position, Finding(kind, values[key], values["path"], verdict.rule.name,
                                                   _why(verdict.rule, values)))
    return [first[position] for position in sorted(first)]


def _without(rows: Sequence[AnyRow], key: str, findings: Sequence[Finding]) -> list[AnyRow]:
    quarantined = {finding.id for finding in findings}
    return [row for row in rows if getattr(row, key) not in quarantined]


def _why(rule: DataRule, values: Mapping[str, Any]) -> str:
    value = values[rule.column]
    if rule.column in ("error", "known_fault", "duplicate"):
        return str(value)
    shown = f"{value:.3g}" if isinstance(value, float) else repr(value)
    return f"{rule.column} is {shown}: {rule.description}"


def _speakers(rows: Sequence[UtteranceRow], undeclared: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    leaking = {str(finding["what"]) for finding in undeclared if finding["kind"] == "speaker"}
    return [{"speaker": speaker, "undeclared": int(speaker in leaking)}
            for speaker in sorted({row.speaker for row in rows} | leaking)]


def _sources(rows: Sequence[NoiseRow]) -> list[dict[str, Any]]:
    partitions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        partitions[f"{row.collection}/{row.category}/{row.source}"].add(row.partition)
    return [{"source": source, "partitions": len(names)} for source, names in sorted(partitions.items())]


def _counted(name: str, corpus: Mapping[str, Any]) -> dict[str, Any]:
    expected = corpus.get("expected_emotions")
    complete = bool(corpus["complete"])
    wrong = [f"{emotion} {corpus['emotions'].get(emotion, 0)} instead of {count}"
             for emotion, count in (expected or {}).items() if corpus["emotions"].get(emotion, 0) != count]
    partial = "" if complete or expected is None else f"{corpus['found']} of {corpus['expected']} recordings"
    return {"corpus": name, "miscounted": ", ".join(wrong) if complete else "", "partial": partial}


def _stop(verdict: RuleVerdict, undeclared: Sequence[Mapping[str, Any]]) -> str:
    if verdict.rule.table in ("leaks", "speakers") and undeclared:
        leak = undeclared[0]
        return (f"leak: {leak['kind']} {leak['what']} lies in {' and '.join(leak['partitions'])} "
                f"({len(undeclared)} in all)")
    return f"rule {verdict.rule.name!r} ({verdict.rule.description}) failed for {len(verdict.failed)} of {verdict.of}"


_TITLES = {"utterances": "Utterances", "noise": "Noise recordings", "speakers": "Speakers across partitions",
           "sources": "Noise sources across partitions", "leaks": "Leak audit", "corpora": "Corpora"}


def validation_record(outcome: Outcome, corpora: Mapping[str, Mapping[str, Any]], limit: float) -> dict[str, Any]:
    """The content of data_validation.json: every rule with its figure, what is in quarantine, what is partial."""
    quarantined = [vars(finding) for finding in outcome.quarantine]
    utterances = sum(finding.kind == "utterance" for finding in outcome.quarantine)
    return {
        "success": outcome.success,
        "stops": outcome.stops,
        "checked": {"utterances": len(outcome.utterances) + utterances,
                    "noise": len(outcome.noise) + len(outcome.quarantine) - utterances},
        "rules": [{"rule": verdict.rule.name, "description": verdict.rule.description, "success": not verdict.failed,
                   "failed": len(verdict.failed), "of": verdict.of, "severity": verdict.rule.severity}
                  for verdict in outcome.verdicts],
        "quarantined": quarantined,
        "bad_share": outcome.bad_share,
        "limit": limit,
        "corpora": dict(corpora),
        "partial": sorted(name for name, corpus in corpora.items()
                          if not corpus["complete"] and corpus.get("expected")),
        "synthetic": sorted(name for name, corpus in corpora.items() if corpus["synthetic"]),
    }


def validation_page(outcome: Outcome, content: Mapping[str, Any]) -> str:
    """The first page of the data docs: verdict, rules, quarantine, links to Great Expectations' page of each table.

    Every text from a file is escaped, and no script ever runs.
    """
    verdict = "passed" if outcome.success else "stopped: " + "; ".join(outcome.stops)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("index.html.j2").render(
        policy=policy(), verdict=verdict, content=content, bad=f"{outcome.bad_share:.1%}",
        allowed=f"{content['limit']:.1%}",
        tables=[(name, _TITLES[name]) for name, page in outcome.pages.items() if page],
        notes=(("Synthetic speech, not recordings of people", content["synthetic"]),
               ("Partial corpora", content["partial"]))) + "\n"
