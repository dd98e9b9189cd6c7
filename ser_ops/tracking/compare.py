"""The models beside each other: which runs of MLflow they are, and the pages of MLflow that show them.

What MLflow's page shows of a run is the choice of each browser, but for saved views: tags of the experiment, which the
page lists and a link can name. `open_run` writes one (`saved_view`), so that the runs of one preset, corpus and
partition have columns and charts of their UAR clean, in noise and in the worst noise.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from ser_ops.config.params import Params
from ser_ops.corpora.partitions import protocol_in_force
from ser_ops.tracking.server import connect, mlflow_errors, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

STAGES = ("train", "ablate", "splits")  # those whose runs are models trained on a whole training partition
METRICS = ("clean/uar", "noisy/uar", "worst_cell/uar", "parameters_millions")
PAGE = "http://127.0.0.1:5000"  # where `ser-ops ui` serves a store that is no server, by default
_UAR = METRICS[:3]
_CONDITIONS = ("preset", "corpus", "partition")
_RUNS_PER_REQUEST = 1000
_MOST_REQUESTS = 100    # a server could name a next page without end
_VIEW = "mlflow.sharedViewState."   # where MLflow's page looks for saved views among an experiment's tags


def conditions(params: Params) -> dict[str, str]:
    """Preset, corpus and partition in force, as runs are tagged with them: only runs of the same can be compared."""
    return {"preset": params.preset, "corpus": "+".join(params.data.names),
            "partition": protocol_in_force(params.paths.work, params.partitions.protocol)}


def latest_models(params: Params) -> list[dict[str, Any]]:
    """The newest finished run of each model of this preset, corpus and partition, best in noise first.

    A run that was evaluated in noise goes before a newer one that was not. Trials, folds, models trained on shuffled
    labels and runs that are only parents are no models. Each: model, run_id, name, stage, preset, corpus, partition,
    backbone, and METRICS (None where a run lacks one). Raises UserError as `connect` does.
    """
    experiment = _experiment(params)
    if experiment is None:
        return []
    client = connect(params, make=False)
    newest: dict[str, Run] = {}
    clauses = ["attributes.status = 'FINISHED'", *_clauses(conditions(params) | {"shuffled_labels": "false"})]
    with mlflow_errors(tracking_uri(params)):
        token = None
        for _ in range(_MOST_REQUESTS):
            page = client.search_runs([experiment.experiment_id], " and ".join(clauses), max_results=_RUNS_PER_REQUEST,
                                      order_by=["attributes.start_time DESC"], page_token=token)
            for run in filter(_is_model, page):
                model = run.data.tags["family"]
                if model not in newest or _in_noise(run) > _in_noise(newest[model]):
                    newest[model] = run
            token = page.token
            if not token:
                break
    rows = [_row(run) for run in newest.values()]
    return sorted(rows, key=lambda row: [-(row[name] or 0.0) for name in ("noisy/uar", "clean/uar")])


def saved_view(params: Params) -> tuple[str, str]:
    """The experiment's tag, name and value, that is the saved view of the runs of this preset, corpus and partition.

    A table of stage and UAR (clean, noisy, worst), the best in noise first, and charts that begin with these three.
    MLflow documents no format; this is what version 3.17 reads, and what another one cannot read it leaves out.
    """
    shared = conditions(params)
    charts = [{"uuid": f"ser-ops {metric}", "type": "BAR", "metricKey": metric, "metricSectionId": "ser-ops UAR",
               "runsCountToCompare": 10, "deleted": False, "isGenerated": False} for metric in _UAR]
    state = json.dumps({
        "searchFilter": " and ".join(_clauses(shared)), "orderByKey": "metrics.`noisy/uar`", "orderByAsc": False,
        "startTime": "ALL", "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": ["attributes.`Created`", "tags.`stage`", *(f"metrics.`{metric}`" for metric in _UAR)],
        "compareRunCharts": charts, "isAccordionReordered": True,   # else charts stand in the order of the alphabet
        "compareRunSections": [{"uuid": "ser-ops UAR", "name": "UAR", "display": True, "isReordered": False}]})
    name = "UAR clean, noisy, worst: " + ", ".join(shared.values())
    view = json.dumps({"name": name, "createdAt": int(time.time() * 1000), "state": state})
    return f"{_VIEW}ser-ops-{hashlib.sha256(state.encode()).hexdigest()[:12]}", view


def runs_link(params: Params, address: str = PAGE) -> str | None:
    """The address of the experiment's table of runs, in its saved view where it has one; None before the first run.

    address: of the page of a store that is no server, as `ser-ops ui` serves it. Raises UserError as `connect` does.
    """
    experiment = _experiment(params)
    if experiment is None:
        return None
    tag, _ = saved_view(params)
    view = f"?viewStateShareKey={tag.removeprefix(_VIEW)}" if tag in experiment.tags else ""
    return f"{_page(params, address)}/#/experiments/{experiment.experiment_id}/runs{view}"


def charts_link(params: Params, run_ids: Sequence[str], address: str = PAGE) -> str:
    """The address of MLflow's charts, a bar for each run: of the saved view, or of `run_ids`; as `runs_link`."""
    runs = runs_link(params, address) or f"{_page(params, address)}/#/experiments/0/runs"
    if "?" in runs:
        return f"{runs}&compareRunsMode=CHART"
    chosen = ", ".join(f"'{run_id}'" for run_id in run_ids)
    return (f"{runs}?searchFilter={_quoted(f'attributes.run_id IN ({chosen})')}"
            f"&orderByKey={_quoted('metrics.`noisy/uar`')}&orderByAsc=false&compareRunsMode=CHART")


def compare_link(params: Params, run_ids: Sequence[str], address: str = PAGE) -> str:
    """The address of MLflow's comparison of runs: settings, metrics and tags in columns; as `runs_link`."""
    experiment = _experiment(params)
    lists = {"runs": list(run_ids), "experiments": [experiment.experiment_id] if experiment else []}
    query = "&".join(f"{name}={_quoted(json.dumps(ids, separators=(',', ':')))}" for name, ids in lists.items())
    return f"{_page(params, address)}/#/compare-runs?{query}"


def page_links(params: Params, address: str = PAGE) -> dict[str, str]:
    """What MLflow's page has of this project so far, and at which addresses; as `runs_link`."""
    links, name = {}, params.tracking.registered_model
    if runs := runs_link(params, address):
        links["runs"] = runs
        if ids := [model["run_id"] for model in latest_models(params)]:
            links["all models side by side"] = compare_link(params, ids, address)
            links["as charts"] = charts_link(params, ids, address)
        with mlflow_errors(tracking_uri(params)):
            if connect(params, make=False).search_registered_models(f"name = '{name}'"):
                links["registered model"] = f"{_page(params, address)}/#/models/{_quoted(name)}"
    return links


def page_address(uri: str) -> str | None:
    """The address of a tracking server's page, without credentials; None for a store that is no server.

    >>> page_address("http://ann:secret@host:5000/mlflow/"), page_address("sqlite:///mlflow.db")
    ('http://host:5000/mlflow', None)
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _page(params: Params, address: str) -> str:
    return page_address(tracking_uri(params)) or address


def _experiment(params: Params) -> "Experiment | None":
    """The experiment in force; None where it, or a SQLite store in a folder that is there, has yet to be made."""
    uri = tracking_uri(params)
    file = sqlite_file(uri)
    if file is not None and not file.exists() and file.absolute().parent.is_dir():
        return None
    client = connect(params, make=False)
    with mlflow_errors(uri):
        return client.get_experiment_by_name(params.tracking.experiment)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _clauses(tags: dict[str, str]) -> list[str]:
    return [f"tags.{name} = '{value}'" for name, value in tags.items()]


def _is_model(run: "Run") -> bool:
    tags, metrics = run.data.tags, run.data.metrics
    return bool(tags.get("family")) and tags.get("stage") in STAGES and not tags.get("fold") and \
        ("clean/uar" in metrics or "best/validation_uar" in metrics)


def _in_noise(run: "Run") -> bool:
    return "noisy/uar" in run.data.metrics


def _row(run: "Run") -> dict[str, Any]:
    tags = run.data.tags
    return {"model": tags["family"], "run_id": run.info.run_id, "name": run.info.run_name, "stage": tags["stage"],
            **{name: tags[name] for name in _CONDITIONS}, "backbone": tags.get("backbone", "not stated"),
            **{name: run.data.metrics.get(name) for name in METRICS}}
