"""train: the model with the best values found, into work/models."""

import os
import sys

import torch

from ser_ops import config
from ser_ops.config import Params
from ser_ops.files import read_json
from ser_ops.stages import run
from ser_ops.stages.training_run import Job, forget, state_of, train_model
from ser_ops.training import device_of, rank, together
from ser_ops.training.tuning import settings_with


def main_job(params: Params) -> Job:
    """The main model with the values that tuning found in their place."""
    best = read_json(params.paths.work / "tuning" / "best.json")
    return Job(params.train.model, params.train.model, settings_with(params.train.training(), best["values"]))


def main() -> None:
    """Train the main model; killed and started again, go on with the last checkpoint."""
    params = config.load()
    _take_every_gpu(params.compute.device)
    job, device = main_job(params), device_of(params.compute.device)
    with together(device):
        result = train_model(params, job, device, "train", params.paths.work / "models" / job.name)
        if rank() == 0:
            forget(state_of(params, "train", job))
            print(f"trained {job.name}: validation UAR {result.validation_uar:.3f} at epoch {result.best_epoch} of "
                  f"{len(result.history)}, {sum(one.seconds for one in result.history):.0f} s")


def _take_every_gpu(device: str) -> None:
    """With several GPUs and none named, start this stage anew under torchrun, a process for each."""
    gpus = torch.cuda.device_count()
    if device in ("auto", "cuda") and gpus > 1 and "WORLD_SIZE" not in os.environ:
        os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", "--standalone",
                                  f"--nproc-per-node={gpus}", "-m", "ser_ops.stages.train"])


if __name__ == "__main__":
    run(main)
