"""Decode recordings into one store of waveforms and measure each, on all cores, in bounded memory."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.audio import blocks, clipped_share, describe, levels, read, resample
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.progress import spread
from ser_ops.shards import Entry, write_index, write_shard

_LONG = 600.0
_FILES = 128
_UNREADABLE = {"content": "", "native_rate": "", "channels": "", "seconds": "", "peak_dbfs": "", "rms_dbfs": "",
               "clipped_share": "", "silent_share": ""}


@dataclass(frozen=True)
class _Shard:
    number: int
    folder: Path
    items: tuple[tuple[str, Path], ...]
    sample_rate: int
    silence_dbfs: float


def decode(items: Sequence[tuple[str, Path]], folder: Path, sample_rate: int, silence_dbfs: float, megabytes: int,
           workers: int, what: str) -> list[dict[str, Any]]:
    """Bring recordings to mono float32 at `sample_rate` hertz and write them as a store of arrays into `folder`.

    items: key and file. Returns, in the same order, for each: sha256 (of the file), content (SHA-256 of the
    decoded samples), native_rate (hertz), channels, seconds, peak_dbfs, rms_dbfs, clipped_share (at the native
    rate), silent_share, and error: "" or why it does not decode, in which case it has no array, the other values
    are "" and the others go on. Shards hold about `megabytes` each and are cut the same for any number of workers.
    """
    folder.mkdir(parents=True)
    entries: list[Entry] = []
    measures: list[dict[str, Any]] = []
    shards = [_Shard(number, folder, part, sample_rate, silence_dbfs)
              for number, part in enumerate(_cut(items, megabytes * 1_000_000))]
    for part_entries, part_measures in spread(_decode, shards, what, workers, "shard"):
        entries += part_entries
        measures += part_measures
    write_index(folder, entries)
    return measures


def _cut(items: Sequence[tuple[str, Path]], size: int) -> Iterator[tuple[tuple[str, Path], ...]]:
    """Neighbours together: at most 128 files, and about `size` bytes as float32 if a file is 16 bit at that rate."""
    part: list[tuple[str, Path]] = []
    held = 0
    for item in items:
        expected = 2 * item[1].stat().st_size if item[1].is_file() else 0
        if part and (len(part) == _FILES or held + expected > size):
            yield tuple(part)
            part, held = [], 0
        part.append(item)
        held += expected
    if part:
        yield tuple(part)


def _decode(shard: _Shard) -> tuple[list[Entry], list[dict[str, Any]]]:
    measures: list[dict[str, Any]] = []

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for key, path in shard.items:
            measure, samples = _measured(path, shard.sample_rate, shard.silence_dbfs)
            measures.append(measure)
            if samples is not None:
                yield key, samples

    return write_shard(shard.folder, shard.number, arrays()), measures


def _measured(path: Path, sample_rate: int, silence_dbfs: float) -> tuple[dict[str, Any], np.ndarray | None]:
    digest = ""
    try:
        digest = sha256(path)
        rate, channels, seconds = describe(path)
        if seconds > _LONG:
            samples = np.concatenate(list(blocks(path, sample_rate)))
            clipped = clipped_share(samples)
        else:
            # Resampling rounds the flat tops that tell clipping, so it is looked for before.
            native = read(path, rate).samples
            clipped = clipped_share(native)
            samples = resample(native, rate, sample_rate)
    except (UserError, OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return {"sha256": digest, **_UNREADABLE, "error": reason.removeprefix(f"{path}: ")}, None
    level = levels(samples, sample_rate, silence_dbfs)
    return {"sha256": digest, "content": hashlib.sha256(np.ascontiguousarray(samples, "<f4").data).hexdigest(),
            "native_rate": rate, "channels": channels, "seconds": round(len(samples) / sample_rate, 6),
            "peak_dbfs": round(level.peak_dbfs, 3), "rms_dbfs": round(level.rms_dbfs, 3),
            "clipped_share": round(clipped, 6), "silent_share": round(level.silent_share, 6), "error": ""}, samples
