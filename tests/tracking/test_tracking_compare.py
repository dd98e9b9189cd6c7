"""Which runs stand side by side, and the address that opens MLflow's own comparison of them."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from ser_ops import cli
from ser_ops.cli import registry
from ser_ops.tracking import runs
from ser_ops.tracking.compare import (
    charts_link,
    compare_link,
    conditions,
    latest_models,
    page_links,
    runs_link,
    saved_view,
)
from ser_ops.tracking.runs import open_run, reopen
from ser_ops.tracking.server import connect


@pytest.fixture
def logged(params):
    """Log a finished run as the stages tag one: `logged("cnn", "train", noisy=0.4, partition="random")`."""
    def log(family, stage, noisy=None, name=None, parent=None, metrics=None, **tags):
        figures = {"best/validation_uar": 0.5} | ({} if noisy is None else {
            "clean/uar": noisy + 0.1, "noisy/uar": noisy, "worst_cell/uar": noisy - 0.1, "parameters_millions": 1.2})
        with open_run(params, name or family, {
                "stage": stage, "family": family, "shuffled_labels": "false", "backbone": "none",
                **conditions(params)} | tags, parent=parent) as run:
            run.metrics(figures if metrics is None else metrics)
        return run.id
    return log


def test_the_newest_run_of_each_model_best_in_noise_first(params, logged):
    logged("fusion", "train", 0.30)
    newest = logged("fusion", "train", 0.52)
    parent = logged("fusion", "ablate", name="ablations", metrics={})
    cnn = logged("cnn", "ablate", 0.60, parent=parent)
    vit = logged("vit", "splits", name="vit speaker")
    models = latest_models(params)
    assert [(model["model"], model["run_id"]) for model in models] == [("cnn", cnn), ("fusion", newest), ("vit", vit)]
    assert models[0] == {"model": "cnn", "run_id": cnn, "name": "cnn", "stage": "ablate", **conditions(params),
                        "backbone": "none", "clean/uar": pytest.approx(0.7), "noisy/uar": 0.6,
                        "worst_cell/uar": pytest.approx(0.5), "parameters_millions": 1.2}
    assert models[2]["clean/uar"] is None


def test_what_is_no_model_or_not_comparable_stays_out(params, logged):
    fusion = logged("fusion", "train", 0.5)
    logged("fusion", "tune", name="tuning")
    logged("fusion", "tune", name="trial 0")
    logged("fusion", "ablate", name="ablations", metrics={})
    logged("fusion", "ablate", 0.1, name="shuffled_1", shuffled_labels="true")
    logged("cnn", "folds", 0.5, name="cnn random fold 1", fold="1")
    logged("lstm", "train", 0.5, partition="random")
    logged("beit", "train", 0.5, preset="paper")
    logged("vit", "corpora", 0.5, corpus="one alone")
    logged("fusion", "splits", name="fusion speaker")  # newer, but nobody asked it in noise
    with pytest.raises(ValueError, match="cut"), open_run(params, "spectral", {
            "stage": "train", "family": "spectral", "shuffled_labels": "false", **conditions(params)}) as run:
        run.metrics({"clean/uar": 0.9})
        raise ValueError("cut")
    assert [model["run_id"] for model in latest_models(params)] == [fusion]


def test_the_links_name_runs_experiment_and_model(params, logged):
    assert page_links(params) == {}
    ids = [logged("fusion", "train", 0.5), logged("cnn", "ablate", 0.4)]
    link = compare_link(params, ids)
    assert link.startswith(f"{params.tracking.uri}/#/compare-runs?") and not set(link) & set('"[] ')
    query = parse_qs(urlsplit(link.replace("/#/", "/")).query)
    assert json.loads(query["runs"][0]) == ids
    [experiment] = json.loads(query["experiments"][0])
    runs = runs_link(params)
    assert runs.startswith(f"{params.tracking.uri}/#/experiments/{experiment}/runs?viewStateShareKey=ser-ops-")
    assert charts_link(params, ids) == f"{runs}&compareRunsMode=CHART"
    connect(params).create_registered_model(params.tracking.registered_model)
    assert page_links(params) == {
        "runs": runs, "all models side by side": compare_link(params, ids), "as charts": charts_link(params, ids),
        "registered model": f"{params.tracking.uri}/#/models/{params.tracking.registered_model}"}


def test_the_saved_view_has_the_columns_and_charts_of_uar_first(params, logged):
    logged("fusion", "train", 0.5)
    client = connect(params)
    experiment = client.get_experiment_by_name(params.tracking.experiment)
    tag, _ = saved_view(params)
    view = json.loads(experiment.tags[tag])
    state = json.loads(view["state"])
    assert view["name"].startswith("UAR clean, noisy, worst: demo, ") and isinstance(view["createdAt"], int)
    assert state["selectedColumns"][-3:] == ["metrics.`clean/uar`", "metrics.`noisy/uar`", "metrics.`worst_cell/uar`"]
    assert [chart["metricKey"] for chart in state["compareRunCharts"]] == ["clean/uar", "noisy/uar", "worst_cell/uar"]
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {state["compareRunSections"][0]["uuid"]}
    assert state["isAccordionReordered"], "else the page puts the section best, of epochs, before it"
    logged("fusion", "train", 0.5, partition="random")
    shown = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert [run.data.tags["partition"] for run in shown] == ["speaker"], "what cannot be compared is not shown"


def test_an_experiment_without_the_view_is_linked_and_gets_it_with_the_next_run(params, logged, monkeypatch):
    monkeypatch.setattr(runs, "saved_view", lambda params: ("mlflow.sharedViewState.too-long", "x" * 5001))
    ids = [logged("fusion", "train", 0.5)]
    link = runs_link(params)
    assert link.endswith("/runs")
    charts = charts_link(params, ids)
    assert charts.startswith(f"{link}?")
    assert parse_qs(urlsplit(charts.replace("/#/", "/")).query) == {
        "searchFilter": [f"attributes.run_id IN ('{ids[0]}')"], "orderByKey": ["metrics.`noisy/uar`"],
        "orderByAsc": ["false"], "compareRunsMode": ["CHART"]}
    monkeypatch.undo()
    logged("cnn", "train", 0.4)
    assert "viewStateShareKey" in runs_link(params)


def test_a_store_that_is_no_server_is_served_elsewhere(params, tmp_path):
    local = params.model_copy(update={"tracking": params.tracking.model_copy(
        update={"uri": f"sqlite:///{tmp_path}/mlflow.db"})})
    with open_run(local, "fusion", {"stage": "train", "family": "fusion"}) as run:
        pass
    assert compare_link(local, [run.id]).startswith("http://127.0.0.1:5000/#/compare-runs?runs=%5B%22" + run.id)
    assert compare_link(local, [run.id], "http://127.0.0.1:5417").startswith("http://127.0.0.1:5417/#/")


def test_ser_ops_compare_and_ui(params, logged, monkeypatch):
    monkeypatch.setattr(registry, "load_params", lambda: params)
    asked = CliRunner().invoke
    assert asked(cli.app, ["compare"]).stdout.startswith("no model was trained yet with preset demo, corpus ")
    logged("vit", "ablate", name="vit")
    run = logged("cnn", "train", 0.4)
    lines = asked(cli.app, ["compare"]).stdout.splitlines()
    assert lines[0].endswith("partition speaker")
    assert lines[1].split() == ["model", "stage", "backbone", "clean/uar", "noisy/uar", "worst_cell/uar",
                                "parameters_millions", "run"]
    assert lines[2].split() == ["cnn", "train", "none", "0.500", "0.400", "0.300", "1.200", run]
    assert lines[3].split()[3:7] == ["-"] * 4
    answer = json.loads(asked(cli.app, ["compare", "--json"]).stdout)
    assert [model["model"] for model in answer["models"]] == ["cnn", "vit"] and lines[-2].endswith(answer["link"])
    said = asked(cli.app, ["ui"]).stdout.splitlines()
    assert said == [f"runs: {runs_link(params)}", f"all models side by side: {answer['link']}",
                    f"as charts: {answer['charts']}",
                    f"the tracking server has the page: {params.tracking.uri}"]


def test_a_run_logged_anew_keeps_name_and_tags(params, logged, tmp_path):
    with open_run(params, "cnn", {"stage": "train", "family": "cnn", "shuffled_labels": "false",
                                  **conditions(params)}) as run:
        run.write(tmp_path / "run.json")
    kept = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(kept | {"run_id": "0" * 32}))
    with reopen(params, tmp_path / "run.json") as reopened:
        reopened.metrics({"clean/uar": 0.6})
    [model] = latest_models(params)
    assert (model["name"], model["model"], model["run_id"]) == ("cnn", "cnn", reopened.id)
