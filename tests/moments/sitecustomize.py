"""A chosen moment of a running stage: just before it renames a finished output to the path of a pattern.

Python imports this module by itself where its folder stands on PYTHONPATH (project_copy.at_moment). What the stage has
written by then lies beside its place. KILLED_BEFORE: a power cut, the whole process group goes at once: the stage, its
workers, and the `dvc repro` that waits for them. HELD_BEFORE: it stands there until somebody ends it.
"""

import os
import signal
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

_KILLED, _HELD = os.environ.get("KILLED_BEFORE", ""), os.environ.get("HELD_BEFORE", "")


def _watched(rename: Callable[..., None]) -> Callable[..., None]:
    def renamed(source: Any, target: Any, **options: Any) -> None:
        path = os.fspath(target)    # of ser_ops relative to the workspace; DVC moves files by absolute paths
        if fnmatchcase(path, _KILLED):
            os.killpg(0, signal.SIGKILL)
        while fnmatchcase(path, _HELD):
            time.sleep(60)
        rename(source, target, **options)

    return renamed


os.replace, os.rename = _watched(os.replace), _watched(os.rename)   # type: ignore[assignment]
