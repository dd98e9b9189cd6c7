"""ser-ops register, promote, demote, compare, ui and join-tuning: the registry, the runs and the search."""

import os
import sys
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from ser_ops.cli.answers import Json, is_loopback, print_answer
from ser_ops.config.params import load_params

AliasName = Literal["staging", "production"]
ToAlias = Annotated[AliasName, typer.Option("--to")]


def register(json: Json = False) -> None:
    """Register the trained model with its reports as the candidate."""
    from ser_ops.gate import promotion

    params = load_params()
    version = promotion.register_candidate(params)
    name = params.tracking.registered_model
    print_answer({"model": name, "version": version, "alias": "candidate"}, json,
                 f"{name} version {version} is the candidate")


def promote(version: Annotated[str | None, typer.Argument(help="Version. Default: the candidate, or for production the "
                                                          "one that is staging.")] = None,
            to: ToAlias = "staging",
            override: Annotated[str | None, typer.Option(help="Written reason to promote a blocked model; recorded.")]
            = None, json: Json = False) -> None:
    """Move the alias to a model whose every rule passes."""
    from ser_ops.gate import promotion

    done = promotion.promote(load_params(), version, to, override)
    words = f"{done.name} version {done.version} is {to}"
    words += f", before it version {done.before}" if done.before else ""
    words += f"; overridden because: {done.override_reason}" if done.override_reason else "; every rule passed"
    print_answer(asdict(done), json, words)


def demote(alias: Annotated[AliasName, typer.Argument()] = "staging", json: Json = False) -> None:
    """Go back to the version that held the alias before."""
    from ser_ops.gate import promotion

    done = promotion.demote(load_params(), alias)
    now = f"version {done.now} is {alias} again" if done.now else f"nothing stands as {alias} now"
    print_answer(asdict(done), json, f"{done.name} version {done.version} is no longer {alias}: {now}")


def compare(json: Json = False) -> None:
    """The newest run of each model side by side, and where MLflow's own page compares them."""
    from ser_ops.tracking.compare import METRICS, charts_link, compare_link, conditions, latest_models

    params = load_params()
    models = latest_models(params)
    ids = [model["run_id"] for model in models]
    link, charts = (compare_link(params, ids), charts_link(params, ids)) if ids else (None, None)
    shared = ", ".join(f"{name} {value}" for name, value in conditions(params).items())
    rows = [["model", "stage", "backbone", *METRICS, "run"], *(
        [model["model"], model["stage"], model["backbone"],
         *("-" if model[name] is None else f"{model[name]:.3f}" for name in METRICS), model["run_id"]]
        for model in models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    words = [shared, *lines, "MLflow's page, which ser-ops ui serves where there is no server:",
             f"side by side: {link}", f"as charts: {charts}"]
    print_answer({"models": models, "link": link, "charts": charts}, json,
                 *(words if models else [f"no model was trained yet with {shared}: run dvc repro"]))


def ui(host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
       port: Annotated[int, typer.Option()] = 5000) -> None:
    """The MLflow page of this project; says where it has the runs, all models side by side and the registered model."""
    from ser_ops.tracking.compare import page_address, page_links
    from ser_ops.tracking.server import tracking_uri

    params = load_params()
    uri, address = tracking_uri(params), f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    for what, link in page_links(params, address).items():
        print(f"{what}: {link}", flush=True)
    if page := page_address(uri):
        print(f"the tracking server has the page: {page}")
        return
    if not is_loopback(host):
        print(f"{host}: there is no login: anyone who reaches port {port} of this machine may read, change and delete "
              "every run and model: leave --host out, or see docs/tutorials/run-the-team.md for a server with accounts",
              file=sys.stderr, flush=True)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # else eight processes that nothing here needs
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", host,
                              "--port", str(port)])


def join_tuning(json: Json = False) -> None:
    """Run trials of the search that stage tune began on another machine (OPTUNA_STORAGE), until it is done."""
    from ser_ops.stages.join_tuning import join_search

    done = join_search()
    print_answer(done, json, f"the search is done: {done['trials']} trials, {done['here']} of them on this machine; "
                 f"the best, {done['best']}, reached validation UAR {done['validation_uar']}")
