"""The way of a run's entries to the server: at once while it answers, through a journal while it does not.

An entry that is sent twice leaves what it leaves sent once. The journal is a file beside copies of the files to be
logged, as they were at that moment. It holds no credentials.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_ops.documents import parse_json
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.tracking.outage import Away, wait_while_away
from ser_ops.tracking.server import mlflow_errors, probe, redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REMOVE = "remove it to go on without what it holds"
_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000
_REST = 10.0  # a failed attempt is followed by this many times its length without one: work loses a tenth at most
_SHORTEST_REST = 1.0  # seconds


class Outbox:
    """Takes entries (`send`) in order, loses none, and never stops the work for long.

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
            wait_while_away(self._send, seconds)
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
            with mlflow_errors(self._uri):
                for waiting in entries:
                    send(self._client, self._run_id, waiting)
        except Away:
            raise
        except UserError as error:
            if not self._journal.entries:
                raise
            raise UserError(f"{error} (kept in {self._journal.path}: remove it to go on without)") from error
        self._journal.clear()
        if self._away:
            print(f"{redacted(self._uri)}: the tracking server is back, {len(entries)} entries of run {self._run_id} "
                  "are sent", file=sys.stderr, flush=True)
        self._away = False


class Journal:
    """The entries of one run that could not be sent yet, one line of JSON each, safe on disk before `append` returns.

    A killed process leaves them; the next one that opens the run finds them. Raises UserError when the file cannot be
    written or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copies = path.with_suffix("")
        self.entries: list[dict[str, Any]] = self._read()

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        whole = content[:content.rfind(b"\n") + 1]
        if len(whole) < len(content):  # a line that a kill cut short: what it was for is done again
            os.truncate(self.path, len(whole))
        entries = [parse_json(line, str(self.path), _REMOVE, nan=True) for line in whole.splitlines()]
        if not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{self.path}: is damaged, a line of it is not an entry: {_REMOVE}")
        return entries

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep an entry; an `artifact` is copied."""
        kept = dict(entry)
        if "artifact" in kept:
            kept["artifact"] = str(self._copy(Path(kept["artifact"])))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(json.dumps(kept).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}): free space, then run the same command "
                            "again") from error
        self.entries.append(kept)

    def _copy(self, source: Path) -> Path:
        with replacing(self._copies / f"{len(self.entries):06d}") as folder:
            folder.mkdir()
            if source.is_dir():
                shutil.copytree(source, folder / source.name)
            else:
                shutil.copyfile(source, folder / source.name)
        return self._copies / f"{len(self.entries):06d}" / source.name

    def clear(self) -> None:
        """Forget everything: it is sent."""
        self.entries = []
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self._copies, ignore_errors=True)


def send(client: "MlflowClient", run_id: str, entry: Mapping[str, Any]) -> None:
    """Send an entry of one of the kinds below.

    {"params": {name: value}}; {"tags": {name: value}}; {"metrics": [[name, value, milliseconds, step], ...]} of one
    step, with "unless_there" only when the run has not got that step; {"artifact": path, "folder": name}; {"dataset":
    its fields, "context": word}; {"status": word, "at": milliseconds}. Raises what MLflow raises, and UserError for a
    parameter that stands there with another value.
    """
    if "params" in entry:
        _params(client, run_id, entry["params"])
    elif "tags" in entry:
        _tags(client, run_id, entry["tags"])
    elif "metrics" in entry:
        _metrics(client, run_id, entry["metrics"], entry.get("unless_there", False))
    elif "artifact" in entry:
        _artifact(client, run_id, Path(entry["artifact"]), entry["folder"])
    elif "dataset" in entry:
        _dataset(client, run_id, entry["dataset"], entry["context"])
    else:
        client.set_terminated(run_id, entry["status"], entry["at"])


def _params(client: "MlflowClient", run_id: str, values: Mapping[str, str]) -> None:
    from mlflow.entities import Param
    logged = client.get_run(run_id).data.params
    for name in values.keys() & logged.keys():
        if values[name] != logged[name]:
            raise UserError(f"run {run_id}: {name} was logged as {logged[name]}, now {values[name]}: start a new "
                            "run for other settings")
    new = [Param(name, value) for name, value in values.items() if name not in logged]
    for start in range(0, len(new), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=new[start:start + _PARAMS_AT_ONCE])


def _tags(client: "MlflowClient", run_id: str, values: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag
    new = [RunTag(name, value) for name, value in values.items()]
    for start in range(0, len(new), _PARAMS_AT_ONCE):
        client.log_batch(run_id, tags=new[start:start + _PARAMS_AT_ONCE])


def _metrics(client: "MlflowClient", run_id: str, values: list[list[Any]], unless_there: bool) -> None:
    """A server takes the same figure of the same moment and step once, so a moment is chosen only once."""
    from mlflow.entities import Metric
    new = [Metric(*value) for value in values]
    if unless_there and new and any(metric.step == new[0].step
                                 for metric in client.get_metric_history(run_id, new[0].key)):
        return
    for start in range(0, len(new), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=new[start:start + _METRICS_AT_ONCE])


def _artifact(client: "MlflowClient", run_id: str, path: Path, folder: str) -> None:
    if path.is_dir():
        client.log_artifacts(run_id, str(path), folder or None)
    else:
        client.log_artifact(run_id, str(path), folder or None)


def _dataset(client: "MlflowClient", run_id: str, fields: Mapping[str, str], context: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
    client.log_inputs(run_id, [DatasetInput(Dataset(**fields), [InputTag(MLFLOW_DATASET_CONTEXT, context)])])
