"""What counts as a server that is away for a while, and how long to wait for it."""

import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ser_ops.errors import UserError

_LONGEST_PAUSE = 5.0  # seconds between two looks
# MLflow's own names for faults of the server or of the way to it; every other one is an answer.
_FAULTS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED",
           "RESOURCE_EXHAUSTED", "DATA_LOSS", "CANCELLED"}
# What MLflow, SQLAlchemy and SQLite say of this machine's own disk; some wrap it in what looks like an outage.
_FULL = re.compile("no space left on device|disk quota exceeded|database or disk is full", re.IGNORECASE)
_READ_ONLY = re.compile("readonly database|read-only file system|unable to open database file", re.IGNORECASE)
_NO_DATABASE = re.compile("file is not a database|database disk image is malformed|unsupported file format"
                          "|Can't locate revision", re.IGNORECASE)
_LOCKED = re.compile("database (table )?is locked", re.IGNORECASE)
_LOCK_FILES = ("", "-wal", "-shm", ".lock")  # SQLite's own, and the one that holds while tables are made
_FULL_CODES = {errno.ENOSPC, errno.EDQUOT}
T = TypeVar("T")


class Away(UserError):
    """The server does not answer, or answers with a fault of its own: the same call may succeed later."""


def wait_while_away(act: Callable[[], T], seconds: float) -> T:
    """Call `act` until it raises no `Away`, for up to `seconds` by the monotonic clock; then raise what it raised.

    The first wait is announced on standard error.
    """
    end, pause = time.monotonic() + seconds, 0.25
    while True:
        try:
            return act()
        except Away as error:
            left = end - time.monotonic()
            if left <= 0:
                raise
            if pause == 0.25:
                print(f"waiting for up to {seconds:g} s: {error}", file=sys.stderr, flush=True)
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)


def is_away(error: BaseException) -> bool:
    """Whether what MLflow raised may pass by itself; a refusal (wrong password, no such run) does not."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import HTTPError, RequestException
    from sqlalchemy.exc import OperationalError
    if isinstance(error, HTTPError) and error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    if isinstance(error, MlflowException):
        return error.error_code in _FAULTS
    return isinstance(error, RequestException | OperationalError)


def is_full(error: BaseException) -> bool:
    """Whether a full disk, or a quota that is used up, is behind an error, however it is wrapped.

    >>> is_full(RuntimeError("failed: OSError(28, 'No space left on device')"))
    True
    """
    return any(getattr(cause, "errno", None) in _FULL_CODES or _FULL.search(str(cause)) for cause in _causes(error))


def is_read_only(error: BaseException) -> bool:
    """Whether an error says that SQLite may not write its file, or cannot open it."""
    return any(_READ_ONLY.search(str(cause)) for cause in _causes(error))


def is_no_database(error: BaseException) -> bool:
    """Whether an error says that a file is no SQLite database, a damaged one, or none that this MLflow knows."""
    return any(_NO_DATABASE.search(str(cause)) for cause in _causes(error))


def is_locked(error: BaseException) -> bool:
    """Whether an error says that another process holds SQLite's lock."""
    return any(_LOCKED.search(str(cause)) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def lock_holders(file: Path) -> list[int]:
    """Ids of the other processes that hold a lock on a SQLite store; empty where Linux does not say."""
    try:
        nodes = {str(part.stat().st_ino) for name in _LOCK_FILES if (part := Path(f"{file}{name}")).exists()}
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        return []
    held = {int(words[4]) for words in lines if words[1] != "->" and words[5].split(":")[2] in nodes}
    return sorted(number for number in held if number > 0 and number != os.getpid())
