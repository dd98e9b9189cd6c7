"""Which noise recordings there are, and which of them come from one source."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ser_ops.audio import FORMATS
from ser_ops.errors import UserError
from ser_ops.noise.colour import BETA
from ser_ops.noise.recordings.card import NAME, read_card

# Fold, source, take, class; collections that mix sets put esc50_ before it.
_ESC50 = re.compile(r"(?:esc50_)?\d-(\d+)-[A-Z]-\d+", re.IGNORECASE)
_TAKEN = {*BETA, "clean"}


@dataclass(frozen=True)
class NoiseRecording:
    """One recording. Two with the same `source` were cut from one original and share a partition."""

    recording: str
    collection: str
    category: str
    synthetic: bool
    path: Path
    source: str


def source_of(recording: str) -> str:
    """Original recording that `recording` (an id) was cut from, the same in every collection.

    ESC-50 names its clips fold-source-take-class; any other recording is its own source.

    >>> source_of("recorded/railway_engine/esc50_4-165791-B-45")
    'esc50/165791'
    >>> source_of("recorded/children/classroom")
    'recorded/children/classroom'
    """
    clip = _ESC50.fullmatch(recording.rsplit("/", 1)[-1])
    return f"esc50/{clip[1]}" if clip else recording


def check_category(category: str, where: object) -> None:
    """Raise UserError that says `where` when `category` is no name for one, or means something else already."""
    if not NAME.fullmatch(category):
        raise UserError(f"{where}: {category!r} is no name for a category of noise: use letters, digits, point, dash "
                        "and underscore")
    if category in _TAKEN:
        raise UserError(f"{where}: {category!r} is taken ({', '.join(sorted(_TAKEN))} have a meaning of their own): "
                        "give the category another name")


def scan(noise_folder: Path, collections: Iterable[str]) -> list[NoiseRecording]:
    """Recordings of the collections, by id: files of `noise_folder`/<collection>/<category>.

    Raises UserError when a collection is missing, has no card or no recordings, a category has a name that is taken,
    or two files of a category differ in nothing but their suffix.
    """
    found: dict[str, NoiseRecording] = {}
    for collection in collections:
        card = read_card(noise_folder, collection)
        before = len(found)
        for path in audio_files(noise_folder / collection, "*/*"):
            category = path.parent.name
            check_category(category, path.parent)
            one = f"{collection}/{category}/{path.stem}"
            if one in found and found[one].path != path:
                raise UserError(f"{path}: differs from {found[one].path.name} in its suffix alone: rename one of them")
            found[one] = NoiseRecording(one, collection, category, card.synthetic, path, source_of(one))
        if len(found) == before:
            raise UserError(f"{noise_folder / collection}: holds no recordings: bring some in with `ser-ops noise "
                            "add`, or take it out of data.noise in params.yaml")
    return [found[one] for one in sorted(found)]


def audio_files(folder: Path, pattern: str) -> list[Path]:
    """Audio files below `folder` that match, sorted; hidden files and folders are passed over."""
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in FORMATS and path.is_file()
                  and not any(part.startswith(".") for part in path.relative_to(folder).parts))
