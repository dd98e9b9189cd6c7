"""A tracking server that goes away and comes back: work goes on, nothing is lost, nothing is there twice."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from wire import Wire

from ser_ops.config.params import Params
from ser_ops.errors import UserError
from ser_ops.tracking.outbox import Journal
from ser_ops.tracking.runs import Clock, open_run, reopen

OUTAGE = 3.0


@pytest.fixture
def wire(server: str) -> Iterator[Wire]:
    wire = Wire(int(server.rpartition(":")[2]))
    yield wire
    wire.cut()


@pytest.fixture
def far(params: Params, wire: Wire) -> Params:
    """As `params`, with the wire between client and server, and little patience."""
    return params.model_copy(update={"tracking": params.tracking.model_copy(
        update={"uri": f"http://127.0.0.1:{wire.port}", "timeout": 3.0, "outage": OUTAGE})})


def kept(params: Params, run_id: str) -> Path:
    return params.paths.state / "tracking" / f"{run_id}.jsonl"


def history(params: Params, run_id: str, name: str) -> list[tuple[int, float]]:
    history = mlflow.MlflowClient(params.tracking.uri).get_metric_history(run_id, name)
    return [(metric.step, metric.value) for metric in history]


def of(params: Params, run_id: str) -> mlflow.entities.Run:
    return mlflow.MlflowClient(params.tracking.uri).get_run(run_id)


def test_work_goes_on_and_nothing_is_missing(params, far, wire, capfd):
    Path("manifest.csv").write_text("utterance,emotion\na,sad\n")
    Path("curves.png").write_text("as it was")
    Path("figures").mkdir()
    Path("figures/one.png").write_text("one")
    with open_run(far, "train", {"stage": "train"}) as run:
        run.metrics({"uar": 0.1}, step=1)
        wire.cut()
        began = time.monotonic()
        run.params({"train": {"seed": 40}})
        run.dataset(Path("manifest.csv"), "manifest")
        for epoch in range(2, 30):
            run.metrics({"uar": epoch / 10, "loss": float("nan")}, step=epoch)
        run.tags({"trial": "complete"})
        run.artifact(Path("curves.png"), "figures")
        run.artifact(Path("figures"), "figures")
        assert time.monotonic() - began < 5
        Path("curves.png").write_text("changed since")
        assert kept(far, run.id).exists() and "uar" in of(params, run.id).data.metrics
        wire.mend()
    logged = of(params, run.id)
    assert logged.info.status == "FINISHED" and logged.data.params == {"train.seed": "40"}
    assert history(params, run.id, "uar") == [(epoch, epoch / 10) for epoch in range(1, 30)]
    assert logged.data.tags["trial"] == "complete" and logged.inputs.dataset_inputs[0].dataset.name == "manifest"
    downloaded = mlflow.artifacts.download_artifacts(run_id=run.id, artifact_path="figures",
                                                tracking_uri=params.tracking.uri, dst_path="down")
    assert {file.name for file in Path(downloaded).iterdir()} == {"curves.png", "one.png"}
    assert (Path(downloaded) / "curves.png").read_text() == "as it was"
    assert not kept(far, run.id).exists() and not kept(far, run.id).with_suffix("").exists()
    said = capfd.readouterr().err
    assert "work goes on" in said and "is back" in said and said.count("\n") <= 4


def test_a_server_that_stays_away_is_one_line_and_the_same_command_goes_on(params, far, wire):
    with pytest.raises(UserError, match=r"what is to be recorded is kept in .*\.jsonl") as raised:  # noqa: SIM117
        with open_run(far, "train", {}) as run:
            run.write(Path("run.json"))
            wire.cut()
            run.metrics({"uar": 0.1}, step=1)
            began = time.monotonic()
    assert OUTAGE <= time.monotonic() - began < OUTAGE + 5 and "\n" not in str(raised.value)
    journal = kept(far, run.id)
    shutil.copyfile(journal, "twice.jsonl")
    wire.mend()
    with open_run(far, "train", {}, resume=run.id) as again:
        assert history(params, run.id, "uar") == [(1, 0.1)] and not journal.exists()
        again.metrics({"uar": 0.1}, step=1)  # its checkpoint was not written yet
        again.metrics({"uar": 0.2}, step=2)
    shutil.copyfile("twice.jsonl", journal)  # killed before it could forget what it had sent
    with reopen(far, Path("run.json")):
        pass
    assert again.id == run.id and history(params, run.id, "uar") == [(1, 0.1), (2, 0.2)]
    assert of(params, run.id).info.status == "FINISHED"


@pytest.mark.slow
def test_a_server_that_swallows_everything_costs_a_tenth(far, wire):
    with pytest.raises(UserError), open_run(far, "train", {}) as run:
        wire.swallow()
        began = time.monotonic()
        for step in range(50):
            run.metrics({"uar": 0.1}, step)
            time.sleep(0.1)
        assert time.monotonic() - began < 50 * 0.1 + 3 * far.tracking.timeout


def test_a_child_is_opened_once_the_server_is_back(params, far, wire, capfd):
    with open_run(far, "tuning", {}) as parent:
        wire.cut()
        threading.Timer(1.0, wire.mend).start()
        with open_run(far, "trial 0", {}, parent=parent.id) as child:
            child.metrics({"uar": 0.1}, step=1)
    assert of(params, child.id).data.tags["mlflow.parentRunId"] == parent.id
    assert "waiting for up to" in capfd.readouterr().err


def test_what_the_server_refuses_is_one_line_at_once(far):
    with pytest.raises(UserError, match=r"the tracking server refused .*: mend what it says"), \
            open_run(far, "train", {}) as run:
        run.tags({"a name\nthat is none": "x"})
    assert not kept(far, run.id).exists()


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"tags": {"a": "1"}})
    with journal.path.open("a") as file:
        file.write('{"tags": {"b"')
    again = Journal(journal.path)
    again.append({"tags": {"c": "3"}})
    assert [*Journal(journal.path).entries] == [{"tags": {"a": "1"}}, {"tags": {"c": "3"}}]
    journal.path.write_text("no json\n")
    with pytest.raises(UserError, match=r"is not JSON .*: remove it"):
        Journal(journal.path)


EVALUATED_LATER = """
import sys, time
from pathlib import Path
if sys.argv[2] == "back":
    real = time.time
    time.time = lambda: real() - 3 * 86400
from ser_ops.config.params import load_params
from ser_ops.tracking.runs import reopen
params = load_params(Path(sys.argv[1]))
with reopen(params, Path("run.json")) as run:
    run.metrics({"clean/uar": float(sys.argv[3])})
"""


@pytest.mark.slow
def test_a_clock_that_jumps_back_leaves_the_figure_that_came_last(params):
    """MLflow itself takes the one of the latest moment."""
    source = Path(__file__).resolve().parents[2] / "params.yaml"
    with open_run(params, "train", {}) as run:
        run.write(Path("run.json"))
    for clock, figure in (("right", 0.5), ("back", 0.6), ("back", 0.55)):
        subprocess.run([sys.executable, "-c", EVALUATED_LATER, str(source), clock, str(figure)], check=True,
                       env=os.environ | {"MLFLOW_TRACKING_URI": params.tracking.uri})
        assert of(params, run.id).data.metrics["clean/uar"] == figure
    moments = [metric.timestamp for metric in mlflow.MlflowClient(params.tracking.uri).get_metric_history(
        run.id, "clean/uar")]
    assert moments == sorted(moments)


def test_a_run_s_clock_never_goes_back(monkeypatch):
    clock = Clock(after=int(time.time() * 1000) + 10**6)
    first = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert first > time.time() * 1000 + 10**6 and clock.now() >= first


def test_nothing_kept_holds_a_password(far, wire, monkeypatch):
    """Neither what is kept nor what is said."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted-password")
    with pytest.raises(UserError) as raised, open_run(far, "train", {}) as run:
        run.write(Path("run.json"))
        wire.cut()
        run.metrics({"uar": 0.1}, step=1)
        run.tags({"a": "b"})
    written = [Path("run.json").read_text(), kept(far, run.id).read_text(), str(raised.value)]
    assert all(json.loads(line) for line in written[1].splitlines())
    assert not any(re.search("planted", text) for text in written)
