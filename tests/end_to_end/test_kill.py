"""Kill -9 in every stage, the same command again: it completes, with the results of a run that was never killed."""

import csv
import json
import os
import signal
import time
from contextlib import suppress

import psutil
import pytest

from ser_ops.files import sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Seconds into the stage's own work; the longer ones are killed in the middle of an epoch, a trial or the grid.
STAGES = {"ingest": 1.0, "validate": 2.0, "augment": 1.0, "audit": 0.3, "features": 1.5, "tune": 9.0, "train": 8.0,
          "ablate": 8.0, "evaluate": 8.0, "behave": 3.0, "explain": 4.0, "judge": 2.0, "report": 1.0}
MODELS = ("models/fusion", "ablations/spectral", "ablations/wav2vec", "ablations/concat", "ablations/shuffled_1")
SAME_BYTES = ("work/ingest/manifest.csv", "work/ingest/noise.csv", "work/validated/manifest.csv",
              "work/augmented/variants.csv", "work/features/features/standardisation.json", "reports/leak_audit.json",
              "reports/data_validation.json", "reports/predictions.csv", "reports/robustness.csv",
              "reports/behaviour.json",
              *(f"work/{name}/weights.safetensors" for name in MODELS))
SAME_VALUES = {"work/tuning/best.json": ("values", "validation_uar", "trial", "trials", "pruned"),
               "reports/explanations.json": ("clips", "shap"), "reports/gate.json": ("passed", "verdict")}


def stage_process(dvc: psutil.Process, stage: str) -> psutil.Process:
    """The process of a stage that DVC has announced, as soon as it is there."""
    for _ in range(500):
        for one in dvc.children(recursive=True):
            with suppress(psutil.Error):
                if f"ser_ops.stages.{stage}" in one.cmdline() and one.name() != "sh":
                    return one
        time.sleep(0.01)
    raise AssertionError(f"{stage}: never started")


def kill_in(workspace, stage: str, delay: float, *options: str) -> bool:
    """Start a stage and kill it and all about it in its own work; False: it was done before.

    It is stopped first, so that the kill cannot meet DVC as it writes its lock file, which it does in place.
    """
    process = workspace.start("dvc", "repro", *options, "--single-item", stage)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("> python"):
            break
    with suppress(psutil.Error):
        work = stage_process(psutil.Process(process.pid), stage)
        time.sleep(delay)
        work.suspend()
        for _ in range(100):
            if work.status() == psutil.STATUS_STOPPED:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return True
            time.sleep(0.01)
    process.communicate()
    return False


@pytest.fixture(scope="module")
def killed(clone):
    """A workspace in which every stage was killed once and then run again."""
    workspace = clone("killed")
    workspace.alive = {}
    for stage, delay in STAGES.items():
        met = kill_in(workspace, stage, delay)
        while not met and (delay := delay / 2) > 0.01:  # a faster machine
            met = kill_in(workspace, stage, delay, "--force")
        workspace.alive[stage] = met
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
