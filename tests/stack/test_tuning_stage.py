"""Stage tune on one machine, `ser-ops join-tuning` on others, with the team's own PostgreSQL and MLflow."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import yaml
from warm_programs import warm_programs

from infra.stack import Stack
from ser_ops.documents import read_json
from ser_ops.files import sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "training"))
from test_training_stages import project  # noqa: E402

TUNE, JOIN = ("ser_ops.stages.tune",), ("ser_ops.cli", "join-tuning", "--json")
OWN = ("PG", "OPTUNA", "MLFLOW", "AWS", "PREFECT")


def _start(folder: Path, environment: dict[str, str], *command: str) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return subprocess.Popen([warm_programs() / "python", "-m", *command], cwd=folder, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=kept | environment | {
                                "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), "MLFLOW_DISABLE_TELEMETRY": "true"})


def _ended(process: "subprocess.Popen[str]") -> str:
    said, wrong = process.communicate(timeout=150)
    assert process.returncode == 0, wrong
    return said


def _machine(folder: Path) -> Path:
    settings = project(folder) / "params.yaml"
    values = yaml.safe_load(settings.read_text())
    values["tune"].update(trials=4)
    values["tune"]["trial"].update(epochs=4, patience=4)
    values["compute"].update(heartbeat_seconds=0.2, lost_seconds=4)
    values["tracking"].update(experiment=folder.parent.name)
    settings.write_text(yaml.safe_dump(values))
    return folder


def test_a_search_of_three_machines_is_the_search_of_one(stack: Stack, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    alone, here, joined, late = (_machine(tmp_path / name) for name in ("alone", "here", "joined", "late"))
    team = stack.environment
    waiting = _start(joined, team, *JOIN)
    stage = _start(here, team, *TUNE)
    began = time.monotonic()
    while not list(joined.glob("state/tune/*/trial-*/checkpoint/epoch-*[0-9]")) and time.monotonic() - began < 150:
        time.sleep(0.01)
    waiting.send_signal(signal.SIGKILL)
    assert "waiting on postgresql:///optuna for stage tune" in waiting.communicate()[1]
    third = _start(late, team, *JOIN)
    _ended(stage)
    answer = json.loads(_ended(third))
    _ended(_start(alone, {}, *TUNE))

    best, expected = (read_json(one / "work/tuning/best.json") for one in (here, alone))
    assert best | {"run_id": None} == expected | {"run_id": None}
    assert sha256(here / "work/tuning/trials.csv") == sha256(alone / "work/tuning/trials.csv")
    assert (answer["trials"], answer["best"], answer["validation_uar"]) == (4, best["trial"], best["validation_uar"])
    assert not list(here.glob("state/tune/*")) and not list(late.glob("state/tune/*"))
    assert not (late / "work" / "tuning").exists(), "the stage's machine alone writes the result"
    for name, value in team.items():
        monkeypatch.setenv(name, value)
    _check_record(tmp_path.name, best)


def _check_record(experiment: str, best: dict) -> None:
    """One run of the search and one of each trial, all finished, with every epoch, whoever trained it."""
    client = mlflow.MlflowClient()
    runs, ids, names = {}, {}, []
    for run in client.search_runs([client.get_experiment_by_name(experiment).experiment_id]):
        steps = sorted({one.step for one in client.get_metric_history(run.info.run_id, "validation/uar")})
        names.append(run.info.run_name)
        ids[run.info.run_name] = run.info.run_id
        runs[run.info.run_name] = (run.info.status, run.data.tags.get("mlflow.parentRunId"),
                                   run.data.tags.get("trial"), steps)
    assert sorted(names) == ["trial 0", "trial 1", "trial 2", "trial 3", "tuning"]
    assert ids[f"trial {best['trial']}"] == best["run_id"]
    for number in range(4):
        status, parent, ended, steps = runs[f"trial {number}"]
        assert (status, parent) == ("FINISHED", ids["tuning"])
        assert steps == [1, 2, 3, 4] or (ended == "pruned" and steps == list(range(1, len(steps) + 1)))


@pytest.mark.parametrize(("missing", "said"), [("OPTUNA_STORAGE", "OPTUNA_STORAGE is not set"),
                                               ("work/features", "work/features: not here: fetch the data")])
def test_what_a_machine_lacks_is_one_line(tmp_path: Path, missing: str, said: str) -> None:
    folder, environment = _machine(tmp_path / "one"), {"OPTUNA_STORAGE": "postgresql:///optuna"}
    if missing in environment:
        del environment[missing]
    else:
        (folder / missing).rename(folder / "elsewhere")
    process = _start(folder, environment, *JOIN)
    out, wrong = process.communicate(timeout=100)
    assert process.returncode == 1 and not out
    assert said in wrong and wrong.startswith("error: ") and wrong.count("\n") == 1
