"""Bring noise recordings in: copied or linked, never moved, whole or not at all."""

import filecmp
import os
import shutil
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ser_ops.audio import FORMATS, Listening, dbfs
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.noise.recordings.card import CARD, NAME, Card, installed_names, read_card
from ser_ops.noise.recordings.scanning import audio_files, check_category, scan
from ser_ops.progress import progress


@dataclass(frozen=True)
class Found:
    """One category of one collection: how many recordings and sources, how long (seconds), what was passed over.

    added, already: file names brought in now and there before; both empty when nothing was to be added.
    """

    collection: str
    category: str
    synthetic: bool
    licence: str
    source: str
    recordings: int
    sources: int
    seconds: float
    added: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people, in a few lines.

        >>> skipped = {"b.wav": "silent"}
        >>> found = Found("recorded", "rain", False, "CC0", "own", 3, 2, 90.0, ["a.wav"], skipped=skipped)
        >>> print(*found.lines(), sep="\n")
        recorded/rain: 3 recordings of 2 sources, 90 s (licence: CC0)
          added 1: a.wav
          skipped b.wav: silent
          note: with 2 sources no validation data: one trains, one tests
        """
        kind = "synthetic, " if self.synthetic else ""
        lines = [f"{self.collection}/{self.category}: {kind}{self.recordings} recordings of {self.sources} sources, "
                 f"{self.seconds:.0f} s (licence: {self.licence})"]
        for what, names in (("added", self.added), ("already there", self.already)):
            if names:
                lines.append(f"  {what} {len(names)}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
        lines += [f"  skipped {name}: {reason}" for name, reason in self.skipped.items()]
        if self.sources < 3:
            lines.append(f"  note: with {self.sources} sources no validation data: one trains, one tests"
                         if self.sources == 2 else "  note: one source can only train: add more to test with it")
        return lines


def add(category: str, folder: Path, noise_folder: Path, collection: str = "recorded", link: bool = False,
        licence: str = "not stated", silent_dbfs: float = -60.0) -> Found:
    """Bring the recordings below `folder` into `noise_folder`/`collection`/`category`; `link` makes symbolic links.

    Recordings that do not decode or whose peak is below `silent_dbfs` are passed over and named in the answer. A
    collection that is new gets a card, noise.yaml, which says that it is recorded, not synthetic.
    Raises UserError when nothing can be brought in, or when one recording would take another's name; what was
    there before is then untouched.
    """
    check_category(category, "noise add")
    if not NAME.fullmatch(collection):
        raise UserError(f"{collection!r}: is no name for a collection: use letters, digits, point, dash and underscore")
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder: give the folder that holds the noise recordings")
    target = noise_folder / collection / category
    wanted, skipped = _usable(folder, silent_dbfs)
    if not wanted:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3])
        raise UserError(f"{folder}: holds no usable recordings ({reasons or 'no file ends in ' + ', '.join(FORMATS)}): "
                        "give another folder")
    new = _new(wanted, target)
    if not (noise_folder / collection / CARD).exists():
        Card(name=collection, synthetic=False, licence=licence,
             source="brought in with ser-ops noise add: say here where it came from").write(noise_folder / collection)
    if new:
        with replacing(target) as temporary:
            if target.is_dir():
                shutil.copytree(target, temporary, symlinks=True, copy_function=_again)
            temporary.mkdir(exist_ok=True)
            for path in new:
                if link:
                    (temporary / path.name).symlink_to(path.resolve())
                else:
                    shutil.copyfile(path, temporary / path.name)
    there = next(found for found in list_all(noise_folder, collection) if found.category == category)
    return Found(**{**asdict(there), "added": [path.name for path in new], "skipped": skipped,
                    "already": [path.name for path in wanted if path not in new]})


def list_all(noise_folder: Path, collection: str | None = None) -> list[Found]:
    """What lies in every collection, or in one, category by category.

    Raises UserError as `scan` does.
    """
    found = []
    for name in [collection] if collection else installed_names(noise_folder):
        card = read_card(noise_folder, name)
        categories: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        for one in scan(noise_folder, [name]):
            categories[one.category].append((one.source, one.path))
        for category, files in categories.items():
            seconds, skipped = 0.0, {}
            for _, path in files:
                try:
                    seconds += _heard(path).seconds
                except UserError as error:
                    skipped[path.name] = _reason(error, path)
            found.append(Found(name, category, card.synthetic, card.licence, card.source, len(files) - len(skipped),
                               len({source for source, _ in files}), round(seconds, 2), skipped=skipped))
    return found


def _heard(path: Path) -> Listening:
    """A recording that was heard to its end, in bounded memory."""
    listening = Listening(path, 16000)
    for _ in listening:
        pass
    return listening


def _usable(folder: Path, silent_dbfs: float) -> tuple[list[Path], dict[str, str]]:
    """Recordings below `folder` that can serve, and why others cannot, by name."""
    usable, skipped = [], {}
    for path in progress(audio_files(folder, "**/*"), "listening", unit="file"):
        name = str(path.relative_to(folder))
        try:
            peak = _heard(path).peak
        except UserError as error:
            skipped[name] = _reason(error, path)
            continue
        if dbfs(peak) < silent_dbfs:
            skipped[name] = f"silent (peak {dbfs(peak):.0f} dBFS)"
        else:
            usable.append(path)
    return usable, skipped


def _new(wanted: list[Path], target: Path) -> list[Path]:
    """Those of `wanted` that `target` does not hold yet; UserError for another recording of the same name."""
    taken = {path.stem: path for path in audio_files(target, "*")}
    new = []
    for path in wanted:
        other = taken.get(path.stem)
        if other is None:
            taken[path.stem] = path
            new.append(path)
        elif other.name != path.name or not filecmp.cmp(path, other, shallow=False):
            raise UserError(f"{path}: another recording has its name ({other}): rename one of them")
    return new


def _again(source: str, target: str) -> None:
    """The same file at a second place, without a second copy of its bytes where the disk can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _reason(error: UserError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
