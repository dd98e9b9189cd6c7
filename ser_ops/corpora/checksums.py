"""Which files of a copy are the published ones: a list of path, size and sha256 against a folder."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from ser_ops.audio.admission import FORMATS
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.folders import HIDDEN, list_contents
from ser_ops.outside_table import read_table
from ser_ops.progress.spreading import progress_bar

_Key = tuple[str, ...]
_ORDER = ("published", "altered", "re_encoded")


@dataclass(frozen=True)
class Comparison:
    """Paths, sorted. Of the folder: published (same size and bytes), altered (other bytes under a published path),
    re_encoded (a published name in another format), extra, ambiguous (fits several published paths, which then are
    not called missing). Of the list: missing.
    """

    published: tuple[str, ...]
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
    """Hold the audio files below `folder` against a published list (tab separated: path, size in bytes, sha256).

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
        judged = sorted(((_judge(folder / path, name, *published[name]), path) for path in matches[name]),
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


def _judge(file: Path, published: str, size: int, digest: str) -> str:
    if file.suffix.lower() != PurePosixPath(published).suffix.lower():
        return "re_encoded"
    try:
        return "published" if file.is_file() and file.stat().st_size == size and sha256(file) == digest else "altered"
    except OSError:
        return "altered"


def _read(tsv: Path) -> dict[str, tuple[int, str]]:
    published = {}
    for line, row in read_table(tsv, ("path", "size", "sha256")):
        if not PurePosixPath(row["path"]).name:
            raise UserError(f"{tsv}: line {line} names no file ({row['path']!r:.40}): give the published list of the "
                            "corpus")
        if not row["size"].isdecimal():
            raise UserError(f"{tsv}: line {line} has the size {row['size']!r:.40}, which is no number of bytes: give "
                            "the published list of the corpus")
        published[row["path"]] = (int(row["size"]), row["sha256"].lower())
    return published
