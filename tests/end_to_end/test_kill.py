"""Kill -9 in every stage, the same command again: it completes, with the results of a run that was never killed."""

import csv
import json
import os
import signal
import time

import pytest

from ser_ops.files import sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Seconds into the stage's own work; the longer ones are killed in the middle of an epoch, a trial or the grid.
STAGES = {"ingest": 1.0, "validate": 2.0, "augment": 1.0, "audit": 0.3, "features": 1.5, "tune": 9.0, "train": 8.0,
          "ablate": 8.0, "evaluate": 8.0, "explain": 4.0, "judge": 2.0, "report": 1.0}
MODELS = ("models/fusion", "ablations/spectral", "ablations/wav2vec", "ablations/concat", "ablations/shuffled_1")
SAME_BYTES = ("work/ingest/manifest.csv", "work/ingest/noise.csv", "work/validated/manifest.csv",
              "work/augmented/variants.csv", "work/features/standardisation.json", "reports/leak_audit.json",
              "reports/data_validation.json", "reports/predictions.csv", "reports/robustness.csv",
              *(f"work/{name}/weights.safetensors" for name in MODELS))
SAME_VALUES = {"work/tuning/best.json": ("values", "validation_uar", "trial", "trials", "pruned"),
               "reports/explanations.json": ("clips", "shap"), "reports/gate.json": ("passed", "verdict")}


def kill_in(workspace, stage: str, delay: float) -> bool:
    """Start a stage and kill it with all its children; whether it was still running then."""
    process = workspace.start("dvc", "repro", "--single-item", stage)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("> python"):
            break
    time.sleep(delay)
    alive = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return alive


@pytest.fixture(scope="module")
def killed(clone):
    """A workspace in which every stage was killed once and then run again."""
    workspace = clone("killed")
    workspace.alive = {}
    for stage, delay in STAGES.items():
        workspace.alive[stage] = kill_in(workspace, stage, delay)
        workspace.run("dvc", "repro", "--single-item", stage)
    return workspace


def test_every_kill_met_a_running_stage(killed):
    assert all(killed.alive.values()), killed.alive


@pytest.mark.parametrize("name", SAME_BYTES)
def test_bytes_are_those_of_an_undisturbed_run(reproduced, killed, name):
    assert sha256(killed.folder / name) == sha256(reproduced.folder / name)


@pytest.mark.parametrize("name", SAME_VALUES)
def test_values_are_those_of_an_undisturbed_run(reproduced, killed, name):
    one, other = (json.loads((workspace.folder / name).read_text()) for workspace in (reproduced, killed))
    for key in SAME_VALUES[name]:
        assert one[key] == other[key], key


def test_trials_are_those_of_an_undisturbed_run(reproduced, killed):
    def trials(workspace):
        with (workspace.folder / "work/tuning/trials.csv").open(newline="") as file:
            return [{key: value for key, value in row.items() if "run" not in key and "second" not in key}
                    for row in csv.DictReader(file)]

    assert trials(killed) == trials(reproduced)


def test_nothing_half_written_is_left(killed):
    for folder in ("work", "reports"):
        assert not [path for path in (killed.folder / folder).rglob(".*") if path.name != ".gitignore"]
