"""Named arrays of one dtype in a few large files instead of many small ones.

A folder holds shard-00000.f32, shard-00001.f32, ... (little-endian float32, arrays one after another; .f16 of
float16) and index.csv (key, shard, offset, shape). Reading maps the files: nothing is held that is not looked at, and
of that only the latest, but for a small store that is read again and again.
"""

import csv
import math
import mmap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.errors import UserError
from ser_ops.files import remove_leftovers, replacing

SINGLE, HALF = "<f4", "<f2"
_FIELDS = ("key", "shard", "offset", "shape")
_SUFFIX = {SINGLE: ".f32", HALF: ".f16"}
_SMALL = 2**27  # bytes of a store that may stay mapped: to load its pages a second time takes as long as to copy them
_WRITTEN = 2**20    # bytes at once, which cost the system less than an array at a time
_HELD = 2**23   # bytes of any other given out, after which their pages go back to the system


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """Where one array lies: the shard's number, the offset in values, and its shape."""

    key: str
    shard: int
    offset: int
    shape: tuple[int, ...]


def shard_file(folder: Path, shard: int, dtype: str = SINGLE) -> Path:
    """Where a shard's values lie; the file is there only when it is whole."""
    return folder / f"shard-{shard:05d}{_SUFFIX[dtype]}"


def write_shard(folder: Path, shard: int, arrays: Iterable[tuple[str, np.ndarray]],
                dtype: str = SINGLE) -> list[ShardEntry]:
    """Write one shard as its arrays come, whole or not at all; any number of processes may write different shards.

    A shard that two write, since one was given up for lost, is that of the later one: the same bytes.
    """
    entries, offset = [], 0
    with replacing(shard_file(folder, shard, dtype)) as made, made.open("wb", buffering=_WRITTEN) as file:
        for key, array in arrays:
            values = np.ascontiguousarray(array, dtype)
            file.write(values.data)
            entries.append(ShardEntry(key, shard, offset, values.shape))
            offset += values.size
    return entries


def write_index(folder: Path, entries: Iterable[ShardEntry]) -> None:
    """Write index.csv; a folder without it is not a finished store. What killed writers left half is removed."""
    remove_leftovers(folder)
    with replacing(folder / "index.csv") as made, made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIELDS)
        for entry in entries:
            writer.writerow((entry.key, entry.shard, entry.offset, "x".join(map(str, entry.shape))))


class Shards(Mapping[str, np.ndarray]):
    """A finished store as a mapping from key to a read-only array of its dtype.

    keep_mapped: a store of up to 128 MB stays mapped, since each of its arrays will be read many times. Raises
    UserError when the folder is no finished store or a shard is shorter than its index says.
    """

    def __init__(self, folder: Path, keep_mapped: bool = False) -> None:
        self.folder = folder
        self._keep_mapped = keep_mapped
        try:
            with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
                lines = csv.reader(file)
                next(lines, None)
                self._entries = {key: ShardEntry(key, int(shard), int(offset), tuple(map(int, shape.split("x"))))
                                 for key, shard, offset, shape in lines}
        except OSError as error:
            raise UserError(f"{folder}: not a finished store of arrays (index.csv: {error.strerror}): run the stage "
                            "that writes it") from error
        self._dtype = HALF if shard_file(folder, 0, HALF).exists() else SINGLE
        self._itemsize = np.dtype(self._dtype).itemsize
        self._maps: dict[int, tuple[mmap.mmap | None, np.ndarray]] = {}
        size = self._itemsize * sum(math.prod(entry.shape) for entry in self._entries.values())
        self._stays = keep_mapped and size <= _SMALL
        self._given = 0

    def _map(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            path = shard_file(self.folder, shard, self._dtype)
            try:
                with path.open("rb") as file:
                    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else None
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror}): run the stage that writes it") from error
            self._maps[shard] = pages, np.frombuffer(pages, self._dtype) if pages else np.zeros(0, self._dtype)
        return self._maps[shard][1]

    def _release(self) -> None:
        """Give back what was read, so that memory does not grow with the corpus; arrays still held stay valid."""
        self._given = 0
        for pages, _ in self._maps.values():
            if pages is not None:
                pages.madvise(mmap.MADV_DONTNEED)

    def __getitem__(self, key: str) -> np.ndarray:
        entry = self._entries[key]
        size = math.prod(entry.shape)
        if not self._stays:
            if self._given > _HELD:
                self._release()
            self._given += self._itemsize * size
        values = self._map(entry.shard)[entry.offset:entry.offset + size]
        if values.size != size:
            raise UserError(f"{shard_file(self.folder, entry.shard, self._dtype)}: shorter than its index says: remove "
                            f"{self.folder} and run the stage that writes it")
        return values.reshape(entry.shape)

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of one array, without touching its bytes."""
        return self._entries[key].shape

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self.folder, self._keep_mapped)


@lru_cache(maxsize=8)
def _received(folder: Path, keep_mapped: bool) -> Shards:
    """A store that came from another process: however often it comes, its index is read once."""
    return Shards(folder, keep_mapped)
