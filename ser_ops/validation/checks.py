"""Validate what ingest found: verdicts, quarantine, and whether the run may go on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ser_ops.config import Validation
from ser_ops.corpora import leaks
from ser_ops.validation.duplicates import duplicates
from ser_ops.validation.rules import Rule, Table, rules
from ser_ops.validation.suite import Verdict, run

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
