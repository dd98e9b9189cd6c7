"""Bring noise recordings in: copied or linked, never moved, whole or not at all; list those that are there.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ser_ops.audio.admission import FORMATS
from ser_ops.audio.reading import probe_recordings
from ser_ops.cards import FOLDER_NAME
from ser_ops.caveats import NOT_STATED
from ser_ops.errors import UserError
from ser_ops.files import one_writer_at_a_time, replacing
from ser_ops.folders import Contents, UnusableFolder, list_contents, same_bytes, subfolder_names
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


@dataclass(frozen=True)
class Incoming:
    """The recordings that are to come into one category.

    origin: the folder that holds them. files: where each lies, by its path in the category. sources: as a table names
    them, by that path. skipped: what cannot be read, and why.
    """

    category: str
    origin: Path
    files: dict[PurePosixPath, Path]
    sources: dict[PurePosixPath, str]
    skipped: dict[PurePosixPath, str]

    @classmethod
    def among(cls, contents: Contents, folder: Path, category: str) -> "Incoming":
        """The recordings among what `folder` holds, with what its table says. Raises UserError as `read_sources`."""
        return cls(category, folder, {path: folder / path for path in audio_files(contents)},
                   read_sources(folder, contents.files), unreadable_paths(contents))

    def admitted(self) -> "Incoming":
        """Those that are admitted as recordings; the others are skipped.

        Raises:
            UserError: None is admitted.
        """
        files, skipped = {}, dict(self.skipped)
        probed = probe_recordings(list(self.files.values()), "listening")
        for (path, file), recording in zip(self.files.items(), probed, strict=True):
            if recording.refusal:
                skipped[path] = recording.refusal
            else:
                files[path] = file
        if not files:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:3])
            raise UserError(f"{self.origin}: holds no usable recordings "
                            f"({reasons or 'no file ends in ' + ', '.join(FORMATS)}): give another folder")
        return replace(self, files=files, skipped=skipped,
                       sources={path: source for path, source in self.sources.items() if path in files})

    def missing_from(self, target: Path) -> dict[PurePosixPath, Path]:
        """The files that `target` does not hold yet.

        Raises:
            UserError: `target` holds another recording of the same name.
        """
        below = list_contents(target) if os.path.isdir(target) else None
        taken = {path.with_suffix(""): target / path for path in audio_files(below)} if below else {}
        missing = {}
        for path, file in self.files.items():
            other = taken.get(path.with_suffix(""))
            if other is None:
                taken[path.with_suffix("")] = file
                missing[path] = file
            elif other.name != path.name or not same_bytes(file, other):
                raise UserError(f"{file}: another recording has its name ({other}): rename one of them")
        return missing


def add_noise(category: str, folder: Path, noise_folder: Path, collection: str = "recorded", link: bool = False,
              licence: str = NOT_STATED, lock: Path | None = None) -> CategorySummary:
    """Bring the recordings below `folder` into `noise_folder`/`collection`/`category`, as `add_categories` does.

    Sub-folders, which name sources, and a table of sources (`scan_collection`) come with them.
    """
    check_category(category, "noise add")
    incoming = Incoming.among(list_contents(folder, closed=True), folder, category)
    (summary,) = add_categories([incoming], noise_folder, collection, licence, link=link, lock=lock)
    return summary


def add_categories(incoming: Sequence[Incoming], noise_folder: Path, collection: str, licence: str,
                   source: str = "brought in with ser-ops noise add: say here where it came from", link: bool = False,
                   lock: Path | None = None) -> list[CategorySummary]:
    """Bring categories into `noise_folder`/`collection`, all or none; `link` makes symbolic links.

    Recordings that are not admitted are passed over and named in the answer. A collection that is new gets a card,
    noise.yaml, with `licence` and `source`, which says that it is recorded, not synthetic. A card speaks for every
    recording of its collection, so what comes in later must have its licence. All who give the same `lock`, a file
    outside of `noise_folder`, come one after the other.

    Returns:
        A summary of each category.

    Raises:
        UserError: A category has nothing to be brought in, one recording would take another's name, or the collection
            has another licence. What was there before is then untouched.
    """
    if not FOLDER_NAME.fullmatch(collection):
        raise UserError(f"{collection!r}: is not a valid name for a collection: use letters, digits, point, dash and "
                        "underscore")
    with one_writer_at_a_time(lock, noise_folder):
        home = noise_folder / collection
        card = _card_with(licence, noise_folder, collection) if os.path.exists(home / NoiseCard.file) else None
        admitted = [each.admitted() for each in incoming]
        missing = {each.category: each.missing_from(home / each.category) for each in admitted}
        # One rename brings all in: several categories come with the whole collection, and so does a collection without
        # a card, so that none is ever there without recordings.
        whole = card is None or len(incoming) > 1
        target = home if whole else home / admitted[0].category
        with replacing(target) as temporary:
            if os.path.isdir(target):
                shutil.copytree(target, temporary, symlinks=True, copy_function=_link_or_copy)
            for each in admitted:
                inside = temporary / each.category if whole else temporary
                inside.mkdir(parents=True, exist_ok=True)
                _put(missing[each.category], inside, link)
                write_sources(inside, _sources_in(home / each.category) | each.sources)
            if card is None:
                card = NoiseCard(name=collection, synthetic=False, licence=licence, source=source)
                card.write(temporary)
            summaries = _summaries(card, scan_collection(temporary if whole else temporary.parent, collection),
                                   list(missing))
        if not whole and os.path.isfile(home / SOURCES_FILE):   # a table of the collection may name sources here, too
            summaries = _summaries(card, scan_collection(home, collection), list(missing))
    return [replace(summary, added=[str(path) for path in missing[each.category]],
                    skipped={str(path): reason for path, reason in each.skipped.items()},
                    already=[str(path) for path in each.files if path not in missing[each.category]])
            for summary, each in zip(summaries, admitted, strict=True)]


def _card_with(licence: str, noise_folder: Path, collection: str) -> NoiseCard:
    """The card of a collection. Raises UserError where it states another licence."""
    card = NoiseCard.read(noise_folder, collection)
    if card.licence != licence:
        raise UserError(f"{noise_folder / collection / NoiseCard.file}: every recording here has the licence "
                        f"{card.licence!r}, and what comes in has {licence!r}: give it a collection of its own with "
                        f"--collection NAME, or say --licence '{card.licence}' where that is its licence")
    return card


def _sources_in(category: Path) -> dict[PurePosixPath, str]:
    return read_sources(category, list_contents(category).files) if os.path.isdir(category) else {}


def _put(files: dict[PurePosixPath, Path], folder: Path, link: bool) -> None:
    """Copy, or link, each file to its path in `folder`."""
    for path, file in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if link:
            (folder / path).symlink_to(file.resolve())
        else:
            shutil.copyfile(file, folder / path)


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


def _summaries(card: NoiseCard, scanned: NoiseScan, wanted: Sequence[str] | None = None) -> list[CategorySummary]:
    """A summary of each category of a collection, or of those `wanted`, whose recordings are read to their ends."""
    categories: dict[str, list[NoiseRecording]] = defaultdict(list)
    for recording in scanned.recordings:
        categories[recording.category].append(recording)
    summaries = []
    for category in categories if wanted is None else wanted:
        members = categories[category]
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
