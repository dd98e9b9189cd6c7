"""One thin module per DVC stage: read params.yaml and inputs, call the rooms, write outputs."""

import importlib
import sys
from collections.abc import Callable
from typing import cast

from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.files import remove_leftovers
from ser_ops.terminal import escape_unencodable, print_error


def run(main: Callable[[], None]) -> None:
    """Run a stage as a command: a UserError becomes one line on standard error and exit code 1.

    Every stage module ends with `if __name__ == "__main__": run(main)`. Any other exception is a fault of
    the program and keeps its traceback; Ctrl-C exits with 130, as a shell expects. What a killed stage left half
    written is removed first: DVC lets one stage at a time work here.
    """
    main = _importable(main)
    escape_unencodable()
    try:
        paths = load_params().paths
        remove_leftovers(paths.work)
        remove_leftovers(paths.reports)
        main()
    except UserError as error:
        print_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _importable(main: Callable[[], None]) -> Callable[[], None]:
    """The same function by its module's name: what is called __main__ here is another module in another process."""
    spec = sys.modules["__main__"].__spec__
    if main.__module__ != "__main__" or spec is None:
        return main
    return cast(Callable[[], None], getattr(importlib.import_module(spec.name), main.__name__))
