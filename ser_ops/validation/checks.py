"""Validate what ingest found: verdicts, quarantine, and whether the run may go on.

Recordings of the same content.

The outcome as reports/data_validation.json and as data docs that a browser opens.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_ops.config import Validation
from ser_ops.corpora import leaks
from ser_ops.pages import policy
from ser_ops.validation.suite import Rule, Table, Verdict, rules, run

_NAMED = 3      # others at most: all of them in each reason would be the square of a large group


def duplicates(rows: Sequence[Mapping[str, str]], key: str, label: str) -> list[str]:
    """For each row, why it is a duplicate, or an empty string.

    Same content and same label: the first by id stays, the others are named after it. Same content under
    different labels: nobody knows which label is right, so none stays.

    >>> rows = [{"id": "b", "content": "1", "emotion": "sad"}, {"id": "a", "content": "1", "emotion": "sad"}]
    >>> duplicates(rows, "id", "emotion")
    ['same content as a', '']
    >>> happy = [{"id": name, "content": "1", "emotion": "happy"} for name in "cde"]
    >>> duplicates([*rows, *happy], "id", "emotion")[4]
    'same content under another label: b (sad), a (sad), c (happy) and 1 more'
    """
    groups: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        if row["content"]:
            groups[row["content"]].append(row)
    reasons: dict[str, str] = {}
    for group in groups.values():
        if len(group) < 2:
            continue
        first, *others = sorted(group, key=lambda row: row[key])
        if len({row[label] for row in group}) > 1:
            for row in group:
                others = [other for other in group[:_NAMED + 1] if other is not row][:_NAMED]
                named = ", ".join(f"{other[key]} ({other[label]})" for other in others)
                more = f" and {len(group) - 1 - len(others)} more" if len(group) - 1 > len(others) else ""
                reasons[row[key]] = f"same content under another label: {named}{more}"
        else:
            reasons.update({row[key]: f"same content as {first[key]}" for row in others})
    return [reasons.get(row[key], "") for row in rows]


Row = Mapping[str, str]
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
    """What validation found; `stops` are the reasons, in words, for which the run must not go on."""

    utterances: list[Row]
    noise: list[Row]
    quarantine: list[Finding]
    verdicts: list[Verdict]
    stops: list[str]
    bad_share: float
    audit: dict[str, Any]
    pages: dict[str, str] = field(repr=False, default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the run may go on."""
        return not self.stops


def validate(utterances: Sequence[Row], noise: Sequence[Row], corpora: Mapping[str, Mapping[str, Any]],
             known_faults: Mapping[str, Mapping[str, str]], settings: Validation, protocol: str) -> Outcome:
    """Judge every recording of the manifest and of the noise list.

    utterances and noise: rows of work/ingest's CSV files. corpora: its corpora.json. known_faults: for each
    layout, reasons by file name without its suffix. protocol: that of the partitions, whose declared leaks do
    not stop the run.
    """
    found: list[Verdict] = []
    pages: dict[str, str] = {}
    quarantine: list[Finding] = []

    def look(table: Table, rows: list[dict[str, Any]]) -> list[Verdict]:
        import pandas

        verdicts, pages[table] = run(table, pandas.DataFrame(rows), [rule for rule in all_rules if rule.table == table])
        found.extend(verdicts)
        return verdicts

    all_rules = rules(settings)
    kept: dict[str, list[Row]] = {}
    judged: tuple[tuple[Table, Sequence[Row], str, str], ...] = (("utterances", utterances, "utterance", "emotion"),
                                                                 ("noise", noise, "recording", "category"))
    for table, rows, key, label in judged:
        frame = [_typed(row) for row in rows]
        for one, reason in zip(frame, duplicates(rows, key, label), strict=True):
            one["duplicate"] = reason
            if table == "utterances":
                stem = PurePosixPath(one["path"]).stem
                published = not int(one["synthetic"])  # a synthetic corpus borrows the names, not the faults
                one["known_fault"] = known_faults.get(one["layout"], {}).get(stem, "") if published else ""
        bad = _quarantined(look(table, frame), frame, table, key)
        quarantine += bad
        names = {one.id for one in bad}
        kept[table] = [row for row in rows if row[key] not in names]

    audit = leaks.audit(kept["utterances"], kept["noise"], protocol)
    undeclared = [one for one in audit["findings"] if not one["declared"]]
    look("speakers", _speakers(kept["utterances"], undeclared))
    look("sources", _sources(kept["noise"]))
    look("leaks", [{"protocol": protocol, "undeclared": len(undeclared)}])
    look("corpora", [_counted(name, corpus) for name, corpus in corpora.items()])

    bad_share = sum(one.kind == "utterance" for one in quarantine) / max(1, len(utterances))
    stops = [_stop(verdict, undeclared) for verdict in found if verdict.rule.severity == "stop" and verdict.failed]
    if bad_share > settings.bad_share:
        worst = max(found, key=lambda one: len(one.failed) if one.rule.severity == "quarantine" else 0)
        stops.append(f"{bad_share:.1%} of the recordings are bad, more than validation.bad_share = "
                     f"{settings.bad_share:.1%} (most often: {worst.rule.name})")
    if not kept["utterances"]:
        stops.append("no utterance is left to work with")
    return Outcome(kept["utterances"], kept["noise"], quarantine, found, stops, bad_share, audit, pages)


def _typed(row: Row) -> dict[str, Any]:
    """Numbers as numbers; those of a file that did not decode pass every rule but that one."""
    return {name: (float(value) if value else None) if name in _NUMBERS else value for name, value in row.items()}


def _quarantined(verdicts: Sequence[Verdict], frame: Sequence[Mapping[str, Any]], table: str,
                 key: str) -> list[Finding]:
    first: dict[int, Finding] = {}
    for verdict in verdicts:
        if verdict.rule.severity != "quarantine":
            continue
        for position in verdict.failed:
            row = frame[position]
            kind = "utterance" if table == "utterances" else "noise"
            first.setdefault(position, Finding(kind, row[key], row["path"], verdict.rule.name, _why(verdict.rule, row)))
    return [first[position] for position in sorted(first)]


def _why(rule: Rule, row: Mapping[str, Any]) -> str:
    value = row[rule.column]
    if rule.column in ("error", "known_fault", "duplicate"):
        return str(value)
    shown = f"{value:.3g}" if isinstance(value, float) else repr(value)
    return f"{rule.column} is {shown}: {rule.description}"


def _speakers(rows: Sequence[Row], undeclared: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    leaking = {str(one["what"]) for one in undeclared if one["kind"] == "speaker"}
    return [{"speaker": speaker, "undeclared": int(speaker in leaking)}
            for speaker in sorted({row["speaker"] for row in rows} | leaking)]


def _sources(rows: Sequence[Row]) -> list[dict[str, Any]]:
    partitions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        partitions[f"{row['collection']}/{row['category']}/{row['source']}"].add(row["partition"])
    return [{"source": source, "partitions": len(names)} for source, names in sorted(partitions.items())]


def _counted(name: str, corpus: Mapping[str, Any]) -> dict[str, Any]:
    expected = corpus.get("expected_emotions")
    complete = bool(corpus["complete"])
    wrong = [f"{emotion} {corpus['emotions'].get(emotion, 0)} instead of {count}"
             for emotion, count in (expected or {}).items() if corpus["emotions"].get(emotion, 0) != count]
    partial = "" if complete or expected is None else f"{corpus['found']} of {corpus['expected']} recordings"
    return {"corpus": name, "miscounted": ", ".join(wrong) if complete else "", "partial": partial}


def _stop(verdict: Verdict, undeclared: Sequence[Mapping[str, Any]]) -> str:
    if verdict.rule.table in ("leaks", "speakers") and undeclared:
        one = undeclared[0]
        return (f"leak: {one['kind']} {one['what']} lies in {' and '.join(one['partitions'])} "
                f"({len(undeclared)} in all)")
    return f"rule {verdict.rule.name!r} ({verdict.rule.description}) failed for {len(verdict.failed)} of {verdict.of}"


_TITLES = {"utterances": "Utterances", "noise": "Noise recordings", "speakers": "Speakers across partitions",
           "sources": "Noise sources across partitions", "leaks": "Leak audit", "corpora": "Corpora"}


def record(outcome: Outcome, corpora: Mapping[str, Mapping[str, Any]], limit: float) -> dict[str, Any]:
    """The content of data_validation.json: every rule with its figure, what is in quarantine, what is partial."""
    quarantined = [vars(one) for one in outcome.quarantine]
    utterances = sum(one.kind == "utterance" for one in outcome.quarantine)
    return {
        "success": outcome.success,
        "stops": outcome.stops,
        "checked": {"utterances": len(outcome.utterances) + utterances,
                    "noise": len(outcome.noise) + len(outcome.quarantine) - utterances},
        "rules": [{"rule": one.rule.name, "description": one.rule.description, "success": not one.failed,
                   "failed": len(one.failed), "of": one.of, "severity": one.rule.severity}
                  for one in outcome.verdicts],
        "quarantined": quarantined,
        "bad_share": outcome.bad_share,
        "limit": limit,
        "corpora": dict(corpora),
        "partial": sorted(name for name, one in corpora.items() if not one["complete"] and one.get("expected")),
        "synthetic": sorted(name for name, one in corpora.items() if one["synthetic"]),
    }


def index_page(outcome: Outcome, content: Mapping[str, Any]) -> str:
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
