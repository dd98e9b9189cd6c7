"""Any other corpus: a CSV manifest with the columns path, emotion and speaker, which may cut its recordings."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from ser_ops.config import ManifestSource
from ser_ops.corpora.column_names import chooses_channel, cuts
from ser_ops.corpora.cuts import channel_of, check_span, name_of, seconds_of
from ser_ops.corpora.labels import mapping
from ser_ops.corpora.utterance import Scan, Utterance
from ser_ops.emotions import DROP, EMOTIONS, same_label
from ser_ops.errors import UserError
from ser_ops.files import located
from ser_ops.outside_table import read_table

REQUIRED = ("path", "emotion", "speaker")
OPTIONAL = ("gender", "language", "intensity", "text", "start", "end", "channel")
ALIASES = {"file": "path"}      # audformat's name
_GENDERS = {"": "", "f": "female", "female": "female", "m": "male", "male": "male"}
_LISTED = 20        # labels that an error lists
_CHOOSING = {"split", "partition", "subset", "fold", "set", "weight", "weights"}


def read_manifest(source: ManifestSource, remedy: str | None = None, files_may_be_missing: bool = False,
                  labels_may_lack_emotions: bool = False) -> Scan:
    """Read a manifest; a relative path counts from the manifest's own folder.

    A label is one of the seven emotions or stands in `source.labels`, case and space around it left aside; what is
    mapped to drop is counted in `skipped`. `start` and `end` (seconds, or times as pandas writes them) cut the
    recording, `channel` (from 1 on) chooses. Other columns are named among the oddities; those whose names say
    that they cut or choose a channel are refused.

    remedy: what a user does about labels with no map; None names params.yaml. files_may_be_missing: whoever opens the
    files says which are not there. labels_may_lack_emotions: a label with no map is counted in `skipped`, as before
    anybody could map it.
    Raises UserError for a missing column, an empty value, a time that is none, labels with no map (all of them), files
    that are missing, and two lines that name one recording.
    """
    targets = mapping(source.labels)
    utterances, dropped, unmapped = list[Utterance](), Counter[str](), Counter[str]()
    genders, columns = set[str](), list[str]()
    for line, row in read_table(source.file, REQUIRED, ALIASES):
        if not columns:
            columns = list(row)
            _refuse_cutting(source.file, columns)
        if empty := [column for column in REQUIRED if not row[column]]:
            raise UserError(f"{source.file}: line {line} has no {', '.join(empty)}: fill it in")
        label = row["emotion"]
        target = targets.get(same_label(label))
        if target is None:
            unmapped[label] += 1
        elif target == DROP:
            dropped[f"label {label!r} is dropped"] += 1
        else:
            utterances.append(_utterance(source, f"{source.file}: line {line}", row, target))
            genders.add(row.get("gender", ""))
    if not columns:
        raise UserError(f"{source.file}: holds no recordings: give a line per recording under {', '.join(REQUIRED)}")
    if unmapped and labels_may_lack_emotions:
        dropped.update({without_emotion(label): number for label, number in unmapped.items()})
    elif unmapped:
        listed = _some([f"{label!r:.60} ({number})" for label, number in sorted(unmapped.items())], _LISTED)
        raise UserError(f"{source.file}: labels with no map: {listed}: give each an emotion ({', '.join(EMOTIONS)}) or "
                        f"{DROP}, {remedy or f'under labels of the manifest {source.name!r} in params.yaml'}")
    if not utterances and not unmapped:
        raise UserError(f"{source.file}: every label is dropped: leave one of the emotions")
    if not files_may_be_missing:
        _check_files(source, utterances)
    _check_once(source, utterances)
    return Scan(sorted(utterances, key=lambda one: one.utterance), dict(dropped), _oddities(columns, genders))


def recording_of(manifest: Path, given: str) -> Path:
    """The file that the value `given` of a manifest's column path means, as it is spelt on this disk."""
    return located(manifest.parent / PurePosixPath(given.replace("\\", "/")))


def without_emotion(label: str) -> str:
    """Why a line is left out whose label nobody has mapped yet."""
    return f"label {label!r:.60} has no emotion yet"


def _refuse_cutting(file: Path, columns: Sequence[str]) -> None:
    """Refuse what would cut a recording, or choose its channel, under a name that is not read.

    Beside `start` and `end`, or `channel`, it may stand: they say it already.
    """
    others = [name for name in columns if name not in REQUIRED + OPTIONAL]
    cutting = [name for name in others if cuts(name, "start" in columns)]
    if cutting and not {"start", "end"} <= set(columns):
        raise UserError(f"{file}: {_named(cutting)} would cut its recordings under a name that is not read: name what "
                        "cuts start and end, in seconds, or remove it")
    choosing = [name for name in others if chooses_channel(name)]
    if choosing and "channel" not in columns:
        raise UserError(f"{file}: {_named(choosing)} would choose a channel under a name that is not read: name it "
                        "channel, counted from 1 on, or remove it")


def _named(columns: Sequence[str]) -> str:
    return f"the column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"


def _check_once(source: ManifestSource, utterances: list[Utterance]) -> None:
    """Refuse two lines of one name, and two of one part of one file, however its path is written."""
    folder = cache(os.path.realpath)    # far fewer folders than files
    files = (os.path.realpath(one.path) if os.path.islink(one.path)
             else os.path.join(folder(one.path.parent), one.path.name) for one in utterances)
    parts = [(file, name_of(one.start, one.end, one.channel)) for file, one in zip(files, utterances, strict=True)]
    names, times = Counter(one.utterance for one in utterances), Counter(parts)
    twice = dict.fromkeys(one.utterance for one, part in zip(utterances, parts, strict=True)
                          if names[one.utterance] > 1 or times[part] > 1)
    if twice:
        raise UserError(f"{source.file}: names a recording, or one of that name in another format, more than once "
                        f"({_some(list(twice))}): keep one line of each")


def _check_files(source: ManifestSource, utterances: list[Utterance]) -> None:
    gone = [str(one.path) for one in utterances if not os.path.isfile(one.path)]   # Path.is_file raises for long names
    if gone:
        raise UserError(f"{source.file}: {len(gone)} of {len(utterances)} files are missing ({_some(gone)}): a "
                        f"relative path counts from {source.file.parent}")


def _utterance(source: ManifestSource, where: str, row: Mapping[str, str], emotion: str) -> Utterance:
    given = PurePosixPath(row["path"].replace("\\", "/"))
    if not given.name:
        raise UserError(f"{where} names no file ({row['path']!r}): give the path of a recording")
    start, end = (seconds_of(where, column, row.get(column, "")) for column in ("start", "end"))
    check_span(where, start, end)
    channel = channel_of(where, row.get("channel", ""))
    name = unicodedata.normalize("NFC", given.with_suffix("").as_posix().lstrip("/"))
    return Utterance(
        f"{source.name}/{name}{name_of(start, end, channel)}", source.name, "manifest", False,
        recording_of(source.file, row["path"]), emotion, f"{source.name}/{row['speaker']}",
        _GENDERS.get(row.get("gender", "").lower(), ""), row.get("language", ""), row.get("intensity", ""),
        row.get("text", ""), start or 0.0, end, channel)


def _oddities(columns: Iterable[str], genders: Iterable[str]) -> list[str]:
    other = [column for column in columns if column not in REQUIRED + OPTIONAL]
    notes = [f"columns not used: {', '.join(other)}"] if other else []
    if choosing := [column for column in other if column in _CHOOSING]:
        notes.append(f"every line counts, and counts alike, whatever {', '.join(choosing)} says")
    unknown = sorted(gender for gender in genders if gender.lower() not in _GENDERS)
    return notes + ([f"gender counted as unknown: {_some(unknown)}"] if unknown else [])


def _some(names: list[str], number: int = 5) -> str:
    return ", ".join(names[:number]) + (f" and {len(names) - number} more" if len(names) > number else "")
