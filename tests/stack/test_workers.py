"""A run asked for on one machine, done on others: cancelled, killed with its machine, asked for again, fetched back.

The author's machine writes, commits, deploys and asks. Two machines with a clone, an empty home and the credentials
have a worker each, with one GPU number each. One story, in order; each test looks at one side of it.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from filelock import FileLock
from machines import Machine, author, clone, commit, kill
from prefect_server import ENDED, Server, wait
from project_copy import at_moment

from ser_ops.files import sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

QUICK: dict[str, Any] = {
    "compute": {"workers": 1},      # each further process imports torch: seconds, for the work of a moment
    "data": {"corpora": ["synthetic_savee"]},
    "augment": {"variants": ["original", "noisy"]},
    "presets": {"demo": {"spectral": {"channels": [8, 8, 16, 16]}}},
    "train": {"epochs": 3, "patience": 3}, "tune": {"trials": 0},
    "ablations": {"models": ["spectral"], "shuffled": 1, "shuffled_epochs": 1},
    "evaluate": {"seeds": [1], "resamples": 100, "speed_utterances": 8, "stationary": ["white"], "intensities": [0.5]},
    "explain": {"per_class": 1, "background": 8, "shap_samples": 10, "top": 3, "figures_per_class": 0,
                "conditions": {"stationary": ["white"], "intensities": [0.5], "per_class": 1, "shap_samples": 10,
                               "resamples": 100},
                "faithfulness": {"steps": 2, "random_draws": 1, "resamples": 100, "seed_clips": 1,
                                 "randomised_clips": 1},
                "planted": {"train_clips": 16, "clips": 4, "max_steps": 20}},
}


@dataclass
class Team:
    """The author's machine, two others, and the server between them."""

    server: Server
    author: Machine
    first: Machine
    second: Machine
    runs: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def team(stack, tmp_path_factory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    origin, given = folder / "origin.git", stack.environment
    machine = author(folder / "author", given, **QUICK)
    silent = machine.clone / "pipelines/automations.yaml"
    settings = yaml.safe_load(silent.read_text())
    for one in settings:
        one["trigger"]["within"] = min(one["trigger"]["within"], 60)
    silent.write_text(yaml.safe_dump(settings))
    machine.run("dvc", "remote", "add", "-q", "-d", "shared", "s3://dvc/team")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    machine.run("git", "remote", "add", "origin", str(origin))
    commit(machine, "what the team runs")
    machine.run("dvc", "push", "-q", "data.dvc")
    machine.run("python", "-m", "pipelines.deploy")
    machines = [clone(origin, folder / name, given) for name in ("first", "second")]
    user, password = given["PREFECT_API_AUTH_STRING"].split(":", 1)
    # On a busy machine the server gives up a kept connection just when a question is sent by it.
    anew = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=given["PREFECT_API_URL"], auth=(user, password), timeout=30, limits=anew) as client:
        yield Team(Server(client), machine, *machines)


def checkpoints(machine: Machine, stage: str) -> list[Path]:
    return sorted((machine.clone / "state" / stage).glob("*/**/epoch-*[0-9]"))


def held(machine: Machine, stage: str) -> dict[str, str]:
    """Variables with which a training of a stage stands still between its first checkpoint and its second."""
    return at_moment(machine.environment, "HELD_BEFORE", f"state/{stage}/*/epoch-0002")


def met(team: Team, run: str, stage: str) -> None:
    """Wait until a training of a stage stands still, its second checkpoint written and not yet in its place."""
    def second() -> list[Path]:
        return list((team.first.clone / "state" / stage).glob("*/**/.epoch-0002.part/state.json"))

    wait(lambda: second() or team.server.run(run)["state_type"] in ENDED, "a training that stands still", 900)
    assert second(), team.first.log[-3000:]


@pytest.fixture(scope="module")
def cancelled(team) -> Team:
    """A run that was cancelled in the middle of training, by a worker that then has nothing to do."""
    with team.first.worker("gpu-pool", CUDA_VISIBLE_DEVICES="0", **held(team.first, "train")):
        run = team.runs["cancelled"] = team.server.ask("train-fusion/gpu")
        met(team, run, "train")
        team.server.cancel(run)
        team.server.end(run, 120)
        wait(lambda: not team.first.at_work(), "the end of its processes", 30)
    return team


def test_a_cancelled_run_leaves_a_checkpoint_and_neither_process_nor_lock(cancelled):
    states = cancelled.server.states(cancelled.runs["cancelled"])
    assert states[-2:] == ["Cancelling", "Cancelled"], cancelled.first.log[-3000:]
    assert checkpoints(cancelled.first, "train")
    with FileLock(cancelled.first.clone / "state/workspace.lock", timeout=0):
        cancelled.first.run("dvc", "checkout", "-q", "data.dvc")   # DVC's own lock is free too
    assert not (cancelled.first.clone / "work/models/fusion").exists()


@pytest.fixture(scope="module")
def killed(cancelled) -> Team:
    """The next run, whose machine loses power in the middle of another training and comes back at once."""
    team = cancelled
    lost = team.runs["lost"] = team.server.ask("validate-data/local")   # no worker of this story serves that pool
    team.server.turn(lost, "RUNNING")
    team.server.cancel(lost)
    run = team.runs["killed"] = team.server.ask("train-fusion/gpu")
    with team.first.worker("gpu-pool", CUDA_VISIBLE_DEVICES="0", **held(team.first, "ablate")) as worker:
        met(team, run, "ablate")
        kill(worker)
    assert not team.first.at_work()
    with team.first.worker("gpu-pool", CUDA_VISIBLE_DEVICES="0"):
        wait(lambda: "AwaitingRetry" in team.server.states(run), "the server's notice", 300)
        team.server.end(run)
    return team


def test_the_next_run_goes_on_from_the_checkpoint_of_the_cancelled_one(killed):
    said = killed.server.lines(killed.runs["killed"])
    assert any("fusion: goes on after epoch" in line for line in said), "\n".join(said)
    assert "Stage 'ingest' didn't change, skipping" in said


def test_a_run_whose_machine_died_is_noticed_and_asked_for_again(killed):
    run = killed.server.run(killed.runs["killed"])
    states = killed.server.states(run["id"])
    assert run["state_type"] == "COMPLETED" and run["run_count"] == 2, killed.first.log[-3000:]
    order = [states.index(name) for name in ("Running", "Crashed", "AwaitingRetry")]
    assert order == sorted(order) and states[-1] == "Completed", states


def test_the_second_attempt_goes_on_where_the_first_was(killed):
    said = killed.server.lines(killed.runs["killed"])
    began = [line.split("'")[1] for line in said if line.startswith("Running stage")]
    assert began.count("train") == 1 and began.count("ablate") == 2, began
    second = said[len(said) - said[::-1].index("Running stage 'ablate':"):]
    assert any("goes on after epoch" in line for line in second), "\n".join(second)


def test_the_first_machine_fetches_what_another_has_trained(killed):
    """Pull, no training: outputs and run cache come from the bucket, byte for byte."""
    done = killed.author.run("dvc", "repro", "--pull")
    assert "Running stage" not in done.stdout, done.stdout
    for name in ("reports/gate.json", "reports/index.html", "work/models/fusion/weights.safetensors",
                 "work/models/fusion/run.json"):
        assert sha256(killed.author.clone / name) == sha256(killed.first.clone / name)


def test_the_run_stands_in_the_shared_registry(killed):
    found = killed.author.run("python", "-c", "from mlflow import MlflowClient; c = MlflowClient(); "
                              "v = c.get_model_version_by_alias('ser-fusion', 'candidate'); "
                              "print(c.get_run(v.run_id).info.status)").stdout
    assert found.strip() == "FINISHED"


def test_a_cancelled_run_whose_machine_died_does_not_stay_so(killed):
    assert killed.server.end(killed.runs["lost"], 90)["state_type"] == "CANCELLED"
    assert killed.server.states(killed.runs["lost"])[-2:] == ["Cancelling", "Cancelled"]


@pytest.fixture(scope="module")
def queued(killed) -> SimpleNamespace:
    """Four runs for two workers, the last one cancelled by hand while it waits."""
    team = killed
    with (team.first.worker("gpu-pool", CUDA_VISIBLE_DEVICES="0"),
          team.second.worker("gpu-pool", CUDA_VISIBLE_DEVICES="1")):
        runs = [team.server.ask("train-ablations/gpu") for _ in range(4)]
        waiting = runs.pop()
        said = team.author.run("prefect", "flow-run", "cancel", waiting, check=False)
        ended = [team.server.end(run) for run in runs]
        given_up = team.server.end(waiting)
    return SimpleNamespace(ended=ended, given_up=given_up, said=said, team=team)


def test_a_run_that_waits_is_cancelled_by_hand(queued):
    assert queued.said.returncode == 0, queued.said.stdout + queued.said.stderr
    assert queued.given_up["state_type"] == "CANCELLED" and queued.given_up["run_count"] == 0


def test_no_two_runs_share_a_gpu(queued):
    """Each says which GPU it saw; on one GPU they follow each other, and the third waited for one to be free."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for run in queued.ended:
        assert run["state_type"] == "COMPLETED", queued.team.second.log[-3000:]
        said = queued.team.server.lines(run["id"])
        gpu = next(line.rsplit("=", 1)[1] for line in said if "CUDA_VISIBLE_DEVICES" in line)
        spans.setdefault(gpu, []).append((datetime.fromisoformat(run["start_time"]),
                                          datetime.fromisoformat(run["end_time"])))
    assert set(spans) == {"0", "1"}
    for one in spans.values():
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(one))), spans


def test_another_machine_of_the_pool_trains_nothing_twice(queued):
    assert "Running stage" not in queued.team.second.log
    name = "work/ablations/spectral/weights.safetensors"
    assert sha256(queued.team.second.clone / name) == sha256(queued.team.first.clone / name)
