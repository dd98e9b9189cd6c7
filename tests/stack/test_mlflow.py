"""The team's own MLflow, with passwords, PostgreSQL and S3, from a machine that knows MLflow's password alone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import mlflow
import numpy as np
import pytest
import soundfile
import yaml
from project_copy import write_settings
from warm_programs import warm_programs

from infra.stack import Stack
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.gate.promotion import promote
from ser_ops.tracking.registry import register
from ser_ops.tracking.runs import open_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PROJECT = Path(__file__).resolve().parents[2]
sys.path += [str(PROJECT / "tests" / one) for one in ("tracking", "training")]
from test_training_stages import project  # noqa: E402
from tracking_project import Project  # noqa: E402

EPOCHS = 25
_OURS = ("MLFLOW_", "PREFECT_", "DVC_", "AWS_", "PG", "OPTUNA_", "DASK_")


def alone(stack: Stack) -> dict[str, str]:
    """The environment of a machine that has MLflow's name and password, and nothing else of the team's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | {name: value for name, value in stack.environment.items() if name.startswith("MLFLOW_")} | {
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}


@pytest.fixture
def here(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Params]:
    """This process as such a machine, in tmp_path, with an experiment and a registered model of its own."""
    for name in [one for one in os.environ if one.startswith(_OURS)]:
        monkeypatch.delenv(name)
    for name, value in alone(stack).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values["tracking"].update(experiment=tmp_path.name, registered_model=tmp_path.name, lease=4, outage=90)
    write_settings(Path(), values)
    yield load_params()


def objects(stack: Stack) -> set[str]:
    """Names in the bucket of MLflow, asked for with the store's own credentials."""
    there = stack.environment
    client = boto3.client("s3", endpoint_url=there["AWS_ENDPOINT_URL"], aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="mlflow")
    return {one["Key"] for page in pages for one in page.get("Contents", [])}


def test_training_outlives_the_server(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project(tmp_path / "ser-ops")
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["train"].update(epochs=EPOCHS, patience=EPOCHS)
    values["tracking"].update(experiment=tmp_path.name, outage=240)
    write_settings(folder, values)
    (folder / "work" / "tuning").mkdir()
    (folder / "work" / "tuning" / "best.json").write_text('{"values": {}}')
    with (tmp_path / "said").open("w") as said:
        training = subprocess.Popen([warm_programs() / "python", "-m", "ser_ops.stages.train"], cwd=folder,
                                    env=alone(stack), stdout=said, stderr=subprocess.STDOUT, text=True)
    try:
        _wait(training, lambda: list(folder.glob("state/train/*/checkpoint")))
        stack.kill("mlflow")
        # All is done and kept, the end of the run too: the training waits for the server alone.
        _wait(training, lambda: any('"status"' in kept.read_text() for kept in folder.glob("state/tracking/*.jsonl")))
        stack.start("mlflow")
        assert training.wait(200) == 0, (tmp_path / "said").read_text()
    finally:
        training.kill()
        stack.start("mlflow")
    for name, value in alone(stack).items():
        monkeypatch.setenv(name, value)
    client = mlflow.MlflowClient(stack.environment["MLFLOW_TRACKING_URI"])
    run_id = read_json(next(folder.glob("work/models/*/run.json")))["run_id"]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.data.params["train.epochs"] == str(EPOCHS)
    for name in ("train/loss", "validation/uar"):
        assert [one.step for one in client.get_metric_history(run_id, name)] == list(range(1, EPOCHS + 1))
    assert run.data.metrics["best/epoch"] >= 1
    assert run.inputs and run.inputs.dataset_inputs[0].dataset.name == "made"
    assert {"figures", "history.csv"} <= {one.path for one in client.list_artifacts(run_id)}
    assert any(name.endswith(f"{run_id}/artifacts/history.csv") for name in objects(stack))
    assert not list(folder.glob("state/tracking/*"))
    words = (tmp_path / "said").read_text()
    assert "work goes on" in words and "is back" in words and "Traceback" not in words


def _wait(process: "subprocess.Popen[str]", seen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("service", ["postgres", "s3"])
def test_what_stands_behind_the_server_goes_away_and_comes_back(stack: Stack, here: Params,
                                                                service: str) -> None:
    Path("figure").write_text("one")
    with open_run(here, "train", {}) as run:
        run.metrics({"uar": 0.1}, step=1)
        stack.kill(service)
        try:
            run.metrics({"uar": 0.2}, step=2)
            run.artifact(Path("figure"))
            assert (here.paths.state / "tracking" / f"{run.id}.jsonl").exists()
        finally:
            stack.start(service)
        run.metrics({"uar": 0.3}, step=3)
    client = mlflow.MlflowClient()
    assert [one.value for one in client.get_metric_history(run.id, "uar")] == [0.1, 0.2, 0.3]
    assert [one.path for one in client.list_artifacts(run.id)] == ["figure"]


def test_a_model_from_training_to_answers_without_the_store_s_credentials(stack: Stack, here: Params) -> None:
    made = Project(here)
    assert register(here, made.folder, made.reports) == "1"
    assert any("weights.safetensors" in name for name in objects(stack))
    assert promote(here).verdict == "passed"
    soundfile.write("speech.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    done = subprocess.run([warm_programs() / "python", "-m", "ser_ops.cli", "predict", "speech.wav", "--model",
                           f"models:/{here.tracking.registered_model}@staging", "--json"], env=alone(stack),
                          capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0 and '"probabilities"' in done.stdout, done.stderr


@pytest.mark.parametrize(("name", "password"), [("admin", "planted-password"), ("nobody", "planted-password"),
                                                ("", "")])
def test_who_is_not_let_in_is_told_what_to_set(here: Params, monkeypatch: pytest.MonkeyPatch, name: str,
                                               password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") as raised, \
            open_run(here, "train", {}):
        pass
    assert "planted" not in str(raised.value) and "\n" not in str(raised.value)


def test_who_may_not_is_told_whom_to_ask(stack: Stack, here: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another account of the team, without a permission for this model."""
    from mlflow.server.auth.client import AuthServiceClient
    name = f"guest{time.monotonic_ns()}"
    AuthServiceClient(stack.environment["MLFLOW_TRACKING_URI"]).create_user(name, "planted-password")
    with open_run(here, "train", {}) as run:
        pass
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted-password")
    with pytest.raises(UserError, match=r"refused .*: ask its administrator for the permission") as raised, \
            open_run(here, "train", {}, resume=run.id):
        pass
    assert "planted" not in str(raised.value)


@pytest.fixture(scope="module")
def account(stack: Stack) -> dict[str, str]:
    """The name and password that workers log in with, made as the stack makes them, and made again."""
    accounts = stack.services["accounts"]
    for _ in range(2):
        done = subprocess.run([warm_programs() / "python", *accounts.command[1:]], cwd=PROJECT, text=True, check=False,
                              capture_output=True, env=alone(stack) | accounts.environment, timeout=120)
        assert done.returncode == 0 and not done.stdout, done.stderr
    mine = stack.services["worker-cpu"].environment
    assert mine["MLFLOW_TRACKING_USERNAME"] != stack.environment["MLFLOW_TRACKING_USERNAME"]
    assert mine["MLFLOW_TRACKING_PASSWORD"] != stack.environment["MLFLOW_TRACKING_PASSWORD"]
    return {name: mine[name] for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")}


@pytest.fixture
def worker(here: Params, account: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Params:
    """As `here`, with the account of workers."""
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    return here


def test_a_worker_trains_registers_and_promotes_with_its_own_account(stack: Stack, worker: Params,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an administrator made experiment and model before, too."""
    own = {name: os.environ[name] for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")}
    for name in own:
        monkeypatch.setenv(name, stack.environment[name])
    admin = mlflow.MlflowClient()
    admin.create_experiment(worker.tracking.experiment)
    admin.create_registered_model(worker.tracking.registered_model)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    made = Project(worker)
    assert register(worker, made.folder, made.reports) == "1"
    assert promote(worker).verdict == "passed"
    with open_run(worker, "train", {}) as run:
        run.metrics({"uar": 0.5}, step=1)
        run.artifact(made.reports / "gate.json")
    assert mlflow.MlflowClient().get_run(run.id).info.status == "FINISHED"


def test_a_worker_changes_no_account_and_deletes_nothing_of_others(stack: Stack, worker: Params,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.server.auth.client import AuthServiceClient
    name = os.environ["MLFLOW_TRACKING_USERNAME"]
    accounts, client = AuthServiceClient(stack.environment["MLFLOW_TRACKING_URI"]), mlflow.MlflowClient()
    mine = accounts.list_user_roles(name)
    with monkeypatch.context() as patch:
        for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            patch.setenv(variable, stack.environment[variable])
        foreign = mlflow.MlflowClient().create_experiment(f"{worker.tracking.experiment} of another")
        role = next(one.id for one in accounts.list_roles("default") if one.name == "workers")
    assert role in [one.id for one in mine]
    forbidden = (lambda: accounts.create_user("intruder", "planted-password"),
                 lambda: accounts.update_user_admin(name, True),
                 lambda: accounts.update_user_password("admin", "planted-password"),
                 lambda: accounts.delete_user("admin"),
                 lambda: accounts.add_role_permission(role, "experiment", "*", "MANAGE"),
                 lambda: accounts.grant_user_permission(name, "experiment", foreign, "MANAGE"),
                 lambda: client.delete_experiment(foreign))
    for act in forbidden:
        with pytest.raises(MlflowException, match=r"403|[Pp]ermission denied"):
            act()
    client.set_experiment_tag(foreign, "seen", "yes")
