"""One `dvc repro` from recordings to report, and what it skips."""

import csv
import json
import resource
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

REPORTS = ("data_validation.json", "metrics.json", "robustness.csv", "predictions.csv", "leak_audit.json",
           "ablation.csv", "behaviour.json", "explanations.json", "gate.json", "index.html", "figures",
           "data_docs/index.html")


def test_every_report_is_there(reproduced):
    for name in REPORTS:
        assert (reproduced.folder / "reports" / name).exists(), name
    gate = json.loads((reproduced.folder / "reports/gate.json").read_text())
    assert {rule["rule"] for rule in gate["rules"]} and isinstance(gate["passed"], bool)
    assert all(rule["verdict"] and rule["reason"] for rule in gate["rules"])
    metrics = json.loads((reproduced.folder / "reports/metrics.json").read_text())
    assert metrics["provenance"]["synthetic"], "synthetic data must be named"


def test_the_grid_is_complete(reproduced):
    with (reproduced.folder / "reports/robustness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = {(row["noise"], row["intensity"]) for row in rows if row["model"] == "fusion"}
    assert len(cells) == 4 * 2 + 2, "three recorded noises and one made, at two intensities; a line and a room"


def test_a_second_repro_does_nothing_quickly(reproduced):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = reproduced.run(sys.executable, "-m", "dvc", "repro")
    assert "Running stage" not in done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 6   # processor seconds; 2 to 3 as a rule


def test_a_training_parameter_reruns_training_and_nothing_before_it(reproduced):
    """A dry run names what changed itself; what follows changes with its outputs."""
    assert _stages_run(reproduced, "--dry", train={"epochs": 3}) == ["train", "ablate"]


def test_a_limit_reruns_the_judge_and_what_follows(reproduced):
    limit = {"limit": 0.1, "reason": "a limit that this test has set, to see what runs"}
    assert _stages_run(reproduced, gate={"clean_uar": limit}) == ["judge", "report"]
    assert not _stages_run(reproduced), "back again: DVC remembers that run"


def _stages_run(workspace, *options, **changes):
    before = (workspace.folder / "params.yaml").read_text()
    workspace.change(**changes)
    try:
        done = workspace.run("dvc", "repro", *options)
    finally:
        (workspace.folder / "params.yaml").write_text(before)
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


def test_dvc_shows_metrics_and_plots(reproduced):
    assert "clean" in reproduced.run("dvc", "metrics", "show", "--json").stdout
    assert "robustness.csv" in reproduced.run("dvc", "plots", "show", "--json").stdout
