"""Runs of MLflow: `open_run` opens one or goes on with it after a kill, `reopen` opens one again to log more.

A `Run` is what stages, training and evaluation see of MLflow: settings, figures, tags and files go in, nothing is lost.
Every run is tagged with the code, the data and the choices that made it.
"""

import json
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_ops.config.params import Params
from ser_ops.corpora.partitions import protocol_in_force
from ser_ops.documents import read_json, read_yaml
from ser_ops.errors import UserError
from ser_ops.files import sha256, write_json
from ser_ops.tracking.compare import saved_view
from ser_ops.tracking.moved import artifact_location
from ser_ops.tracking.outage import wait_while_away
from ser_ops.tracking.outbox import Outbox
from ser_ops.tracking.server import (
    connect_once,
    mlflow_errors,
    redacted,
    sqlite_file,
    tracking_uri,
    was_reached,
    without_login,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo

UNKNOWN = "unknown"
_LONGEST_PARAM = 6000


class Run:
    """One run of the tracking server; all that stages, training and evaluation need of MLflow.

    What cannot be sent because the server is away is kept in state/tracking and sent later (`Outbox`). Each method
    raises UserError in one line when the server refuses.
    """

    def __init__(self, params: Params, client: "MlflowClient", run_id: str, name: str, opened_with: Mapping[str, str],
                 resumed_after: int | None = None) -> None:
        """resumed_after: the latest moment, in milliseconds, that a run which is gone on with knows of."""
        self.id = run_id
        self.uri = tracking_uri(params)
        self.experiment = params.tracking.experiment
        self._name, self._opened_with = name, dict(opened_with)
        self._clock = Clock(resumed_after or 0)
        self._resumed = resumed_after is not None
        self._outbox = Outbox(client, run_id, self.uri, params.paths.state / "tracking" / f"{run_id}.jsonl",
                              params.tracking.timeout)
        self._outage = params.tracking.outage

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings; nested ones get dotted names. A value that is logged already stays as it is.

        Raises UserError for a name that stands there with another value: that is another run.
        """
        self._outbox.put({"params": flatten(values)})

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log figures, at a step (an epoch) or as final ones; '@' in a name becomes ':' (`metric_name`)."""
        now = self._clock.now()
        entry: dict[str, Any] = {"metrics": [[metric_name(name), float(value), now, step or 0]
                                             for name, value in values.items()
                                             if value is not None and not math.isinf(value)]}
        if step is not None and self._resumed:  # an epoch may have been logged without a checkpoint of it
            entry["unless_there"] = True
        self._outbox.put(entry)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; one that stands there is replaced."""
        self._outbox.put({"tags": {name: str(value) for name, value in values.items()}})

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file, or all that a folder holds, under `folder` of the run's artifacts."""
        if not path.exists():
            raise UserError(f"{path}: is not there to be logged: run the stage that writes it")
        self._outbox.put({"artifact": str(path), "folder": folder})

    def dataset(self, manifest: Path, name: str, context: str = "training") -> None:
        """Log a manifest as a dataset: its path as given, the start of its SHA-256 as digest, columns and rows."""
        import pandas
        from mlflow.data.pandas_dataset import from_pandas
        frame = pandas.read_csv(manifest, dtype=str, keep_default_na=False)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # a path reads as several sources
            dataset = from_pandas(frame, source=str(manifest), name=name, digest=sha256(manifest)[:16])
        self._outbox.put({"dataset": dict(dataset._to_mlflow_entity()), "context": context})

    def write(self, path: Path) -> None:
        """Write run.json: the run's id, experiment and tracking store, without credentials, its name and its tags."""
        write_json(path, {"run_id": self.id, "experiment": self.experiment, "tracking_uri": without_login(self.uri),
                          "name": self._name, "tags": self._opened_with})

    def settle(self, seconds: float = 0.0) -> None:
        """Send what is kept, waiting up to `seconds` for the server; UserError when it stays away."""
        self._outbox.settle(seconds)

    def end(self, status: str) -> None:
        """Mark how the run ended. FINISHED: wait up to tracking.outage seconds until all is sent."""
        self._outbox.put({"status": status, "at": self._clock.now()})
        if status == "FINISHED":
            self._outbox.settle(self._outage)


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
    proven = parent is not None or was_reached(params)
    run = wait_while_away(lambda: _open(params, name, tags, parent, resume), params.tracking.outage if proven else 0.0)
    with _ended_with_status(run):
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


@contextmanager
def _ended_with_status(run: Run) -> Iterator[Run]:
    """Mark how the block ended. A killed process leaves the run RUNNING, to be resumed."""
    try:
        yield run
    except BaseException as error:
        with suppress(UserError):  # the first error is the one to report
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.end("FINISHED")


def _open(params: Params, name: str, tags: Mapping[str, str], parent: str | None, resume: str | None) -> Run:
    """Make a run, or go on with one."""
    uri, extra = tracking_uri(params), dict(tags)
    client = connect_once(params)
    with mlflow_errors(uri):
        experiment = _experiment(client, params)
        logged = run_info(client, resume)
        if resume and logged is None:
            extra["continues"], logged = resume, _continuation(client, experiment, resume)
            print(f"run {resume} is not on {redacted(uri)}: what follows is logged to "
                  f"{logged.run_id if logged else 'a new run'}, tagged continues", file=sys.stderr)
        if logged is None:
            if parent:
                extra["mlflow.parentRunId"] = parent
            # One fixed source: the machine's own user and paths stay out of the record.
            made = client.create_run(experiment, run_name=name, tags=standard_tags(params) | {
                "mlflow.source.name": "ser-ops", "mlflow.source.type": "LOCAL", "mlflow.user": "ser-ops"} | extra)
            return Run(params, client, made.info.run_id, name, tags)
        run = Run(params, client, logged.run_id, name, tags, max(logged.start_time or 0, logged.end_time or 0))
        run.settle()  # what an earlier process could not send comes first
        client.update_run(run.id, status="RUNNING")
        run.tags(extra)
        return run


def _experiment(client: "MlflowClient", params: Params) -> str:
    """The id of the experiment in force, made by whichever process is first, with the saved view of these runs."""
    from mlflow.exceptions import MlflowException
    name, uri = params.tracking.experiment, tracking_uri(params)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            made = client.create_experiment(name, artifact_location=_artifact_location(uri))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
        else:
            experiment = client.get_experiment(made)
    if experiment.lifecycle_stage != "active":
        raise UserError(f"{redacted(uri)}: experiment {name!r} is deleted there: restore it with `mlflow experiments "
                        f"restore -x {experiment.experiment_id}` or name another in tracking.experiment")
    tag, view = saved_view(params)
    if tag not in experiment.tags:
        with suppress(MlflowException):     # runs are logged without it too: by an account that may not tag, say
            client.set_experiment_tag(experiment.experiment_id, tag, view)
    return experiment.experiment_id


def _artifact_location(uri: str) -> str | None:
    """Artifacts of a SQLite store lie beside its file; a server decides for itself."""
    file = sqlite_file(uri)
    return None if file is None else artifact_location(file)


def run_info(client: "MlflowClient", run_id: str | None) -> "RunInfo | None":
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


def _continuation(client: "MlflowClient", experiment: str, run_id: str) -> "RunInfo | None":
    """The run that another stage has logged here already in place of one that this server does not have."""
    runs = client.search_runs([experiment], f"tags.continues = '{run_id}'", max_results=1) if run_id.isalnum() else []
    return runs[0].info if runs else None


def standard_tags(params: Params) -> dict[str, str]:
    """The tags of every run: the same on every machine for the same code, data and params.yaml."""
    corpora = params.data.names
    synthetic = synthetic_corpora(params)
    return {
        "mlflow.source.git.commit": git_commit(),  # MLflow shows this one in its own column
        "git_commit": git_commit(), "git_dirty": git_dirty(), "data_md5": data_md5(), "preset": params.preset,
        "partition": protocol_in_force(params.paths.work, params.partitions.protocol), "corpora": json.dumps(corpora),
        "synthetic": "true" if synthetic else "false", "synthetic_corpora": json.dumps(synthetic),
    }


def synthetic_corpora(params: Params) -> list[str]:
    """Those corpora in use whose card says that their speech is synthetic."""
    synthetic = []
    for name in params.data.corpora:
        try:
            card = read_yaml(params.paths.data / "corpora" / name / "corpus.yaml", "ser-ops corpora add")
        except UserError:
            continue
        if isinstance(card, dict) and card.get("synthetic"):
            synthetic.append(name)
    return synthetic


def git_commit() -> str:
    """The commit that is checked out, as 40 hexadecimal digits, or 'unknown' outside a git repository."""
    return _git("rev-parse", "HEAD") or UNKNOWN


def git_dirty() -> str:
    """'true' when the tree differs from its commit, 'false' when not, 'unknown' outside a git repository.

    dvc.lock and reproduction/dvc.lock do not count: `dvc repro` itself rewrites them while its stages run.
    """
    changes = _git("status", "--porcelain", "--", ".", ":(exclude,top)dvc.lock", ":(exclude,top)reproduction/dvc.lock")
    return UNKNOWN if changes is None else str(bool(changes)).lower()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def data_md5(pointer: Path = Path("data.dvc")) -> str:
    """DVC's hash of data/, from data.dvc; 'untracked' when there is none."""
    try:
        return str(read_yaml(pointer, "dvc add data")["outs"][0]["md5"])
    except (UserError, LookupError, TypeError):
        return "untracked"


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


class Clock:
    """Milliseconds since 1970 that never go back within a run, whatever happens to the machine's clock.

    Where steps are the same, MLflow takes the figure of the latest moment for the valid one. after: the latest moment
    that the run knows of.
    """

    def __init__(self, after: int = 0) -> None:
        self._start, self._began = max(time.time(), (after + 1) / 1000), time.monotonic()

    def now(self) -> int:
        """The moment."""
        return int((self._start + time.monotonic() - self._began) * 1000)
