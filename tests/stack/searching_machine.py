"""A machine that takes part in a shared search: `python searching_machine.py STUDY FOLDER SLOW made|real LOST`.

An epoch takes SLOW seconds at least and leaves a mark in FOLDER/marks, so that work can be counted. LOST is
compute.lost_seconds.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
import torch
from test_training_tuning import Made, tune
from training_standins import Tiny, examples

from ser_ops.config.services import Compute
from ser_ops.config.training import Tune
from ser_ops.training.loop import fit
from ser_ops.training.shared_search import search_shared
from ser_ops.training.study_store import StudyStore
from ser_ops.training.world import process_map

LIMITS = Compute(workers=1, device="cpu", shard_megabytes=1, queue_seconds=1, heartbeat_seconds=0.2, lost_seconds=3,
                 outage_seconds=60)


def settings() -> Tune:
    return tune(trials=8, together=2)


@dataclass(frozen=True)
class Real:
    """The real loop on a stand-in; only epochs that are trained leave a mark, not those of a checkpoint."""

    marks: Path
    slow: float = 0.0

    def __call__(self, trial, report):
        marks = self.marks / f"{trial.number}"

        class Marks:
            def metrics(self, values, step=None):
                with marks.open("a") as file:
                    file.write(".")

        def slowly(epoch):
            time.sleep(slow)
            return report(epoch)

        slow = self.slow
        fit(Tiny(), examples(6), examples(4, seed=2, noise=3), trial.settings, torch.device("cpu"),
            trial.folder / "checkpoint", log=Marks(), on_epoch=slowly, quiet=True)


OBJECTIVES = {"made": Made, "real": Real}


def main(study: str, folder: str, slow: str, objective: str, lost: str) -> None:
    marks = Path(folder) / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    limits = LIMITS.model_copy(update={"lost_seconds": float(lost)})
    store = StudyStore(study, limits)
    store.check()
    store.create()
    with process_map(1) as parallel:
        search_shared(settings(), OBJECTIVES[objective](marks, float(slow)), Path(folder) / "state", study, limits,
                      parallel, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
