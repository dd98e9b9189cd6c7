"""The leak audit: what is in two partitions at once, and whether the protocol declares it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from operator import attrgetter
from typing import Any

from ser_ops.corpora.partitions import (
    PARTITIONS,
    WITHIN_SPEAKERS,
    actual_protocol,
    declared_leaks,
    group_rows,
    split_units,
)
from ser_ops.errors import UserError
from ser_ops.manifest import AnyRow, NoiseRow, UtteranceRow, VariantRow

_Partitions = dict[str, set[str]]     # by the name of a content, a speaker, a recording, ...
_DECLARED = {"speaker": frozenset[str](), "word": frozenset({"speaker"}), "random": frozenset({"speaker"}),
             "paper": frozenset({"content", "speaker", "variant", "noise"})}


def audit_leaks(rows: Sequence[UtteranceRow], noise_rows: Sequence[NoiseRow], protocol: str,
                variants: Sequence[VariantRow] | None = None, fold: bool = False) -> dict[str, Any]:
    """Compare contents, speakers, variants of one utterance and noise recordings across partitions.

    A noise source counts in the partitions of its recordings and in those of the rows that it was mixed into: one that
    validation hears and training or test hears or may hear is a finding.

    variants: rows of the augmented table, where there is one; they, not `rows`, are then trained on.
    fold: whether they are divided by `partitions.assign_fold`: under `speaker` no test speaker is then declared.
    Returns the content of leak_audit.json: `protocol` is what the protocol came to on these rows; `clean` is True when
    there is no finding at all. A finding that is not declared names one thing; those that the protocol declares are
    counted together. Raises UserError for a row whose partition is none of the three.
    """
    trained: Sequence[UtteranceRow] | Sequence[VariantRow] = rows if variants is None else variants
    for table, name in ((rows, "utterance"), (noise_rows, "recording"), (variants or (), "row")):
        for row in table:
            if row.partition not in PARTITIONS:
                raise UserError(f"manifest: {getattr(row, name)} has the partition {row.partition!r}: run the stage "
                                "ingest again")
    contents, speakers = _partitions_of(trained, "content"), _partitions_of(trained, "speaker")
    utterances = _partitions_of(trained, "utterance")
    if protocol != "paper" and variants is not None:
        for utterance, partitions in _partitions_of(rows, "utterance").items():
            utterances[utterance] |= partitions
    noise_sources = _noise_sources(noise_rows, variants or ())
    unit_of = split_units(rows)
    split_speakers = {row.speaker for row in trained if unit_of.get(row.corpus) in WITHIN_SPEAKERS}
    compared: tuple[tuple[str, _Partitions, set[str]], ...] = (
        ("content", contents, set()),
        ("content", _sounds(rows, "utterance", utterances), set()),
        ("speaker", speakers, split_speakers),
        ("variant", utterances, set()),
        ("noise", noise_sources, set()),
        ("noise", _partitions_of(noise_rows, "content"), set()),
        ("noise", _sounds(noise_rows, "recording", _partitions_of(noise_rows, "recording")), set()))
    may_share = PARTITIONS[:2] if fold and protocol == "speaker" else PARTITIONS
    findings = [finding for kind, partitions_of, allowed in compared for finding in _findings(
        kind, partitions_of, set(partitions_of) if kind in _DECLARED[protocol] else allowed, may_share)]
    return {"protocol": protocol if fold else actual_protocol(rows, protocol), "clean": not findings,
            "declared": declared_leaks(rows, protocol, fold),
            "findings": findings,
            "checked": {"utterances": len(rows), "rows": len(trained), "contents": len(contents),
                        "speakers": len(speakers), "noise_recordings": len(noise_rows),
                        "noise_sources": len(noise_sources),
                        "noise_sources_in_validation": sum(
                            partition == "validation" for _, partition in _mixed_sources(noise_rows, variants or ()))}}


def undeclared_leaks(report: Mapping[str, Any]) -> list[str]:
    """The findings of a report that stop the run, each in words."""
    return [f"{finding['kind']} {finding['what']} is in {' and '.join(finding['partitions'])}"
            for finding in report["findings"] if not finding["declared"]]


def _partitions_of(rows: Iterable[AnyRow], column: str) -> _Partitions:
    """The partitions in which each value of a column occurs."""
    partitions: _Partitions = defaultdict(set)
    for row in rows:
        if value := getattr(row, column):
            partitions[value].add(row.partition)
    return partitions


def _noise_sources(noise_rows: Sequence[NoiseRow], variants: Sequence[VariantRow]) -> _Partitions:
    """Partitions of each noise source: of its recordings, and of the rows into which they were mixed."""
    partitions = _partitions_of(noise_rows, "source")
    for source, partition in _mixed_sources(noise_rows, variants):
        partitions[source].add(partition)
    return partitions


def _mixed_sources(noise_rows: Sequence[NoiseRow], variants: Sequence[VariantRow]) -> set[tuple[str, str]]:
    """The noise sources that were mixed into rows, each with the partition of such a row."""
    source_of = {row.recording: row.source for row in noise_rows}
    return {(source_of.get(row.noise_recording, row.noise_recording), row.partition)
            for row in variants if row.noise_recording}


def _sounds(rows: Sequence[UtteranceRow] | Sequence[NoiseRow], key: str,
            partitions_of: _Partitions) -> _Partitions:
    """Partitions of each sound that recordings of several partitions hold, named by two of them.

    Recordings of one content are left out: they are compared by that.
    """
    name_of = attrgetter(key)
    sounds: _Partitions = {}
    for group in group_rows((row for row in rows if row.sound), "sound").values():
        first, *others = sorted(group, key=name_of)
        own = partitions_of[name_of(first)]
        apart = next((row for row in others if row.content != first.content and partitions_of[name_of(row)] != own),
                     None)
        if apart:
            sounds[f"{name_of(first)}, the same sound as {name_of(apart)},"] = set().union(
                *(partitions_of[name_of(row)] for row in group))
    return sounds


def _findings(kind: str, partitions_of: _Partitions, declared: set[str],
              among: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A finding for each pair of partitions that share a name.

    Those of `declared` names are counted together where both partitions are `among` those that may share them.
    """
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(partitions_of):
        for pair in combinations([partition for partition in PARTITIONS if partition in partitions_of[name]], 2):
            if name in declared and set(pair) <= set(among):
                shared[pair].append(name)
            else:
                yield {"kind": kind, "partitions": list(pair), "what": name, "declared": False}
    for pair, names in shared.items():
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        yield {"kind": kind, "partitions": list(pair), "what": f"{len(names)}: {listed}", "declared": True}
