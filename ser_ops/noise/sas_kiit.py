"""SAS-KIIT, the noise of paper 1: which of its class folders are the paper's three categories.

South Asian Sound Dataset, KIIT (Chatterjee, Bishwas, Chakrabarty and Bandyopadhyay, C3IT 2024), from
https://sas-kiit.netlify.app/, the address that paper 1 gives. More than 20 classes; paper 1 takes three.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ser_ops.errors import UserError
from ser_ops.folders import Contents, list_contents
from ser_ops.noise.adding import CategorySummary, Incoming, add_categories
from ser_ops.noise.recordings import audio_files

NAME = "sas_kiit"
LICENCE = "CC BY-NC 4.0"
SOURCE = "South Asian Sound Dataset, KIIT, https://sas-kiit.netlify.app/"
# Class folders as they are written with spaces, dashes, underscores and capitals or without.
_CLASSES = {"fish_market": r"fishmarkets?(noise)?", "railway_engine": r"railwayengines?(noise)?",
            "children": r"children(s)?class(room)?(noise)?"}


def category_of(folder: str) -> str:
    """The category of paper 1 that a class folder of SAS-KIIT holds, "" for another class.

    >>> [category_of(name) for name in ("Fish Market", "railway_engine", "Children Class Noise", "Temple bell")]
    ['fish_market', 'railway_engine', 'children', '']
    """
    letters = re.sub(r"[^a-z]", "", folder.lower())
    return next((category for category, pattern in _CLASSES.items() if re.fullmatch(pattern, letters)), "")


def classes_below(folder: Path) -> list[Incoming]:
    """The recordings of each category, from all its class folders below `folder`, at any depth.

    Raises:
        UserError: A category has no recordings; or as `list_contents` and `Incoming.among`.
    """
    below = list_contents(folder, closed=True)
    class_folders: dict[str, set[PurePosixPath]] = {category: set() for category in _CLASSES}
    for path in audio_files(below):
        if own := _class_folder(path):
            class_folders[category_of(own.name)].add(own)
    if missing := [category for category, own_folders in class_folders.items() if not own_folders]:
        names = sorted({path.parent.name for path in audio_files(below)} - {""})
        raise UserError(f"{folder}: no recordings of SAS-KIIT for {', '.join(missing)} among the folders "
                        f"{', '.join(names) or '(none)'}: give the folder that holds Fish Market, Railway Engine and "
                        "Children Class Noise, or bring each in with `ser-ops noise add CATEGORY FOLDER --licence "
                        f"'{LICENCE}'`")
    return [_joined(category, folder, sorted(own_folders), below) for category, own_folders in class_folders.items()]


def _class_folder(path: PurePosixPath) -> PurePosixPath | None:
    """The nearest folder above a path that is a class folder."""
    return next((parent for parent in path.parents if category_of(parent.name)), None)


def _joined(category: str, folder: Path, class_folders: Sequence[PurePosixPath], below: Contents) -> Incoming:
    """What all class folders of one category hold.

    Several (in train/ and test/, say) keep the folders that tell their recordings apart. Those folders name no source:
    a clip, or a sub-folder within a class folder, is one, as it is where there is one class folder.
    """
    top = PurePosixPath(os.path.commonpath(class_folders))
    joined = Incoming(category, folder / top, {}, {}, {})
    for own in class_folders:
        part = Incoming.among(Contents(
            [path.relative_to(own) for path in below.files if _class_folder(path) == own],
            {path.relative_to(own): reason for path, reason in below.skipped.items() if _class_folder(path) == own}),
            folder / own, category)
        prefix = own.relative_to(top)
        joined.files.update({prefix / path: file for path, file in part.files.items()})
        joined.skipped.update({prefix / path: reason for path, reason in part.skipped.items()})
        own_sources = {path: (prefix / path.with_suffix("").parts[0]).as_posix() for path in part.files}
        joined.sources.update({prefix / path: source for path, source in (
            (own_sources if len(class_folders) > 1 else {}) | part.sources).items()})
    return joined


def add_sas_kiit(folder: Path, noise_folder: Path, collection: str = NAME, link: bool = False,
                 licence: str = LICENCE, lock: Path | None = None) -> list[CategorySummary]:
    """Bring the three categories in, all or none, as `adding.add_categories` does and raises."""
    return add_categories(classes_below(folder), noise_folder, collection, licence, SOURCE, link, lock)
