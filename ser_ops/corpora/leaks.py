"""The leak audit: what is in two partitions at once, and whether the protocol declares it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from operator import attrgetter
from typing import Any

from ser_ops.corpora.partitions import PARTITIONS, declared_leaks, group_rows, split_units
from ser_ops.errors import UserError
from ser_ops.manifest import AnyRow, NoiseRow, UtteranceRow, VariantRow

_Places = dict[str, set[str]]
_DECLARED = {"speaker": frozenset[str](), "random": frozenset({"speaker"}),
             "paper": frozenset({"content", "speaker", "variant", "noise"})}


def audit_leaks(rows: Sequence[UtteranceRow], noise_rows: Sequence[NoiseRow], protocol: str,
          variants: Sequence[VariantRow] | None = None) -> dict[str, Any]:
    """Compare contents, speakers, variants of one utterance and noise recordings across partitions.

    variants: rows of the augmented table, where there is one; they, not `rows`, are then trained on.
    Returns the content of leak_audit.json: `clean` is True when there is no finding at all. A finding that is not
    declared names one thing; those that the protocol declares are counted together. Raises UserError for a row
    whose partition is none of the three.
    """
    trained: Sequence[UtteranceRow] | Sequence[VariantRow] = rows if variants is None else variants
    for table, name in ((rows, "utterance"), (noise_rows, "recording"), (variants or (), "row")):
        for row in table:
            if row.partition not in PARTITIONS:
                raise UserError(f"manifest: {getattr(row, name)} has the partition {row.partition!r}: run the stage "
                                "ingest again")
    contents, speakers = _places(trained, "content"), _places(trained, "speaker")
    parents = _places(trained, "utterance")
    if protocol != "paper" and variants is not None:
        _add(parents, _places(rows, "utterance"))
    noise, noise_contents = _noise(noise_rows, variants or ())
    by_word = {corpus for corpus, way in split_units(rows).items() if way in ("word", "utterance")}
    corpus_of = {row.speaker: row.corpus for row in trained}
    free = _DECLARED[protocol]
    findings = [
        *_findings("content", contents, lambda one: "content" in free),
        *_findings("content", _sounds(rows, "utterance", parents), lambda one: "content" in free),
        *_findings("speaker", speakers, lambda one: "speaker" in free or corpus_of[one] in by_word),
        *_findings("variant", parents, lambda one: "variant" in free),
        *_findings("noise", noise, lambda one: "noise" in free),
        *_findings("noise", noise_contents, lambda one: "noise" in free),
        *_findings("noise", _sounds(noise_rows, "recording", _places(noise_rows, "recording")),
                   lambda one: "noise" in free)]
    return {"protocol": protocol, "clean": not findings, "declared": declared_leaks(rows, protocol), "findings": findings,
            "checked": {"utterances": len(rows), "rows": len(trained), "contents": len(contents),
                        "speakers": len(speakers), "noise_recordings": len(noise_rows), "noise_sources": len(noise)}}


def undeclared_leaks(report: Mapping[str, Any]) -> list[str]:
    """The findings of a report that stop the run, each in words."""
    return [f"{one['kind']} {one['what']} is in {' and '.join(one['partitions'])}" for one in report["findings"]
            if not one["declared"]]


def _places(rows: Iterable[AnyRow], column: str) -> _Places:
    places: _Places = defaultdict(set)
    for row in rows:
        if value := getattr(row, column):
            places[value].add(row.partition)
    return places


def _add(places: _Places, more: _Places) -> None:
    for name, partitions in more.items():
        places[name] |= partitions


def _noise(noise_rows: Sequence[NoiseRow], variants: Sequence[VariantRow]) -> tuple[_Places, _Places]:
    """Partitions of each noise source, by its recordings and by the rows that they were mixed into; and of contents."""
    source = {row.recording: row.source for row in noise_rows}
    places = _places(noise_rows, "source")
    for row in variants:
        if row.noise_recording:
            places[source.get(row.noise_recording, row.noise_recording)].add(row.partition)
    return places, _places(noise_rows, "content")


def _sounds(rows: Sequence[UtteranceRow] | Sequence[NoiseRow], key: str, places: _Places) -> _Places:
    """Partitions of each sound that several recordings hold, named by two of them that lie apart where there are such.

    Recordings of one content are found as that.
    """
    name_of = attrgetter(key)
    named: _Places = {}
    for group in group_rows((row for row in rows if row.sound), "sound").values():
        first, *others = sorted(group, key=name_of)
        where = places[name_of(first)]
        apart = next((row for row in others if row.content != first.content and places[name_of(row)] != where), None)
        if apart:
            named[f"{name_of(first)}, the same sound as {name_of(apart)},"] = set().union(
                *(places[name_of(row)] for row in group))
    return named


def _findings(kind: str, places: _Places, is_declared: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    together: dict[tuple[str, str], list[str]] = defaultdict(list)
    for what in sorted(places):
        for pair in combinations([one for one in PARTITIONS if one in places[what]], 2):
            if is_declared(what):
                together[pair].append(what)
            else:
                yield {"kind": kind, "partitions": list(pair), "what": what, "declared": False}
    for pair, names in together.items():
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        yield {"kind": kind, "partitions": list(pair), "what": f"{len(names)}: {some}", "declared": True}
