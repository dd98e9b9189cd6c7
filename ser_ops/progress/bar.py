"""A bar on standard error."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from ser_ops.terminal import shown

Item = TypeVar("Item")


def progress(items: Iterable[Item], what: str, total: int | None = None, unit: str = "utt") -> Iterator[Item]:
    """Yield `items` under a bar on standard error with rate and time left."""
    interactive = sys.stderr.isatty()
    yield from tqdm(items, desc=shown(what), total=total, unit=unit, file=sys.stderr, dynamic_ncols=interactive,
                    mininterval=0.5 if interactive else 10)
