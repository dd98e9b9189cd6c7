"""One process at a time, on whatever machine, by means of the tracking server alone.

The lease is an experiment: the server gives a name once, and an experiment is ended by its id, so that nobody ends one
that he did not look at. Its holder counts a tag up; whoever waits takes a lease over whose count stood still for
`seconds` by his own monotonic clock. No two machines' clocks are compared.
"""

import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ser_ops.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_HOLDER, _COUNT = "holder", "count"
_BEATS = 6  # signs of life within the time after which a holder is taken for dead
_ENDED = ("INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Lease:
    """What this process holds."""

    def __init__(self, client: "MlflowClient", name: str, number: str, seconds: float) -> None:
        self._client, self._name, self._number, self._seconds = client, name, number, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        count = 0
        while not self._over.wait(self._seconds / _BEATS):
            count += 1
            with suppress(Exception):  # a sign of life that is lost is made up for by the next; `check` tells the truth
                self._client.set_experiment_tag(self._number, _COUNT, str(count))

    def check(self) -> None:
        """Raise UserError when another process took the lease over: to be called before what cannot be undone."""
        now = self._client.get_experiment(self._number)
        if now.name != self._name or now.lifecycle_stage != "active":
            raise UserError(f"{self._name}: taken over by another process, because this one showed no life for "
                            f"{self._seconds:g} s: run the same command again")

    def end(self) -> None:
        """Let the next one in."""
        self._over.set()
        self._thread.join(self._seconds)
        _end(self._client, self._name, self._number)


@contextmanager
def holding(client: "MlflowClient", name: str, seconds: float) -> Iterator[Lease]:
    """Wait for the lease `name`, hold it while the block runs, and let the next one in.

    seconds: after so many without a sign of life a holder is taken for dead. Raises what MLflow raises, and UserError
    when a dead holder's lease belongs to another account that this one may not change.
    """
    lease = Lease(client, name, _taken(client, name, seconds), seconds)
    try:
        yield lease
    finally:
        with suppress(Exception):  # left behind, it is taken over in time
            lease.end()


def _taken(client: "MlflowClient", name: str, seconds: float) -> str:
    """The number of the lease, once it is ours."""
    from mlflow.exceptions import MlflowException
    me, seen, since = uuid.uuid4().hex, ("", ""), time.monotonic()
    while True:
        try:
            return str(client.create_experiment(name, tags={_HOLDER: me, _COUNT: "0"}))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)
        if found is None:
            continue
        number = str(found.experiment_id)
        if found.tags.get(_HOLDER) == me:  # our first call came through, its answer did not
            return number
        if found.lifecycle_stage != "active":  # deleted by hand, which keeps its name taken
            client.restore_experiment(number)
        now = (number, found.tags.get(_COUNT, ""))
        if now != seen:
            if seen[0] == "":
                print(f"{name}: another process changes the registry: waiting for it", file=sys.stderr, flush=True)
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= seconds:
            _end(client, name, number)
            continue
        time.sleep(min(0.5, seconds / _BEATS))


def _end(client: "MlflowClient", name: str, number: str) -> None:
    """Free the name of one lease, and no other's; that somebody else did so already is no fault."""
    from mlflow.exceptions import MlflowException
    try:
        client.rename_experiment(number, f"{name}, ended {number}")
        client.delete_experiment(number)
    except MlflowException as error:
        if error.error_code == "PERMISSION_DENIED":
            raise UserError(f"{name}: held by a process of another account that shows no life: ask that account or an "
                            f"administrator to delete experiment {number}") from error
        if error.error_code not in _ENDED:
            raise
