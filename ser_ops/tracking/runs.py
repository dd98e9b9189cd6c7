"""Runs of MLflow: open one, go on with one after a kill, open one again later."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ser_ops.config import Params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.tracking.moved import artifact_location
from ser_ops.tracking.outage import patiently
from ser_ops.tracking.provenance import standard_tags
from ser_ops.tracking.run import Run
from ser_ops.tracking.server import one_line, public, reach, reached, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo


def _artifact_location(uri: str) -> str | None:
    """Artifacts of a SQLite store lie beside its file; a server decides for itself."""
    file = sqlite_file(uri)
    return None if file is None else artifact_location(file)


def _experiment(client: "MlflowClient", name: str, uri: str) -> str:
    """The experiment's id; made when it is not there, by whichever process is first."""
    from mlflow.exceptions import MlflowException
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=_artifact_location(uri))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(f"{public(uri)}: experiment {name!r} is deleted there: restore it with `mlflow experiments "
                        f"restore -x {found.experiment_id}` or name another in tracking.experiment")
    return found.experiment_id


def existing(client: "MlflowClient", run_id: str | None) -> "RunInfo | None":
    """What this server knows of a run; None when it has no such run or it is deleted there."""
    from mlflow.exceptions import MlflowException
    if not run_id:
        return None
    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return info if info.lifecycle_stage == "active" else None


def _continuing(client: "MlflowClient", experiment: str, run_id: str) -> "RunInfo | None":
    """The run that another stage has logged here already in place of one that this server does not have."""
    found = client.search_runs([experiment], f"tags.continues = '{run_id}'", max_results=1) if run_id.isalnum() else []
    return found[0].info if found else None


def _opened(params: Params, name: str, tags: Mapping[str, str], parent: str | None, resume: str | None) -> Run:
    """Make a run, or go on with one."""
    uri, extra = tracking_uri(params), dict(tags)
    client = reach(params)
    with one_line(uri):
        experiment = _experiment(client, params.tracking.experiment, uri)
        there = existing(client, resume)
        if resume and there is None:
            extra["continues"], there = resume, _continuing(client, experiment, resume)
            print(f"run {resume} is not on {public(uri)}: what follows is logged to "
                  f"{there.run_id if there else 'a new run'}, tagged continues", file=sys.stderr)
        if there is None:
            if parent:
                extra["mlflow.parentRunId"] = parent
            # One fixed source: the machine's own user and paths stay out of the record.
            made = client.create_run(experiment, run_name=name, tags=standard_tags(params) | {
                "mlflow.source.name": "ser-ops", "mlflow.source.type": "LOCAL", "mlflow.user": "ser-ops"} | extra)
            return Run(params, client, made.info.run_id, name, tags)
        run = Run(params, client, there.run_id, name, tags, max(there.start_time or 0, there.end_time or 0))
        run.settle()  # what an earlier process could not send comes first
        client.update_run(run.id, status="RUNNING")
        run.tags(extra)
        return run


@contextmanager
def _running(run: Run) -> Iterator[Run]:
    """Mark how the block ended. A killed process leaves the run RUNNING, to be resumed."""
    try:
        yield run
    except BaseException as error:
        with suppress(UserError):  # what went wrong first is what the user must hear
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.end("FINISHED")


@contextmanager
def open_run(params: Params, name: str, tags: Mapping[str, str], parent: str | None = None,
             resume: str | None = None) -> Iterator[Run]:
    """Open a run of tracking.experiment under `name`, tagged with `tags` and `standard_tags`.

    parent: id of the run of which this one is a child. resume: id of a run that a killed process left; it is
    continued, and what that one could not send is sent. When this server does not have it, that is said on standard
    error and a new run is logged, tagged `continues`. A block that raises leaves the run FAILED. While the server is
    away the block goes on; at its end the server is waited for, up to tracking.outage seconds. Raises UserError in one
    line, within tracking.timeout seconds, when the tracking store cannot be used from the start; a parent, or a store
    that this process has used before, is proof of one that was there and will be waited for.
    """
    proven = parent is not None or reached(params)
    run = patiently(lambda: _opened(params, name, tags, parent, resume), params.tracking.outage if proven else 0.0)
    with _running(run):
        yield run


@contextmanager
def reopen(params: Params, run_json: Path) -> Iterator[Run]:
    """Open again the finished run that run.json names, to log more to it.

    When this server does not have it (a result restored from somebody else's cache), that is said on standard
    error and a new run is logged under the same name and tags, linked by the tag `continues`, one for all stages;
    `Run.id` is then the new id.
    Raises UserError when run.json is missing or no run.json, and as `open_run` does.
    """
    kept = read_json(run_json)
    if not isinstance(kept, dict) or not isinstance(kept.get("run_id"), str):
        raise UserError(f"{run_json}: names no run: remove it and run its stage again")
    name, tags = kept.get("name", run_json.parent.name), kept.get("tags", {})
    with open_run(params, name, tags, resume=kept["run_id"]) as run:
        yield run
