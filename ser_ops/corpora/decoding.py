"""Decode recordings into one store of waveforms and measure each, on all cores, in bounded memory."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.audio.clip import Clip
from ser_ops.audio.levels import levels
from ser_ops.audio.reading import read_clip
from ser_ops.corpora.sounds import Fingerprint, fingerprint, same_sounds
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.progress.spreading import spread
from ser_ops.shards import Entry, write_index, write_shard

_FILES = 128
_UNREADABLE = {"content": "", "native_rate": "", "channels": "", "seconds": "", "peak_dbfs": "", "rms_dbfs": "",
               "clipped_share": "", "silent_share": "", "warnings": "", "sound": ""}


@dataclass(frozen=True)
class _Shard:
    number: int
    folder: Path
    clips: tuple[tuple[str, Clip], ...]
    sample_rate: int
    silence_dbfs: float


def decode(clips: Sequence[tuple[str, Clip]], folder: Path, sample_rate: int, silence_dbfs: float, megabytes: int,
           workers: int, what: str) -> list[dict[str, Any]]:
    """Bring recordings to mono float32 at `sample_rate` hertz and write them as a store of arrays into `folder`.

    clips: what is decoded, each under a name. Returns, in their order, for each: sha256 (of the file), content (SHA-256
    of the decoded samples), native_rate (hertz), channels, seconds, peak_dbfs, rms_dbfs, clipped_share (at the native
    rate), silent_share, warnings (of the door, joined by "; "), sound (the first name of all that are one sound with
    it, or "" where it is alone), and error: "" or why the door refuses it, in which case it has no array, the other
    values are "" and the others go on. Shards hold about `megabytes` each and are cut the same for any number of
    workers.
    """
    folder.mkdir(parents=True)
    entries: list[Entry] = []
    measures: list[dict[str, Any]] = []
    fingerprints: dict[str, Fingerprint] = {}
    shards = [_Shard(number, folder, part, sample_rate, silence_dbfs)
              for number, part in enumerate(_cut(clips, megabytes * 1_000_000))]
    for part_entries, part_measures, part_fingerprints in spread(_decode, shards, what, workers, "shard"):
        entries += part_entries
        measures += part_measures
        fingerprints |= part_fingerprints
    write_index(folder, entries)
    sounds = same_sounds(fingerprints)
    return [measure | {"sound": sounds.get(name, "")} for (name, _), measure in zip(clips, measures, strict=True)]


def _cut(clips: Sequence[tuple[str, Clip]], size: int) -> Iterator[tuple[tuple[str, Clip], ...]]:
    """Neighbours together: at most 128 files, and about `size` bytes as float32 if a file is 16 bit at that rate."""
    part: list[tuple[str, Clip]] = []
    held = 0
    for name, clip in clips:
        expected = 2 * clip.path.stat().st_size if clip.path.is_file() else 0
        if part and (len(part) == _FILES or held + expected > size):
            yield tuple(part)
            part, held = [], 0
        part.append((name, clip))
        held += expected
    if part:
        yield tuple(part)


def _decode(shard: _Shard) -> tuple[list[Entry], list[dict[str, Any]], dict[str, Fingerprint]]:
    measures: list[dict[str, Any]] = []
    fingerprints: dict[str, Fingerprint] = {}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for name, clip in shard.clips:
            measure, samples = _measured(clip, shard.sample_rate, shard.silence_dbfs)
            measures.append(measure)
            if samples is not None:
                fingerprints[name] = fingerprint(samples, shard.sample_rate)
                yield name, samples

    return write_shard(shard.folder, shard.number, arrays()), measures, fingerprints


def _measured(clip: Clip, sample_rate: int, silence_dbfs: float) -> tuple[dict[str, Any], np.ndarray | None]:
    digest = ""
    try:
        digest = sha256(clip.path) if clip.path.is_file() else ""     # a FIFO is never waited for
        recording = read_clip(clip, sample_rate)
    except (UserError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return {"sha256": digest, **_UNREADABLE, "error": reason.removeprefix(f"{clip.path}: ")}, None
    samples = recording.samples
    level = levels(samples, sample_rate, silence_dbfs)
    return {"sha256": digest, "content": hashlib.sha256(np.ascontiguousarray(samples, "<f4").data).hexdigest(),
            "native_rate": recording.native_rate, "channels": recording.channels,
            "seconds": round(len(samples) / sample_rate, 6), "peak_dbfs": round(level.peak_dbfs, 3),
            "rms_dbfs": round(level.rms_dbfs, 3), "clipped_share": round(recording.clipped_share, 6),
            "silent_share": round(level.silent_share, 6), "warnings": "; ".join(recording.warnings),
            "error": ""}, samples
