"""SAS-KIIT, the noise of paper 1: which of its class folders are the paper's three categories.

South Asian Sound Dataset, KIIT (Chatterjee, Bishwas, Chakrabarty and Bandyopadhyay, C3IT 2024), from
https://sas-kiit.netlify.app/, the address that paper 1 gives. More than 20 classes; paper 1 takes three.
"""

import re
from pathlib import Path

from ser_ops.errors import UserError
from ser_ops.noise.adding import CategorySummary, add_noise

NAME = "sas_kiit"
LICENCE = "CC BY-NC 4.0"
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


def class_folders(folder: Path) -> dict[str, Path]:
    """The class folder of each category below `folder`, at any depth.

    Raises UserError where a category has none, or two.
    """
    folders: dict[str, Path] = {}
    others = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_dir()):
        category = category_of(path.name)
        if not category:
            others.add(path.name)
        elif category in folders:
            raise UserError(f"{folder}: {folders[category]} and {path} are both {category}: leave one of them out")
        else:
            folders[category] = path
    if missing := [category for category in _CLASSES if category not in folders]:
        raise UserError(f"{folder}: no folder of SAS-KIIT for {', '.join(missing)} among "
                        f"{', '.join(sorted(others | {path.name for path in folders.values()})) or 'no folders'}: give "
                        "the folder that holds Fish Market, Railway Engine and Children Class Noise, or bring each in "
                        "with `ser-ops noise add CATEGORY FOLDER`")
    return folders


def add_sas_kiit(folder: Path, noise_folder: Path, collection: str = NAME, link: bool = False,
                 lock: Path | None = None) -> list[CategorySummary]:
    """Bring the three categories in as `adding.add_noise` does; a summary of each. Raises UserError as it does."""
    return [add_noise(category, own, noise_folder, collection, link, LICENCE, lock=lock)
            for category, own in class_folders(folder).items()]
