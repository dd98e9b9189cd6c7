"""DVC's cache: which of its files are damaged, and which paths of the workspace are made of them.

A file's name in the cache is the MD5 of its bytes. DVC trusts a read-only cache file without looking, and copies it
into the workspace as it is.
"""

import fcntl
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.progress.spreading import progress_bar

if TYPE_CHECKING:
    from dvc.repo import Repo

_LONGEST_LISTING = 2**28    # bytes: two million files of one folder


class Damaged(NamedTuple):
    """A damaged cache file: the MD5 that it should have, the one that it has, and the workspace's paths made of it.

    source: one of these paths came by `dvc add` or an import, so that no stage makes it again.
    """

    file: Path
    wanted: str
    actual: str
    paths: tuple[Path, ...]
    source: bool


class Tracked(NamedTuple):
    """A path that DVC tracks: its file in the cache, the MD5 of its bytes, and the output that it is (part of).

    source: that output is one that no stage makes.
    """

    path: Path
    file: Path
    md5: str
    output: Path
    source: bool


def damaged_files() -> list[Damaged]:
    """The damaged files in the cache of the project in the current folder. Reads the whole cache."""
    cache = cache_folder()
    files = sorted(cache.glob("[0-9a-f][0-9a-f]/*")) if cache.is_dir() else []
    if not files:
        return []
    bad = []
    for file in progress_bar(files, "checking DVC's cache", len(files), "file"):
        wanted = file.parent.name + file.name.removesuffix(".dir")
        if len(wanted) == 32 and (actual := md5(file)) != wanted:
            bad.append((file, wanted, actual))
    if not bad:
        return []
    users = defaultdict(list)
    for tracked in tracked_files():
        users[tracked.file].append(tracked)
    return [Damaged(file, wanted, actual, tuple(tracked.path for tracked in users[file]),
                    any(tracked.source for tracked in users[file])) for file, wanted, actual in bad]


def tracked_files(targets: Iterable[Path] = ()) -> list[Tracked]:
    """The files of some outputs, or of all; a folder whose listing is damaged or missing has none."""
    wanted = [path.absolute() for path in targets]
    tracked = []
    with _repository() as repo:
        cache = Path(repo.cache.local.path)
        for out in repo.index.outs:
            path, value = Path(out.fs_path), out.hash_info.value if out.hash_info else None
            if not value or not out.use_cache or (wanted and path not in wanted):
                continue
            file, source = _cache_file(cache, value), out.stage.cmd is None
            tracked.append(Tracked(path, file, value.removesuffix(".dir"), path, source))
            if value.endswith(".dir"):
                tracked += [Tracked(path / part, _cache_file(cache, inner), inner, path, source)
                            for part, inner in _read_listing(file)]
    return tracked


def output_size(target: Path) -> int:
    """Bytes of one output, by its record; 0 where the record has none."""
    with _repository() as repo:
        return sum(out.meta.size or 0 for out in repo.index.outs if Path(out.fs_path) == target.absolute() and out.meta)


def cache_folder() -> Path:
    """Where the project in the current folder has its cache."""
    with _repository() as repo:
        return Path(repo.cache.local.path)


def drop_cut_downloads() -> None:
    """Remove the partial files that DVC leaves when the disk is full or it is killed.

    Those of a dvc command that works now stay: it holds DVC's lock, or it works with the same cache in another
    repository or another worktree of this one.
    """
    with _repository() as repo, (Path(repo.tmp_dir or ".dvc/tmp") / "lock").open("a") as lock:
        cache = Path(repo.cache.local.path)
        try:                                        # not by repo.lock, which writes: the disk may be full
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        ours = cache.is_relative_to(repo.root_dir) and not repo.config["core"].get("hardlink_lock") \
            and not Path(repo.root_dir, ".git", "worktrees").is_dir()
        for half in cache.glob("??/.*.tmp"):
            with suppress(FileNotFoundError):
                if ours or time.time() - half.stat().st_mtime > 86400:
                    half.unlink()


@contextmanager
def _repository() -> "Iterator[Repo]":
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        raise UserError(f"{Path.cwd()}: DVC cannot work here ({str(error).splitlines()[0]}): run this in the project's "
                        "folder") from error


def md5(file: Path) -> str:
    """MD5 of a file's bytes, as 32 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _cache_file(cache: Path, value: str) -> Path:
    return cache / value[:2] / value[2:]


def _read_listing(file: Path) -> list[tuple[str, str]]:
    try:
        return [(entry["relpath"], entry["md5"]) for entry in read_json(file, longest=_LONGEST_LISTING)]
    except (UserError, KeyError, TypeError):
        return []
