"""The way of a run's entries to the server: at once while it answers, through the journal while it does not."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_ops.errors import UserError
from ser_ops.tracking.journal import Journal
from ser_ops.tracking.outage import Away, patiently
from ser_ops.tracking.sending import send
from ser_ops.tracking.server import one_line, probe, public

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REST = 10.0  # a failed attempt is followed by this many times its length without one: work loses a tenth at most
_SHORTEST_REST = 1.0  # seconds


class Outbox:
    """Takes entries (`ser_ops.tracking.sending`) in order, loses none, and never stops the work for long.

    While the server is away entries are kept in the journal; each later one is an occasion to send them all.
    """

    def __init__(self, client: "MlflowClient", run_id: str, uri: str, journal: Path, timeout: float) -> None:
        self._client, self._run_id, self._uri, self._timeout = client, run_id, uri, timeout
        self._journal = Journal(journal)
        self._away = bool(self._journal.entries)
        self._not_before = 0.0

    def put(self, entry: Mapping[str, Any]) -> None:
        """Send an entry, or keep it. Raises UserError in one line when the server refuses it."""
        if self._away or not self._attempted(entry):
            self._journal.append(entry)
            if time.monotonic() >= self._not_before:
                self._attempted()

    def settle(self, seconds: float) -> None:
        """Send all that is kept, waiting up to `seconds` for the server.

        Raises UserError in one line when it stays away; everything is kept for the next process that opens the run.
        """
        try:
            patiently(self._send, seconds)
        except Away as error:
            raise Away(f"{error}; what is to be recorded is kept in {self._journal.path}") from error

    def _attempted(self, entry: Mapping[str, Any] | None = None) -> bool:
        """Send what is kept, and `entry`; False when the server is away."""
        began = time.monotonic()
        try:
            self._send(entry)
        except Away as error:
            if not self._away:
                print(f"{error}; work goes on, what is to be recorded is kept in {self._journal.path} and sent when "
                      "the server is back", file=sys.stderr, flush=True)
            self._away = True
            now = time.monotonic()
            self._not_before = now + max(_SHORTEST_REST, _REST * (now - began))
            return False
        return True

    def _send(self, entry: Mapping[str, Any] | None = None) -> None:
        entries = [*self._journal.entries, *([] if entry is None else [entry])]
        if not entries:
            return
        probe(self._uri, self._timeout)
        try:
            with one_line(self._uri):
                for one in entries:
                    send(self._client, self._run_id, one)
        except Away:
            raise
        except UserError as error:
            if not self._journal.entries:
                raise
            raise UserError(f"{error} (kept in {self._journal.path}: remove it to go on without)") from error
        self._journal.clear()
        if self._away:
            print(f"{public(self._uri)}: the tracking server is back, {len(entries)} entries of run {self._run_id} are "
                  "sent", file=sys.stderr, flush=True)
        self._away = False
