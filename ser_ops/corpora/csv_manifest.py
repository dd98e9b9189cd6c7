"""Any other corpus: a CSV manifest with the columns path, emotion and speaker."""

from collections import Counter
from pathlib import Path, PurePosixPath

from ser_ops.config import ManifestSource
from ser_ops.corpora.table import read_csv
from ser_ops.corpora.utterance import Scan, Utterance
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError

REQUIRED = ("path", "emotion", "speaker")
OPTIONAL = ("gender", "language", "intensity", "text")
_GENDERS = {"": "", "f": "female", "female": "female", "m": "male", "male": "male"}


def read_manifest(source: ManifestSource) -> Scan:
    """Read a manifest; a relative path counts from the manifest's own folder.

    A label is one of the seven emotions or stands in `source.labels`; optional columns may be missing, others
    are named among the oddities. Raises UserError for a missing column, an empty value, labels with no map (all
    of them), files that are missing, and two lines that name one recording.
    """
    rows = read_csv(source.file)
    if not rows:
        raise UserError(f"{source.file}: holds no recordings: give a line per recording under {', '.join(REQUIRED)}")
    missing = [column for column in REQUIRED if column not in rows[0]]
    if missing:
        raise UserError(f"{source.file}: lacks the column {', '.join(missing)}: give {', '.join(REQUIRED)} and, where "
                        f"known, {', '.join(OPTIONAL)}")
    for line, row in enumerate(rows, 2):
        empty = [column for column in REQUIRED if not row[column].strip()]
        if empty:
            raise UserError(f"{source.file}: line {line} has no {', '.join(empty)}: fill it in")
    _check_labels(source, rows)
    utterances = [_utterance(source, row) for row in rows]
    _check_files(source, utterances)
    ids = Counter(one.utterance for one in utterances)
    if twice := [name for name, n in ids.items() if n > 1]:
        raise UserError(f"{source.file}: names a recording more than once ({_some(twice)}): keep one line of each")
    return Scan(sorted(utterances, key=lambda one: one.utterance), {}, _oddities(rows))


def _emotion(source: ManifestSource, label: str) -> str | None:
    mapped = source.labels.get(label)
    return mapped or (label if label in EMOTIONS else None)


def _check_labels(source: ManifestSource, rows: list[dict[str, str]]) -> None:
    counts = Counter(label for row in rows if _emotion(source, label := row["emotion"].strip()) is None)
    if counts:
        listed = ", ".join(f"{label!r} ({n})" for label, n in sorted(counts.items()))
        raise UserError(f"{source.file}: labels with no map: {listed}: give each an emotion ({', '.join(EMOTIONS)}) "
                        f"under labels of the manifest {source.name!r} in params.yaml")


def _check_files(source: ManifestSource, utterances: list[Utterance]) -> None:
    gone = [str(one.path) for one in utterances if not one.path.is_file()]
    if gone:
        raise UserError(f"{source.file}: {len(gone)} of {len(utterances)} files are missing ({_some(gone)}): a "
                        f"relative path counts from {source.file.parent}")


def _utterance(source: ManifestSource, row: dict[str, str]) -> Utterance:
    values = {column: (row.get(column) or "").strip() for column in REQUIRED + OPTIONAL}
    given = PurePosixPath(values["path"].replace("\\", "/"))
    emotion = _emotion(source, values["emotion"])
    assert emotion is not None
    return Utterance(
        f"{source.name}/{given.with_suffix('').as_posix().lstrip('/')}", source.name, "manifest", False,
        Path(source.file.parent / given), emotion, f"{source.name}/{values['speaker']}",
        _GENDERS.get(values["gender"].lower(), ""), values["language"], values["intensity"], values["text"])


def _oddities(rows: list[dict[str, str]]) -> list[str]:
    other = [column for column in rows[0] if column not in REQUIRED + OPTIONAL]
    genders = sorted({row.get("gender", "").strip() for row in rows
                      if row.get("gender", "").strip().lower() not in _GENDERS})
    notes = [f"columns not used: {', '.join(other)}"] if other else []
    return notes + ([f"gender counted as unknown: {', '.join(genders)}"] if genders else [])


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
