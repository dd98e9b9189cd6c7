"""make demo: from the recordings of the clone to a gated model that stands in the registry as staging."""

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from pipelines import steps
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.manifest import validated_utterances


def main() -> None:
    """Run every stage, register and promote the model, and print its figures."""
    began = time.monotonic()
    params = load_params()
    steps.pull()
    seconds = steps.repro()
    for name, step in (("register", steps.register), ("promote", steps.promote)):
        start = time.monotonic()
        step()
        seconds[name] = time.monotonic() - start
    metrics = read_json(params.paths.reports / "metrics.json")
    figures = metrics["models"][params.train.model]
    clean, worst = figures["clean"], figures["worst_cell"]
    synthetic = bool(metrics["provenance"]["synthetic"])
    taken = time.monotonic() - began
    seconds["all else"] = taken - sum(seconds.values())     # the data, DVC's start, what was skipped
    print("\nseconds by stage: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()))
    print(f"{params.tracking.registered_model}@staging: {steps.verdict()['verdict']}, after {taken:.0f} s "
          f"({_processor_seconds():.0f} processor seconds)")
    print(f"clean UAR {clean['uar']:.2f} [{clean['uar_low']:.2f}, {clean['uar_high']:.2f}] over "
          f"{metrics['provenance']['intervals']['over']}, worst cell "
          f"{worst['cell']} {worst['uar']:.2f}, chance 0.14, on {metrics['provenance']['test_utterances']} test "
          f"utterances of unseen {'synthetic voices (synthetic speech, not people)' if synthetic else 'speakers'}")
    _print_next_steps(params)


def _processor_seconds() -> float:
    """Of this process and all that it started and waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _print_next_steps(params: Params) -> None:
    """Print an answer of the new model, and where the report, the runs and the commands are."""
    row = next(row for row in validated_utterances(params.paths.work) if row.partition == "test")
    clip = params.paths.data / "corpora" / row.path
    command = ["ser-ops", "predict", str(clip)]
    print(f"\n$ {shlex.join(command)}        # acted: {row.emotion}", flush=True)
    subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=False)
    print(f"\nthe report:         {(params.paths.reports / 'index.html').resolve()}\n"
          "runs and models:    make ui\n"
          "the commands:       source .venv/bin/activate, then ser-ops --help")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m pipelines.demo", description=__doc__).parse_args()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
