"""The models beside each other: which runs of MLflow they are, and the address that opens MLflow's comparison."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from ser_ops.config import Params
from ser_ops.tracking.server import connect, one_line, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run

STAGES = ("train", "ablate", "splits")  # those whose runs are models trained on a whole training partition
METRICS = ("clean/uar", "noisy/uar", "worst_cell/uar", "parameters_millions")
PAGE = "http://127.0.0.1:5000"  # where `ser-ops ui` serves a store that is no server, unless told otherwise
_SHARED = ("preset", "corpus", "partition")
_AT_ONCE = 1000
_PAGES = 100    # the newest of them: a server could name a next page without end


def conditions(params: Params) -> dict[str, str]:
    """Preset, corpus and partition in force, as runs are tagged with them: only runs of the same can be compared."""
    return {"preset": params.preset, "corpus": "+".join(params.data.names), "partition": params.partitions.protocol}


def latest_models(params: Params) -> list[dict[str, Any]]:
    """The newest finished run of each model of this preset, corpus and partition, best in noise first.

    A run that was evaluated in noise goes before a newer one that was not. Trials, folds, models trained on shuffled
    labels and runs that are only parents are no models. Each: model, run_id, name, stage, preset, corpus, partition,
    backbone, and METRICS (None where a run lacks one). Raises UserError as `connect` does.
    """
    if _untrained(tracking_uri(params)):
        return []
    client = connect(params, make=False)
    found: dict[str, Run] = {}
    asked = conditions(params) | {"shuffled_labels": "false"}
    with one_line(tracking_uri(params)):
        experiment = client.get_experiment_by_name(params.tracking.experiment)
        token = None
        for _ in range(_PAGES):
            if experiment is None:
                break
            page = client.search_runs([experiment.experiment_id], _filter(asked), max_results=_AT_ONCE,
                                      order_by=["attributes.start_time DESC"], page_token=token)
            for run in filter(_is_model, page):
                model = run.data.tags["family"]
                if model not in found or _in_noise(run) > _in_noise(found[model]):
                    found[model] = run
            token = page.token
            if not token:
                break
    rows = [_row(run) for run in found.values()]
    return sorted(rows, key=lambda row: [-(row[name] or 0.0) for name in ("noisy/uar", "clean/uar")])


def compare_link(params: Params, run_ids: Sequence[str], address: str = PAGE) -> str:
    """The address of MLflow's comparison of runs: their settings, metrics and tags in columns.

    address: of the page of a store that is no server, as `ser-ops ui` serves it. Raises UserError as `connect` does.
    """
    lists = {"runs": list(run_ids), "experiments": _experiments(params)}
    asked = "&".join(f"{name}={_quoted(json.dumps(ids, separators=(',', ':')))}" for name, ids in lists.items())
    return f"{page_address(tracking_uri(params)) or address}/#/compare-runs?{asked}"


def charts_link(params: Params, run_ids: Sequence[str], address: str = PAGE) -> str:
    """The address of MLflow's charts of runs, a bar for each run and a chart for each metric; as `compare_link`."""
    experiment = next(iter(_experiments(params)), "0")
    chosen = ", ".join(f"'{one}'" for one in run_ids)
    return (f"{page_address(tracking_uri(params)) or address}/#/experiments/{experiment}/runs?searchFilter="
            f"{_quoted(f'attributes.run_id IN ({chosen})')}&orderByKey={_quoted('metrics.`noisy/uar`')}"
            "&orderByAsc=false&compareRunsMode=CHART")


def page_address(uri: str) -> str | None:
    """The address of a tracking server's page, without credentials; None for a store that is no server.

    >>> page_address("http://ann:secret@host:5000/mlflow/"), page_address("sqlite:///mlflow.db")
    ('http://host:5000/mlflow', None)
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _untrained(uri: str) -> bool:
    """Whether a SQLite store has yet to be made, by the first training, in a folder that is there."""
    file = sqlite_file(uri)
    return file is not None and not file.exists() and file.absolute().parent.is_dir()


def _experiments(params: Params) -> list[str]:
    client = connect(params, make=False)
    with one_line(tracking_uri(params)):
        found = client.get_experiment_by_name(params.tracking.experiment)
    return [] if found is None else [found.experiment_id]


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _filter(tags: dict[str, str]) -> str:
    wanted = [f"tags.{name} = '{value}'" for name, value in tags.items()]
    return " and ".join(["attributes.status = 'FINISHED'", *wanted])


def _is_model(run: "Run") -> bool:
    tags, metrics = run.data.tags, run.data.metrics
    return bool(tags.get("family")) and tags.get("stage") in STAGES and not tags.get("fold") and \
        ("clean/uar" in metrics or "best/validation_uar" in metrics)


def _in_noise(run: "Run") -> bool:
    return "noisy/uar" in run.data.metrics


def _row(run: "Run") -> dict[str, Any]:
    tags = run.data.tags
    return {"model": tags["family"], "run_id": run.info.run_id, "name": run.info.run_name, "stage": tags["stage"],
            **{name: tags[name] for name in _SHARED}, "backbone": tags.get("backbone", "not stated"),
            **{name: run.data.metrics.get(name) for name in METRICS}}
