"""What counts as a server that is away for a while, and how long to wait for it."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from ser_ops.errors import UserError

_LONGEST_PAUSE = 5.0  # seconds between two looks
# MLflow's own names for faults of the server or of the way to it; every other one is an answer.
_FAULTS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED",
           "RESOURCE_EXHAUSTED", "DATA_LOSS", "CANCELLED"}

T = TypeVar("T")


class Away(UserError):
    """The server does not answer, or answers with a fault of its own: the same call may succeed later."""


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


def patiently(act: Callable[[], T], seconds: float) -> T:
    """Call `act` until it raises no `Away`, for up to `seconds` by the monotonic clock; then raise what it raised.

    That it waits is said once on standard error.
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
