"""Which files of a copy are the published ones: a list of path, size and sha256 against a folder.

A lossless copy in another format is decoded and its samples compared: with the column `samples_sha256` of the list
(of signed 16-bit little-endian samples), else with a wav of these samples and the shortest header, whose bytes the
published digest tells. Published files with further chunks need the column.
"""

import hashlib
import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ser_ops.audio.admission import FORMATS
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.folders import HIDDEN, list_contents
from ser_ops.outside_table import read_table
from ser_ops.progress.spreading import progress_bar

_Key = tuple[str, ...]
_ORDER = ("published", "same_samples", "altered", "re_encoded")
_LOSSLESS = {".flac", ".wav"}


@dataclass(frozen=True)
class Comparison:
    """Paths, sorted. Of the folder: published (same size and bytes), same_samples (another format that decodes to the
    published samples), altered (other bytes under a published path), re_encoded (a published name in another format,
    whose samples are others or not known), extra, ambiguous (fits several published paths, which then are not called
    missing). Of the list: missing.
    """

    published: tuple[str, ...]
    same_samples: tuple[str, ...]
    altered: tuple[str, ...]
    re_encoded: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    ambiguous: tuple[str, ...]

    def record(self) -> dict[str, dict[str, Any]]:
        """Numbers of files of each kind under `counts`, their paths under `files`."""
        files = {kind.name: list(getattr(self, kind.name)) for kind in fields(self)}
        return {"counts": {kind: len(paths) for kind, paths in files.items()}, "files": files}


def compare_checksums(folder: Path, tsv: Path) -> Comparison:
    """Hold the audio files below `folder` against a published list (tab separated: path, size in bytes, sha256, and
    where it has that samples_sha256).

    A file is matched by the shortest end of its path, format and capitals left aside, that fits one published
    path alone; a published path is matched by one file at most, the same bytes first, and a second one is extra.
    Raises UserError when the list cannot be read or is no such list.
    """
    published = _read(tsv)
    ends: dict[_Key, set[str]] = defaultdict(set)
    for name in published:
        for end in _ends(PurePosixPath(name)):
            ends[end].add(name)
    matches: dict[str, list[PurePosixPath]] = defaultdict(list)
    kinds: dict[str, list[str]] = {kind.name: [] for kind in fields(Comparison)}
    possible: set[str] = set()
    below = list_contents(folder)
    unreadable = [path for path, reason in below.skipped.items() if reason != HIDDEN]
    for path in sorted(below.files + unreadable):
        if path.suffix.lower() not in FORMATS:
            continue
        fitting = _fitting(ends, path)
        if len(fitting) == 1:
            matches[next(iter(fitting))].append(path)
        else:
            kinds["ambiguous" if fitting else "extra"].append(str(path))
            possible |= fitting
    for name in progress_bar(sorted(matches), "comparing checksums", len(matches), "file"):
        judged = sorted(((_judge(folder / path, name, published[name]), path) for path in matches[name]),
                        key=lambda pair: (_ORDER.index(pair[0]), len(pair[1].parts), pair[1]))
        kinds[judged[0][0]].append(str(judged[0][1]))
        kinds["extra"] += [str(other) for _, other in judged[1:]]
    kinds["missing"] = [name for name in published if name not in matches and name not in possible]
    return Comparison(**{kind: tuple(sorted(paths)) for kind, paths in kinds.items()})


def _ends(path: PurePosixPath) -> list[_Key]:
    """Ends of a path from its name alone to the whole, without the suffix.

    >>> _ends(PurePosixPath("OAF_Fear/OAF_back_fear.wav"))
    [('oaf_back_fear',), ('oaf_fear', 'oaf_back_fear')]
    """
    parts = tuple(part.lower() for part in path.with_suffix("").parts)
    return [parts[-length:] for length in range(1, len(parts) + 1)]


def _fitting(ends: Mapping[_Key, set[str]], path: PurePosixPath) -> set[str]:
    """Published paths that share the longest end with `path`; the search stops where a single path is left."""
    fitting: set[str] = set()
    for end in _ends(path):
        narrower = ends.get(end)
        if narrower is None:
            break
        fitting = narrower
        if len(fitting) == 1:
            break
    return fitting


class _Published(NamedTuple):
    """A line of the list; samples: digest of the decoded samples, "" where the list does not say it."""

    size: int
    digest: str
    samples: str


def _judge(file: Path, name: str, published: _Published) -> str:
    if file.suffix.lower() != PurePosixPath(name).suffix.lower():
        return "same_samples" if _has_samples_of(file, name, published) else "re_encoded"
    try:
        same = file.is_file() and file.stat().st_size == published.size and sha256(file) == published.digest
    except OSError:
        same = False
    return "published" if same else "altered"


def _has_samples_of(file: Path, name: str, published: _Published) -> bool:
    """Whether a lossless copy decodes to the samples of a published wav; False where the list cannot tell."""
    import soundfile
    if {file.suffix.lower(), PurePosixPath(name).suffix.lower()} - _LOSSLESS:
        return False
    try:
        with file.open("rb") as opened, soundfile.SoundFile(opened) as sound:
            # No more is decoded than the published file has room for, whatever the copy's header claims.
            if sound.subtype != "PCM_16" or 2 * sound.frames * sound.channels > published.size:
                return False
            samples = sound.read(dtype="int16", always_2d=True).astype("<i2").tobytes()
            rate, channels = sound.samplerate, sound.channels
    except (OSError, soundfile.SoundFileError):
        return False
    if published.samples:
        return hashlib.sha256(samples).hexdigest() == published.samples
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    head = struct.pack("<4sI8s", b"RIFF", 36 + len(samples), b"WAVEfmt ") + layout + struct.pack(
        "<4sI", b"data", len(samples))
    return hashlib.sha256(head + samples).hexdigest() == published.digest


def _read(tsv: Path) -> dict[str, _Published]:
    published = {}
    for line, row in read_table(tsv, ("path", "size", "sha256")):
        if not PurePosixPath(row["path"]).name:
            raise UserError(f"{tsv}: line {line} names no file ({row['path']!r:.40}): give the published list of the "
                            "corpus")
        if not row["size"].isdecimal():
            raise UserError(f"{tsv}: line {line} has the size {row['size']!r:.40}, which is no number of bytes: give "
                            "the published list of the corpus")
        published[row["path"]] = _Published(int(row["size"]), row["sha256"].lower(),
                                            (row.get("samples_sha256") or "").lower())
    return published
