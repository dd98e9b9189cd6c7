"""The extras of this package: which one brings a package that is not installed."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata

from ser_ops.errors import UserError

_REQUIRED = re.compile(r'([\w.-]+).*extra == ["\'](\w+)["\']')
_OTHERWISE_NAMED = {"sklearn": "scikit-learn"}


@contextmanager
def naming_extras(command: str = "") -> Iterator[None]:
    """A package that is missing in the block, and that an extra brings, becomes a UserError that names the extra.

    command: which the block runs, for `extra_of`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if (extra := extra_of(module, metadata.requires("ser-ops") or (), command)) is None:
            raise
        raise UserError(f"{module} is not installed, which this needs: pip install 'ser-ops[{extra}]'") from error


def extra_of(module: str, required: Iterable[str], command: str = "") -> str | None:
    """The extra that brings a module, by the lines of a distribution's Requires-Dist; None where none does.

    Of several the one that is named as the command, since it brings all that the command needs, else the first.

    >>> lines = ["numpy", 'psycopg2-binary; extra == "team"', 'great-expectations>=1; extra == "train"']
    >>> extra_of("great_expectations", lines), extra_of("psycopg2", lines), extra_of("numpy", lines)
    ('train', 'team', None)
    >>> extra_of("scipy", ['scipy; extra == "train"', 'scipy; extra == "watch"'], "watch")
    'watch'
    """
    wanted = _OTHERWISE_NAMED.get(module, module.replace("_", "-"))
    extras = [match[2] for line in required if (match := _REQUIRED.match(line))
              and (match[1] == wanted or match[1].startswith(f"{wanted}-"))]
    return command if command in extras else next(iter(extras), None)
