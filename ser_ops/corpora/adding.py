"""Bring a published corpus in: copied or linked, never moved, whole or not at all."""

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ser_ops.audio import read
from ser_ops.corpora.card import NAME, Card, installed_names, read_card
from ser_ops.corpora.demographics import DEMOGRAPHICS, is_demographics
from ser_ops.corpora.found import Found, summarise
from ser_ops.corpora.layout import Layout
from ser_ops.corpora.layouts import LAYOUTS, of_name
from ser_ops.corpora.sources import Source, opened
from ser_ops.corpora.utterance import Scan
from ser_ops.errors import UserError
from ser_ops.files import replacing, sweep
from ser_ops.progress import progress

_POINTER = b"version https://git-lfs"


def add(layout: str, source: Path, corpora_folder: Path, name: str | None = None, link: bool = False) -> Found:
    """Bring the corpus of `layout` from a folder or zip into `corpora_folder`/`name` (default: the layout's name).

    Only recordings whose names the layout knows are taken, each once and into the folder where the corpus itself
    has it, and CREMA-D's table of speakers; the rest is counted in the answer. `link` makes symbolic links.
    Raises UserError when the source holds no such recordings or must be refused, when a corpus of that name is
    already there, or when the disk has too little space; nothing is left behind then.
    """
    kind, target = of_name(layout), free_place(layout, corpora_folder, name)
    name = target.name
    with opened(source, link) as box:
        found = kind.arrange(box.paths, same=box.same)
        if not found.taken:
            raise _nothing(kind, source, box)
        wanted = {path: PurePosixPath(reading.home) / path.name for path, reading in found.taken.items()}
        tables = [path for path in box.paths if is_demographics(path.name)] if layout == "crema_d" else []
        wanted.update((path, PurePosixPath(DEMOGRAPHICS)) for path in tables[:1])
        _check_space(sum(box.size(path) for path in wanted), corpora_folder)
        sweep(target)
        with replacing(target) as folder:
            for path, place in progress(wanted.items(), f"adding {name}", len(wanted), "file"):
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                box.copy(path, folder / place)
            _refuse_pointers(source, folder, list(wanted.values()))
            Card(name=name, layout=kind.name, synthetic=False, licence=kind.licence, source=kind.source,  # type: ignore[arg-type]
                 note=f"brought in with {len(found.taken)} of {sum(kind.counts.values())} recordings").write(folder)
    card, scan = _scanned(corpora_folder, name, "neutral")
    return summarise(card, _tried(Scan(scan.utterances, found.skipped, found.oddities), name), "neutral")


def free_place(layout: str, corpora_folder: Path, name: str | None = None) -> Path:
    """Where `add` would put the corpus. Raises UserError when one is there, or for a name or layout that is none."""
    name = name or of_name(layout).name
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r}: is no name for a corpus: use letters, digits, point, dash and underscore")
    if (corpora_folder / name).exists():
        raise UserError(f"{corpora_folder / name}: is already there: remove it first, or bring the corpus in under "
                        "another name")
    return corpora_folder / name


def check(corpora_folder: Path, name: str, calm: str = "neutral") -> Found:
    """What the corpus `name` holds now, with the files that do not open as audio among its oddities."""
    card, scan = _scanned(corpora_folder, name, calm)
    return summarise(card, _tried(scan, name), calm)


def list_all(corpora_folder: Path, calm: str = "neutral") -> Iterator[Found]:
    """What each corpus holds, by name; no recording is opened."""
    for name in installed_names(corpora_folder):
        card, scan = _scanned(corpora_folder, name, calm)
        yield summarise(card, scan, calm)


def _scanned(corpora_folder: Path, name: str, calm: str) -> tuple[Card, Scan]:
    card = read_card(corpora_folder, name)
    return card, LAYOUTS[card.layout].scan(corpora_folder / name, name, calm, card.synthetic)


def _tried(scan: Scan, name: str) -> Scan:
    """The scan, with a note on the recordings that the door does not admit."""
    closed = []
    for one in progress(scan.utterances, f"checking {name}", len(scan.utterances), "file"):
        try:
            read(one.path, 16000)
        except UserError:
            closed.append(one.utterance)
    notes = [f"{len(closed)} recordings are not admitted: {', '.join(closed[:5])}"] if closed else []
    return Scan(scan.utterances, scan.skipped, scan.oddities + notes)


def _nothing(kind: Layout, source: Path, box: Source) -> UserError:
    others = [other.title for other in LAYOUTS.values() if other is not kind and other.arrange(box.paths).taken]
    error = kind.nothing(source, kind.arrange(box.paths))
    return UserError(f"{error} (these names are those of {', '.join(others)})") if others else error


def _check_space(needed: int, folder: Path) -> None:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free: free space, or "
                        "give a folder and link its files instead of copying")


def _refuse_pointers(source: Path, folder: Path, places: list[PurePosixPath]) -> None:
    for place in places:
        file = folder / place
        if file.stat().st_size < 1024 and file.read_bytes().startswith(_POINTER):
            raise UserError(f"{source}: {place} is a Git LFS pointer, not a recording: run `git lfs pull` there first")
