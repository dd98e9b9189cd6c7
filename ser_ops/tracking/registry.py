"""The registered model: `register` makes a version with card, reports and tags and calls it the candidate.

One process changes the registry at a time (`registry_lock`), on whatever machine: by a file lock beside a SQLite store,
and on a server by a lease that needs nothing but the server itself. The lease is an experiment: the server gives a name
once, and an experiment is ended by its id, so that nobody ends a lease that they did not look at. Its holder counts a
tag up; a process that waits takes over a lease whose count stood still for `seconds` by its own monotonic clock. No two
machines' clocks are compared.
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ser_ops.caveats import non_commercial
from ser_ops.config.model_json import REFERENCE, fingerprint, read_model_json
from ser_ops.config.params import Params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.tracking.licences import sources
from ser_ops.tracking.package import package_arguments, written_model_card
from ser_ops.tracking.runs import Run, open_run, reopen
from ser_ops.tracking.server import connect, mlflow_errors, redacted, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_HOLDER, _COUNT = "holder", "count"
_BEATS = 6  # signs of life within the time after which a holder is taken for dead
_ENDED = ("INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
CANDIDATE = "candidate"
FINGERPRINT = "model_sha256"
# What is attached to a version. Clips and pages that hold recordings stay at home: their licences say so.
REPORTS = ("data_validation.json", "leak_audit.json", "metrics.json", "robustness.csv", "predictions.csv",
           "ablation.csv", "explanations.json", "gate.json", "figures")
_FROM_RUN = ("git_commit", "git_dirty", "data_md5")


def register(params: Params, model_folder: Path, reports: Path) -> str:
    """Log the model into its training run, register it with reports, card and tags, and call it candidate.

    Returns the version's number. The same model (by its fingerprint) on the same server is registered once: its
    version gets the reports and verdict of today and is returned. Raises UserError in one line when the folder holds
    no model or the server does not answer.
    """
    digest = fingerprint(model_folder)
    card = read_model_json(model_folder)
    gate = read_json(reports / "gate.json") if (reports / "gate.json").is_file() else None
    name, uri = params.tracking.registered_model, tracking_uri(params)
    client = connect(params)
    with mlflow_errors(uri), registry_lock(params, client) as check_lock:
        registered = _same_model(client, name, digest)
        opening = (open_run(params, str(card["model"]), {}, resume=registered.run_id) if registered
                   else reopen(params, model_folder / "run.json"))
        with opening as run:
            attach_reports(run, reports)
            tags = _version_tags(params, card, client.get_run(run.id).data.tags, gate, digest)
            card_text = written_model_card(params, model_folder, reports)
            if registered:
                version = str(registered.version)
                client.update_model_version(name, version, card_text)
                for key, value in tags.items():
                    client.set_model_version_tag(name, version, key, value)
            else:
                version = _create_version(client, params, run, model_folder, card_text, tags)
        check_lock()
        client.set_registered_model_alias(name, CANDIDATE, version)
    return version


def _same_model(client: "MlflowClient", name: str, digest: str) -> "ModelVersion | None":
    """The newest version of the model with this fingerprint."""
    same = client.search_model_versions(f"name = '{name}' and tags.{FINGERPRINT} = '{digest}'")
    return max(same, key=lambda version: int(version.version), default=None)


def _version_tags(params: Params, card: Mapping[str, Any], run_tags: Mapping[str, str], gate: Mapping[str, Any] | None,
                  digest: str) -> dict[str, str]:
    data = card.get("data", {})
    used = sources(params, data.get("corpora", []))
    return {name: run_tags.get(name, "unknown") for name in _FROM_RUN} | {
        FINGERPRINT: digest, "model": str(card["model"]), "preset": str(card.get("preset", "unknown")),
        "partition": str(data.get("protocol", "unknown")),
        "verdict": str(gate.get("verdict")) if gate else "not judged",
        "corpora": json.dumps(data.get("corpora", [])),
        "synthetic": str(bool(data.get("synthetic"))).lower(), "partial": json.dumps(data.get("partial", [])),
        "non_commercial": json.dumps({source.name: source.licence for source in used
                                     if non_commercial(source.licence)}),
        "licences": json.dumps({source.name: source.licence for source in used}),
        "backbone": str(card.get("backbone", "not stated"))}


def _create_version(client: "MlflowClient", params: Params, run: Run, model_folder: Path, card_text: str,
                    tags: Mapping[str, str]) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException
    name = params.tracking.registered_model
    # What this process did before may have left another experiment active, which MLflow would refuse the run for.
    mlflow.set_experiment(experiment_id=client.get_run(run.id).info.experiment_id)
    with package_arguments(params, model_folder, card_text, params.paths.work / REFERENCE) as arguments, \
            mlflow.start_run(run_id=run.id, nested=True):
        logged = mlflow.pyfunc.log_model(name="model", **arguments)
    try:
        client.create_registered_model(name, description="Speech emotion recognition, noise-robust and explained.")
    except MlflowException as error:
        if _error_code(error) != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(name, logged.model_uri, run.id, tags=dict(tags), description=card_text,
                                       model_id=logged.model_id)
    return str(made.version)


def attach_reports(run: Run, reports: Path) -> None:
    """Log reports/ to the run of a version, but for what holds recordings."""
    for name in REPORTS:
        path = reports / name
        if path.exists():
            run.artifact(path, f"reports/{name}" if path.is_dir() else "reports")


def versions(params: Params) -> list[dict[str, Any]]:
    """Every version with its aliases, verdict and run, newest first; empty when nothing is registered."""
    client, name = connect(params, make=False), params.tracking.registered_model
    with mlflow_errors(tracking_uri(params)):
        numbers = sorted((int(version.version) for version in client.search_model_versions(f"name = '{name}'")),
                         reverse=True)
        entities = [client.get_model_version(name, str(number)) for number in numbers]  # a search knows no aliases
        return [{"version": str(version.version), "aliases": sorted(version.aliases),
                 "verdict": version.tags.get("verdict", ""), "run_id": version.run_id,
                 "model": version.tags.get("model", ""), "server": redacted(tracking_uri(params))}
                for version in entities]


def resolve_version(client: "MlflowClient", name: str, which: str) -> "ModelVersion":
    """A version by number or alias. Raises UserError, which says what to do, when there is none."""
    from mlflow.exceptions import MlflowException
    if not which.isdigit():
        version = version_under_alias(client, name, which)
        if version is None:
            remedy = "run make demo or ser-ops promote" if which != CANDIDATE else "register one: run make demo"
            raise UserError(f"models:/{name}@{which}: no model stands as {which}: {remedy}")
        return version
    try:
        return client.get_model_version(name, which)
    except MlflowException as error:
        if _error_code(error) == "RESOURCE_DOES_NOT_EXIST":
            raise UserError(f"models:/{name}/{which}: no such version: see the registry for those that there "
                            "are") from error
        raise


def version_under_alias(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """The version that stands under an alias, or None."""
    from mlflow.exceptions import MlflowException
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if _error_code(error) in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _error_code(error: Exception) -> str:
    return str(getattr(error, "error_code", ""))


@contextmanager
def registry_lock(params: Params, client: "MlflowClient") -> Iterator[Callable[[], None]]:
    """One change of the registry at a time, on whatever machine: others wait.

    Yields what is to be called before the last step: it raises UserError when this process was taken for dead.
    """
    file = sqlite_file(tracking_uri(params))
    if file is not None:  # one machine: the lock of a process that is killed is free at once
        with FileLock(f"{file}.registry.lock"):
            yield lambda: None
    else:
        with held_lease(client, f"{params.tracking.registered_model} registry", params.tracking.lease) as lease:
            yield lease.check


class Lease:
    """The lease `name`, held by this process: a thread shows that the process lives until `end` is called."""

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
        _end_lease(self._client, self._name, self._number)


@contextmanager
def held_lease(client: "MlflowClient", name: str, seconds: float) -> Iterator[Lease]:
    """Wait for the lease `name`, hold it while the block runs, and let the next one in.

    seconds: after so many without a sign of life a holder is taken for dead. Raises what MLflow raises, and UserError
    when a dead holder's lease belongs to another account that this one may not change.
    """
    lease = Lease(client, name, _take_lease(client, name, seconds), seconds)
    try:
        yield lease
    finally:
        with suppress(Exception):  # left behind, it is taken over in time
            lease.end()


def _take_lease(client: "MlflowClient", name: str, seconds: float) -> str:
    """The id of the experiment that is the lease, once this process holds it."""
    from mlflow.exceptions import MlflowException
    me, seen, since = uuid.uuid4().hex, ("", ""), time.monotonic()
    while True:
        try:
            return str(client.create_experiment(name, tags={_HOLDER: me, _COUNT: "0"}))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        lease = client.get_experiment_by_name(name)
        if lease is None:
            continue
        number = str(lease.experiment_id)
        if lease.tags.get(_HOLDER) == me:  # our first call came through, its answer did not
            return number
        if lease.lifecycle_stage != "active":  # deleted by hand, which keeps its name taken
            client.restore_experiment(number)
        now = (number, lease.tags.get(_COUNT, ""))
        if now != seen:
            if seen[0] == "":
                print(f"{name}: another process changes the registry: waiting for it", file=sys.stderr, flush=True)
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= seconds:
            _end_lease(client, name, number)
            continue
        time.sleep(min(0.5, seconds / _BEATS))


def _end_lease(client: "MlflowClient", name: str, number: str) -> None:
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
