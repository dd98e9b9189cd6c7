"""The manifest: what a row of manifest.csv, noise.csv and variants.csv holds, and the one way to read and write them.

    work/ingest/manifest.csv, noise.csv         every recording that was found
    work/validated/manifest.csv, noise.csv      those that validation let through
    work/augmented/variants.csv                 each utterance in each of its variants: what is trained on and tested

A file's columns are the fields of its class, in their order.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.tables import stream_csv


@dataclass(frozen=True, slots=True)
class UtteranceRow:
    """An utterance of manifest.csv.

    utterance to text: as `ser_ops.corpora.utterance.Utterance` has them, but `path` counts from data/corpora, or from
    data/manifests for a corpus of layout "manifest". sha256 to error: as `ser_ops.corpora.decoding.Measures` has them;
    numbers are None and `error` says why where the recording could not be read. partition: train, validation or test.
    """

    utterance: str
    corpus: str = ""
    layout: str = ""
    synthetic: bool = False
    path: str = ""
    emotion: str = ""
    speaker: str = ""
    gender: str = ""
    language: str = ""
    intensity: str = ""
    text: str = ""
    sha256: str = ""
    content: str = ""
    native_rate: int | None = None
    channels: int | None = None
    seconds: float | None = None
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    clipped_share: float | None = None
    silent_share: float | None = None
    warnings: str = ""
    sound: str = ""
    error: str = ""
    partition: str = ""


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """A noise recording of noise.csv.

    recording to source: as `ser_ops.noise.recordings.NoiseRecording` has them, but `path` counts from data/noise; the
    rest as in `UtteranceRow`.
    """

    recording: str
    collection: str = ""
    category: str = ""
    synthetic: bool = False
    path: str = ""
    source: str = ""
    sha256: str = ""
    content: str = ""
    native_rate: int | None = None
    seconds: float | None = None
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    warnings: str = ""
    sound: str = ""
    error: str = ""
    partition: str = ""


@dataclass(frozen=True, slots=True)
class VariantRow:
    """An utterance in one variant, of variants.csv.

    row: "<utterance>#<variant>". variant: original, noisy, pitched, pitched_noisy, slow, ...; noisy_1, noisy_2, ... of
    validation utterances. partition to synthetic, and content: the utterance's own. seconds: of this variant.
    noise_recording to snr_db: what noise is in it; "" and None where there is none, and no recording where the noise is
    stationary. transmission: the telephone line or the room, "" where there is none.
    """

    row: str
    utterance: str
    variant: str
    partition: str
    emotion: str
    speaker: str
    corpus: str
    synthetic: bool = False
    content: str = ""
    seconds: float | None = None
    noise_recording: str = ""
    noise_category: str = ""
    intensity: float | None = None
    snr_db: float | None = None
    transmission: str = ""

    @property
    def label(self) -> int:
        """Class index, 0 to 6."""
        return EMOTIONS.index(self.emotion)

    @property
    def in_noise(self) -> bool:
        """Whether noise was mixed in."""
        return bool(self.noise_category)


AnyRow = TypeVar("AnyRow", bound=UtteranceRow | NoiseRow | VariantRow)

# Text is interned: many rows share a speaker, a corpus, an utterance.
_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: intern,
    bool: lambda text: bool(int(text)),
    int | None: lambda text: int(text) if text else None,
    float | None: lambda text: float(text) if text else None,
}


def columns(kind: type[AnyRow]) -> tuple[str, ...]:
    """The columns of a table of such rows.

    >>> columns(VariantRow)[:3]
    ('row', 'utterance', 'variant')
    """
    return tuple(field.name for field in fields(kind))


def read_rows(path: Path, kind: type[AnyRow]) -> list[AnyRow]:
    """All rows of a table of the manifest, in the order of the file.

    Raises UserError when the file cannot be read, has other columns than `kind`, or a value that is none of its type.
    """
    return list(stream_rows(path, kind))


def stream_rows(path: Path, kind: type[AnyRow]) -> Iterator[AnyRow]:
    """The rows of `read_rows`, one at a time, for a table of many rows of which little is kept."""
    names = columns(kind)
    parsers = [(field.name, _PARSERS[field.type]) for field in fields(kind)]
    parsers[0] = names[0], str      # the row's own name, which no other row shares
    for texts in stream_csv(path, names):
        values = []
        for name, parse in parsers:
            try:
                values.append(parse(texts[name]))
            except ValueError as error:
                raise UserError(f"{path}: row {texts[names[0]]!r}: {name} is {texts[name]!r}, which is no number: run "
                                "the stage that writes it again") from error
        yield kind(*values)


def write_rows(path: Path, rows: Iterable[AnyRow], kind: type[AnyRow]) -> None:
    """Write a table of the manifest, whole or not at all; None becomes an empty value, True and False 1 and 0.

    A float is written so that it reads back as the same float. Raises UserError when the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_rows(Path(folder, "noise.csv"), [NoiseRow("street/1", seconds=2.5)], NoiseRow)
    ...     [(row.recording, row.seconds, row.peak_dbfs) for row in read_rows(Path(folder, "noise.csv"), NoiseRow)]
    [('street/1', 2.5, None)]
    """
    names = columns(kind)
    values_of = attrgetter(*names)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([int(value) if isinstance(value, bool) else value for value in values_of(row)])


def validated_utterances(work: Path) -> list[UtteranceRow]:
    """The utterances that validation let through, of the work folder `work`."""
    return read_rows(validated_manifest(work), UtteranceRow)


def validated_manifest(work: Path) -> Path:
    """Where they are listed."""
    return work / "validated" / "manifest.csv"


def validated_noise(work: Path) -> list[NoiseRow]:
    """The noise recordings that validation let through, of the work folder `work`."""
    return read_rows(work / "validated" / "noise.csv", NoiseRow)


def read_variants(path: Path, partition: str | None = None) -> list[VariantRow]:
    """Rows of variants.csv of one partition (train, validation or test), or all of them, in the order of the file.

    Raises UserError as `read_rows` does, for an unknown emotion, and when the partition has no row.
    """
    rows = [row for row in stream_rows(path, VariantRow) if partition in (None, row.partition)]
    for row in rows:
        if row.emotion not in EMOTIONS:
            raise UserError(f"{path}: row {row.row!r} has the unknown emotion {row.emotion!r}: give one of "
                            f"{', '.join(EMOTIONS)}")
    if not rows:
        raise UserError(f"{path}: holds no row{f' of the {partition} partition' if partition else ''}: bring more "
                        "corpora or speakers in, or change the shares in params.yaml")
    return rows


def unaltered(work: Path, partition: str) -> list[VariantRow]:
    """Rows of a partition's utterances as they were recorded, sorted by utterance.

    Raises UserError when there are none.
    """
    table = work / "augmented" / "variants.csv"
    rows = [row for row in read_variants(table, partition) if row.variant == "original"]
    if not rows:
        raise UserError(f"{table}: no unaltered utterance is in the {partition} partition: raise "
                        f"partitions.{partition} in params.yaml")
    return sorted(rows, key=lambda row: row.utterance)
