"""Bring noise recordings in: copied or linked, never moved, whole or not at all; list those that are there.
"""

import os
import shutil
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ser_ops.audio.admission import FORMATS
from ser_ops.audio.reading import probe_recordings
from ser_ops.audio.signal import dbfs
from ser_ops.cards import FOLDER_NAME
from ser_ops.errors import UserError
from ser_ops.files import one_writer_at_a_time, replacing
from ser_ops.folders import UnusableFolder, list_contents, same_bytes, subfolder_names
from ser_ops.noise.recordings import (
    SOURCES_FILE,
    NoiseCard,
    NoiseRecording,
    NoiseScan,
    audio_files,
    check_category,
    read_sources,
    scan_collection,
    scan_noise,
    unreadable_paths,
    write_sources,
)


@dataclass(frozen=True)
class CategorySummary:
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
        r"""For people, in a few lines.

        >>> skipped = {"b.wav": "silent"}
        >>> rain = CategorySummary("recorded", "rain", False, "CC0", "own", 3, 2, 90.0, ["a.wav"], skipped=skipped)
        >>> print(*rain.lines(), sep="\n")
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


def add_noise(category: str, folder: Path, noise_folder: Path, collection: str = "recorded", link: bool = False,
              licence: str = "not stated", silent_dbfs: float = -60.0, lock: Path | None = None) -> CategorySummary:
    """Bring the recordings below `folder` into `noise_folder`/`collection`/`category`; `link` makes symbolic links.

    Sub-folders, which name sources, and a table of sources (`scan_collection`) come with them. Recordings that are not
    admitted or whose peak is below `silent_dbfs` are passed over and named in the answer. A collection that is new gets
    a card, noise.yaml, which says that it is recorded, not synthetic. All who give the same `lock`, a file outside of
    `noise_folder`, come one after the other.
    Raises UserError when nothing can be brought in, when one recording would take another's name, and for a link that
    leads out of `folder`; what was there before is then untouched.
    """
    check_category(category, "noise add")
    if not FOLDER_NAME.fullmatch(collection):
        raise UserError(f"{collection!r}: is not a valid name for a collection: use letters, digits, point, dash and "
                        "underscore")
    with one_writer_at_a_time(lock, noise_folder):
        wanted, named, skipped = _usable(folder, silent_dbfs)
        if not wanted:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:3])
            raise UserError(f"{folder}: holds no usable recordings "
                            f"({reasons or 'no file ends in ' + ', '.join(FORMATS)}): give another folder")
        home = noise_folder / collection
        new, before = _new(folder, wanted, home / category)
        card = NoiseCard.read(noise_folder, collection) if os.path.exists(home / NoiseCard.file) else None
        # A collection without a card comes as a whole, so that none is ever there without recordings.
        target = home / category if card else home
        with replacing(target) as temporary:
            if os.path.isdir(target):
                shutil.copytree(target, temporary, symlinks=True, copy_function=_link_or_copy)
            inside = temporary if card else temporary / category
            for path in new:
                (inside / path).parent.mkdir(parents=True, exist_ok=True)
                if link:
                    (inside / path).symlink_to((folder / path).resolve())
                else:
                    shutil.copyfile(folder / path, inside / path)
            write_sources(inside, before | named)
            if card is None:
                card = NoiseCard(name=collection, synthetic=False, licence=licence,
                                 source="brought in with ser-ops noise add: say here where it came from")
                card.write(temporary)
            summary = _summary(card, scan_collection(inside.parent, collection), category)
        if os.path.isfile(home / SOURCES_FILE):      # a table of the whole collection may name sources here, too
            summary = _summary(card, scan_collection(home, collection), category)
    return replace(summary, added=[str(path) for path in new],
                   skipped={str(path): reason for path, reason in skipped.items()},
                   already=[str(path) for path in wanted if path not in set(new)])


def _usable(folder: Path, silent_dbfs: float,
            ) -> tuple[list[PurePosixPath], dict[PurePosixPath, str], dict[PurePosixPath, str]]:
    """Recordings below `folder` that can serve, the sources that a table names for them, and why others cannot."""
    below = list_contents(folder, closed=True)
    paths, usable, skipped = audio_files(below), [], unreadable_paths(below)
    for path, recording in zip(paths, probe_recordings([folder / path for path in paths], "listening"), strict=True):
        if recording.refusal:
            skipped[path] = recording.refusal
        elif dbfs(recording.peak) < silent_dbfs:
            skipped[path] = f"silent (peak {dbfs(recording.peak):.0f} dBFS)"
        else:
            usable.append(path)
    named = read_sources(folder, below.files)
    kept = set(usable)
    return usable, {path: source for path, source in named.items() if path in kept}, skipped


def _new(folder: Path, wanted: list[PurePosixPath], target: Path,
         ) -> tuple[list[PurePosixPath], dict[PurePosixPath, str]]:
    """Those of `wanted` that `target` does not hold yet, and the sources that a table in `target` names.

    Raises UserError for another recording of the same name.
    """
    below = list_contents(target) if os.path.isdir(target) else None
    taken = {path.with_suffix(""): target / path for path in audio_files(below)} if below else {}
    new = []
    for path in wanted:
        other = taken.get(path.with_suffix(""))
        if other is None:
            taken[path.with_suffix("")] = folder / path
            new.append(path)
        elif other.name != path.name or not same_bytes(folder / path, other):
            raise UserError(f"{folder / path}: another recording has its name ({other}): rename one of them")
    return new, read_sources(target, below.files) if below else {}


def _link_or_copy(source: str, target: str) -> None:
    """Put a file under a second name, without a second copy of its bytes where the disk can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def list_noise(noise_folder: Path) -> list[CategorySummary | UnusableFolder]:
    """What lies in every collection, category by category, or why a folder is no collection.

    Raises UserError when `noise_folder` itself cannot be listed.
    """
    summaries: list[CategorySummary | UnusableFolder] = []
    for name in subfolder_names(noise_folder):
        try:
            scan_noise(noise_folder, [name])
            summaries += _summaries(NoiseCard.read(noise_folder, name), scan_collection(noise_folder / name, name))
        except (UserError, OSError) as error:
            summaries.append(UnusableFolder(name, str(error)))
    return summaries


def _summary(card: NoiseCard, scanned: NoiseScan, category: str) -> CategorySummary:
    return next(summary for summary in _summaries(card, scanned) if summary.category == category)


def _summaries(card: NoiseCard, scanned: NoiseScan) -> list[CategorySummary]:
    """A summary of each category of a collection, whose recordings are read to their ends."""
    categories: dict[str, list[NoiseRecording]] = defaultdict(list)
    for recording in scanned.recordings:
        categories[recording.category].append(recording)
    summaries = []
    for category, members in categories.items():
        skipped = {str(path.relative_to(category)): reason for path, reason in scanned.skipped.items()
                   if path.parts[0] == category}
        probed = list(probe_recordings([member.path for member in members], "listening"))
        skipped |= {f"{member.recording.split('/', 2)[2]}{member.path.suffix}": recording.refusal
                    for member, recording in zip(members, probed, strict=True) if recording.refusal}
        summaries.append(CategorySummary(
            card.name, category, card.synthetic, card.licence, card.source,
            sum(not recording.refusal for recording in probed), len({member.source for member in members}),
            round(sum(recording.seconds for recording in probed), 2), skipped=skipped))
    return summaries
