"""Power cut in every stage, the same command again: it completes, with the results of a run that was never killed.

Each cut comes at the worst moment of its stage: all is written beside its place and nothing has been renamed; for
trainings, between two checkpoints.
"""

import csv
import json
import signal
from collections import Counter

import pytest
from project_copy import at_moment

from ser_ops.files import sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# The path to which a stage is about to rename what it has written when it is killed (moments/sitecustomize.py).
CUTS = {"ingest": "work/ingest", "validate": "work/validated", "augment": "work/augmented",
        "audit": "reports/leak_audit.json", "features": "work/features",
        "tune": "state/tune/*/trial-000/checkpoint/epoch-0002", "train": "state/train/*/checkpoint/epoch-0002",
        "ablate": "state/ablate/*/checkpoint/epoch-0002", "evaluate": "reports/metrics.json",
        "behave": "reports/behaviour.json", "explain": "reports/explanations.json", "judge": "reports/gate.json",
        "report": "reports/index.html"}
# Stages that are cut with processes of their own at work. All others, and all of the undisturbed run, have one process.
WITH_WORKERS = ("features", "ablate")
MODELS = ("models/fusion", "ablations/spectral", "ablations/wav2vec", "ablations/concat", "ablations/shuffled_1")
SAME_BYTES = ("work/ingest/manifest.csv", "work/ingest/noise.csv", "work/validated/manifest.csv",
              "work/augmented/variants.csv", "work/features/features/standardisation.json", "reports/leak_audit.json",
              "reports/data_validation.json", "reports/predictions.csv", "reports/robustness.csv",
              "reports/behaviour.json",
              *(f"work/{name}/weights.safetensors" for name in MODELS))
SAME_VALUES = {"work/tuning/best.json": ("values", "validation_uar", "trial", "trials", "pruned"),
               "reports/explanations.json": ("clips", "shap"), "reports/gate.json": ("passed", "verdict")}


@pytest.fixture(scope="module")
def killed(clone):
    """A workspace whose `dvc repro` was cut off in one stage after the other, and then ended.

    `said[stage]`: what the run had printed that was cut off in it.
    """
    workspace = clone("killed")
    workspace.start_warm()
    workspace.said = {}
    for stage, target in CUTS.items():
        workspace.change(compute={"workers": 2 if stage in WITH_WORKERS else 1})
        cut = workspace.run("dvc", "repro", stage, check=False,
                            **at_moment(workspace.environment, "KILLED_BEFORE", target))
        assert cut.returncode == -signal.SIGKILL, f"{stage}: nothing was renamed to {target}\n{cut.stdout}{cut.stderr}"
        workspace.said[stage] = cut.stdout + cut.stderr
    workspace.said["end"] = workspace.run("dvc", "repro").stdout
    return workspace


def test_each_stage_ran_twice_once_into_its_kill(killed):
    ran = Counter(line.split("'")[1] for said in killed.said.values() for line in said.splitlines()
                  if line.startswith("Running stage"))
    assert ran == dict.fromkeys(CUTS, 2)


def test_trainings_go_on_from_their_checkpoints(killed):
    going_on = [line.split(":")[0] for line in killed.said["evaluate"].splitlines() if "goes on after epoch 1" in line]
    assert "fusion" in going_on and {"spectral", "wav2vec", "concat"} & set(going_on), "evaluate stands on both"


@pytest.mark.parametrize("name", SAME_BYTES)
def test_bytes_are_those_of_an_undisturbed_run(reproduced, killed, name):
    assert sha256(killed.folder / name) == sha256(reproduced.folder / name)


@pytest.mark.parametrize("name", SAME_VALUES)
def test_values_are_those_of_an_undisturbed_run(reproduced, killed, name):
    undisturbed, resumed = (json.loads((workspace.folder / name).read_text()) for workspace in (reproduced, killed))
    for key in SAME_VALUES[name]:
        assert resumed[key] == undisturbed[key], key


def test_trials_are_those_of_an_undisturbed_run(reproduced, killed):
    def trials(workspace):
        with (workspace.folder / "work/tuning/trials.csv").open(newline="") as file:
            return [{key: value for key, value in row.items() if "run" not in key and "second" not in key}
                    for row in csv.DictReader(file)]

    assert trials(killed) == trials(reproduced)


def test_nothing_half_written_is_left(killed):
    for folder in ("work", "reports"):
        assert not [path for path in (killed.folder / folder).rglob(".*") if path.name != ".gitignore"]
