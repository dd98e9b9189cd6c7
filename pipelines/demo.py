"""make demo: from the recordings of the clone to a gated model that stands in the registry as staging."""

import sys
import time

from pipelines import steps
from ser_ops import config
from ser_ops.documents import read_json
from ser_ops.errors import UserError


def main() -> None:
    """Run every stage, register, promote, and say what came of it."""
    began = time.monotonic()
    params = config.load()
    steps.pull()
    seconds = steps.repro()
    for name, step in (("register", steps.register), ("promote", steps.promote)):
        start = time.monotonic()
        step()
        seconds[name] = time.monotonic() - start
    metrics = read_json(params.paths.reports / "metrics.json")
    one = metrics["models"][params.train.model]
    clean, worst = one["clean"], one["worst_cell"]
    synthetic = bool(metrics["provenance"]["synthetic"])
    taken = time.monotonic() - began
    seconds["all else"] = taken - sum(seconds.values())     # the data, DVC's start, what was skipped
    print("\nseconds by stage: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()))
    print(f"{params.tracking.registered_model}@staging: {steps.verdict()['verdict']}, after {taken:.0f} s")
    print(f"clean UAR {clean['uar']:.2f} [{clean['uar_low']:.2f}, {clean['uar_high']:.2f}], worst cell "
          f"{worst['cell']} {worst['uar']:.2f}, chance 0.14, on {metrics['provenance']['test_utterances']} test "
          f"utterances of unseen {'synthetic voices (synthetic speech, not people)' if synthetic else 'speakers'}")
    print(f"the whole story: {params.paths.reports / 'index.html'}; runs and models: make ui")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
