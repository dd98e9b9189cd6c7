"""MLflow runs as the stages see them: open one, log to it, go on with it after a kill, open it again later."""

import json
import math
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_ops.config import Params
from ser_ops.errors import UserError
from ser_ops.files import read_json, sha256, write_json
from ser_ops.tracking.provenance import standard_tags
from ser_ops.tracking.server import connect, one_line, public, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000
_LONGEST_PARAM = 6000


def metric_name(name: str) -> str:
    """The name under which MLflow keeps a metric: it admits no '@', so a cell is fish_market:0.50 there.

    >>> metric_name("noisy/fish_market@0.50/uar")
    'noisy/fish_market:0.50/uar'
    """
    return name.replace("@", ":")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names with values in words.

    >>> flatten({"train": {"seed": 40, "layers": [1, 2]}, "preset": "small"})
    {'train.seed': '40', 'train.layers': '[1, 2]', 'preset': 'small'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[name] = text[:_LONGEST_PARAM]
    return flat


class Run:
    """One run of the tracking server; all that stages, training and evaluation need of MLflow.

    Each method raises UserError in one line when the server has gone away.
    """

    def __init__(self, client: "MlflowClient", run_id: str, uri: str, experiment: str, name: str,
                 opened_with: Mapping[str, str]) -> None:
        self._client = client
        self.id = run_id
        self.uri = uri
        self.experiment = experiment
        self._name, self._opened_with = name, dict(opened_with)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings; nested ones get dotted names. A value that is logged already stays as it is.

        Raises UserError for a name that stands there with another value: that is another run.
        """
        from mlflow.entities import Param
        flat = flatten(values)
        with one_line(self.uri):
            there = self._client.get_run(self.id).data.params
            for name in flat.keys() & there.keys():
                if flat[name] != there[name]:
                    raise UserError(f"run {self.id}: {name} was logged as {there[name]}, now {flat[name]}: start a new "
                                    "run for other settings")
            new = [Param(name, value) for name, value in flat.items() if name not in there]
            for start in range(0, len(new), _PARAMS_AT_ONCE):
                self._client.log_batch(self.id, params=new[start:start + _PARAMS_AT_ONCE])

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log figures, at a step (an epoch) or as final ones; '@' in a name becomes ':' (`metric_name`)."""
        from mlflow.entities import Metric
        now = int(time.time() * 1000)
        new = [Metric(metric_name(name), float(value), now, step or 0) for name, value in values.items()
               if value is not None and not math.isinf(value)]
        with one_line(self.uri):
            for start in range(0, len(new), _METRICS_AT_ONCE):
                self._client.log_batch(self.id, metrics=new[start:start + _METRICS_AT_ONCE])

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; one that stands there is replaced."""
        from mlflow.entities import RunTag
        new = [RunTag(name, str(value)) for name, value in values.items()]
        with one_line(self.uri):
            for start in range(0, len(new), _PARAMS_AT_ONCE):
                self._client.log_batch(self.id, tags=new[start:start + _PARAMS_AT_ONCE])

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file, or all that a folder holds, under `folder` of the run's artifacts."""
        if not path.exists():
            raise UserError(f"{path}: is not there to be logged: run the stage that writes it")
        with one_line(self.uri):
            if path.is_dir():
                self._client.log_artifacts(self.id, str(path), folder or None)
            else:
                self._client.log_artifact(self.id, str(path), folder or None)

    def dataset(self, manifest: Path, name: str, context: str = "training") -> None:
        """Log a manifest as a dataset: its path as given, the start of its SHA-256 as digest, columns and rows."""
        import pandas
        with one_line(self.uri):
            from mlflow.data.pandas_dataset import from_pandas
            from mlflow.entities import DatasetInput, InputTag
            from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
            frame = pandas.read_csv(manifest, dtype=str, keep_default_na=False)
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # a path reads as several sources
                dataset = from_pandas(frame, source=str(manifest), name=name, digest=sha256(manifest)[:16])
            self._client.log_inputs(self.id, [DatasetInput(dataset._to_mlflow_entity(),
                                                           [InputTag(MLFLOW_DATASET_CONTEXT, context)])])

    def write(self, path: Path) -> None:
        """Write run.json: the run's id, experiment and tracking store, without credentials, its name and its tags."""
        write_json(path, {"run_id": self.id, "experiment": self.experiment, "tracking_uri": public(self.uri),
                          "name": self._name, "tags": self._opened_with})


def _artifact_location(uri: str) -> str | None:
    """Artifacts of a SQLite store lie beside its file; a server decides for itself."""
    file = sqlite_file(uri)
    return None if file is None else (file.absolute().parent / "mlartifacts").as_uri()


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


def known(client: "MlflowClient", run_id: str | None) -> bool:
    """Whether this server has the run, not deleted."""
    from mlflow.exceptions import MlflowException
    if not run_id:
        return False
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise


def _continuing(client: "MlflowClient", experiment: str, run_id: str) -> str | None:
    """The run that another stage has logged here already in place of one that this server does not have."""
    found = client.search_runs([experiment], f"tags.continues = '{run_id}'", max_results=1) if run_id.isalnum() else []
    return found[0].info.run_id if found else None


@contextmanager
def _running(client: "MlflowClient", run: Run) -> Iterator[Run]:
    """Mark how the block ended. A killed process leaves the run RUNNING, to be resumed."""
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        try:
            with one_line(run.uri):
                client.set_terminated(run.id, status)
        except UserError:
            if status == "FINISHED":
                raise  # else what went wrong first is what the user must hear


@contextmanager
def open_run(params: Params, name: str, tags: Mapping[str, str], parent: str | None = None,
             resume: str | None = None) -> Iterator[Run]:
    """Open a run of tracking.experiment under `name`, tagged with `tags` and `standard_tags`.

    parent: id of the run of which this one is a child. resume: id of a run that a killed process left; it is
    continued. When this server does not have it, that is said on standard error and a new run is logged, tagged
    `continues`. A block that raises leaves the run FAILED. Raises UserError in one line, within tracking.timeout
    seconds, when the tracking store cannot be used.
    """
    uri = tracking_uri(params)
    client = connect(params)
    with one_line(uri):
        extra = dict(tags)
        experiment = _experiment(client, params.tracking.experiment, uri)
        if resume and not known(client, resume):
            extra["continues"], resume = resume, _continuing(client, experiment, resume)
            print(f"run {extra['continues']} is not on {public(uri)}: what follows is logged to "
                  f"{resume or 'a new run'}, tagged continues", file=sys.stderr)
        if resume:
            client.update_run(resume, status="RUNNING")
            run_id = resume
        else:
            if parent:
                extra["mlflow.parentRunId"] = parent
            # One fixed source: the machine's own user and paths stay out of the record.
            made = client.create_run(experiment, run_name=name, tags=standard_tags(params) | {
                "mlflow.source.name": "ser-ops", "mlflow.source.type": "LOCAL", "mlflow.user": "ser-ops"} | extra)
            run_id = made.info.run_id
    run = Run(client, run_id, uri, params.tracking.experiment, name, tags)
    if resume:
        run.tags(extra)
    with _running(client, run):
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

