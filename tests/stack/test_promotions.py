"""Two machines promote at once, against one MLflow on PostgreSQL; they share no file."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
import yaml
from project_copy import write_settings
from warm_programs import send_signal, warm_programs

from infra.stack import Stack
from ser_ops.config.params import Params, load_params
from ser_ops.gate.promotion import demote
from ser_ops.tracking.registry import held_lease, versions
from ser_ops.tracking.runs import open_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tests" / "tracking"))
from tracking_project import Project  # noqa: E402

LEASE = 4.0
DAY = 86400.0
Machine = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def settings(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A registered model of two versions whose gate passed."""
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values["tracking"].update(experiment=tmp_path.name, registered_model=tmp_path.name, lease=LEASE)
    write_settings(Path(), values)
    params = load_params()
    made = Project(params)
    with open_run(params, "train", {}) as run:
        run.artifact(made.reports, "reports")
    client = mlflow.MlflowClient()
    client.create_registered_model(tmp_path.name)
    for _ in range(2):
        client.create_model_version(tmp_path.name, f"runs:/{run.id}/reports", run.id, tags={"model": made.model})
    return params


@pytest.fixture
def machine(settings: Params, tmp_path: Path) -> Iterator[Machine]:
    """Start a machine that promotes a version."""
    started: list[subprocess.Popen[str]] = []

    def start(version: str, seconds: float = 0.0, ahead: float = 0.0) -> "subprocess.Popen[str]":
        folder = tmp_path / f"machine-{len(started)}"
        folder.mkdir()
        shutil.copy(tmp_path / "params.yaml", folder)
        shutil.copytree(tmp_path / "presets", folder / "presets")
        script = Path(__file__).with_name("promoting_machine.py")
        started.append(subprocess.Popen(
            [warm_programs() / "python", script, version, str(seconds), str(ahead)], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(PROJECT)}))
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            one.kill()
        one.wait()


def staging(params: Params) -> str:
    return str(mlflow.MlflowClient().get_model_version_by_alias(params.tracking.registered_model, "staging").version)


def leases(params: Params) -> list[str]:
    return [one.name for one in mlflow.MlflowClient().search_experiments()
            if one.name.startswith(f"{params.tracking.registered_model} registry")]


def test_two_at_once_come_one_after_the_other_whatever_their_clocks_say(settings: Params,
                                                                        machine: Machine) -> None:
    both = {"1": machine("1", 2 * LEASE), "2": machine("2", 2 * LEASE, ahead=DAY)}
    said = {}
    for version, one in both.items():
        out, wrong = one.communicate(timeout=120)
        assert one.returncode == 0, wrong
        said[version] = out.split()
    now = staging(settings)
    first = {"1": "2", "2": "1"}[now]
    assert said == {first: ["judging", "None"], now: ["judging", first]}
    assert [one["version"] for one in versions(settings) if "staging" in one["aliases"]] == [now]
    assert leases(settings) == []
    assert demote(settings).now == first


def test_a_holder_that_is_killed_is_followed_by_the_next(settings: Params, machine: Machine) -> None:
    dead = machine("1", 600)
    assert dead.stdout is not None and dead.stdout.readline() == "judging\n"
    send_signal(dead, signal.SIGKILL)
    killed = time.monotonic()
    out, wrong = machine("2", ahead=-DAY).communicate(timeout=120)
    assert out.split() == ["judging", "None"], wrong
    assert "waiting for it" in wrong and time.monotonic() - killed >= LEASE * 0.9
    assert staging(settings) == "2" and leases(settings) == []


def test_a_holder_that_wakes_too_late_changes_nothing(settings: Params, machine: Machine) -> None:
    asleep = machine("1", 3)
    assert asleep.stdout is not None and asleep.stdout.readline() == "judging\n"
    send_signal(asleep, signal.SIGSTOP)
    out, wrong = machine("2").communicate(timeout=120)
    assert out.split() == ["judging", "None"], wrong
    send_signal(asleep, signal.SIGCONT)
    _, wrong = asleep.communicate(timeout=60)
    assert asleep.returncode == 1 and "taken over by another process" in wrong and wrong.count("\n") == 1
    assert staging(settings) == "2"
    assert "verdict" not in mlflow.MlflowClient().get_model_version(settings.tracking.registered_model, "1").tags


def test_a_lease_that_somebody_deleted_by_hand_blocks_nobody(settings: Params) -> None:
    client = mlflow.MlflowClient()
    number = client.create_experiment("a lease", tags={"holder": "gone", "count": "3"})
    client.delete_experiment(number)
    began = time.monotonic()
    with held_lease(client, "a lease", 1.0) as lease:
        lease.check()
        assert 1.0 <= time.monotonic() - began < 30
    assert "a lease" not in [one.name for one in client.search_experiments()]


def test_many_at_once_are_one_at_a_time(settings: Params) -> None:
    inside, most, done = 0, 0, []

    def take(number: int) -> None:
        nonlocal inside, most
        for _ in range(3):
            with held_lease(mlflow.MlflowClient(), "a lease for many", LEASE):
                inside += 1
                most = max(most, inside)
                time.sleep(0.05)
                inside -= 1
            done.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)
    assert most == 1 and len(done) == 12
