"""One entry of a run to the server. Sent twice, an entry leaves what it leaves sent once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_ops.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000


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
    there = client.get_run(run_id).data.params
    for name in values.keys() & there.keys():
        if values[name] != there[name]:
            raise UserError(f"run {run_id}: {name} was logged as {there[name]}, now {values[name]}: start a new "
                            "run for other settings")
    new = [Param(name, value) for name, value in values.items() if name not in there]
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
    new = [Metric(*one) for one in values]
    if unless_there and new and any(one.step == new[0].step for one in client.get_metric_history(run_id, new[0].key)):
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
