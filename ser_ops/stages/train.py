"""train: the main model with the best values of the search, into work/models."""

import os
import sys
from pathlib import Path

import torch

from ser_ops.config.params import Params, load_params
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.stages import run
from ser_ops.stages.training_run import TrainingJob, remove_state, state_folder, train_model
from ser_ops.training.tuning import training_with, why_no_search
from ser_ops.training.world import process_group, process_rank, run_process_group


def main_job(params: Params) -> TrainingJob:
    """The main model, with the best values of the search in place of those in params.yaml.

    Raises:
        UserError: The search was left out where it could not run, and it can run here. DVC, which knows nothing of a
            machine's devices, takes what a machine without a GPU left for the result on one with a GPU.
    """
    kept = params.paths.work / "tuning" / "best.json"
    best = read_json(kept)
    if best.get("trials") == 0 and not why_no_search(params.tune, device_of(params.compute.device)):
        raise UserError(f"{kept}: holds no search, and {params.tune.trials} trials can run on this machine: search "
                        "with `dvc repro -f -s tune` and run the same command again, or set tune.trials to 0")
    return TrainingJob(params.train.model, params.train.model, training_with(params.train.training(), best["values"]))


def main() -> None:
    """Train the main model; when it was killed, go on from the last checkpoint.

    With torchrun's own variables set (PET_NNODES and others), the process becomes torchrun, which starts the same stage
    again and meets the other machines: so DVC, which ran the stage, knows what it wrote.
    """
    if "PET_NNODES" in os.environ and "WORLD_SIZE" not in os.environ:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", "-m", "ser_ops.stages.train"])
    train_with(_processes(load_params().compute.device))


def train_with(processes: int) -> None:
    """Train with so many processes of this machine. Started by torchrun, each of its processes calls this with 1."""
    if processes > 1:
        run_process_group(_train, processes)
    else:
        _train()


def _train(meeting: Path | None = None) -> None:
    params = load_params()
    job, device = main_job(params), device_of(params.compute.device)
    with process_group(device, meeting):
        result = train_model(params, job, device, "train", params.paths.work / "models" / job.name)
        if process_rank() == 0:
            remove_state(state_folder(params, "train", job))
            print(f"trained {job.name}: validation {result.kept.validation_words} at epoch {result.best_epoch} of "
                  f"{len(result.history)}, {sum(epoch.seconds for epoch in result.history):.0f} s", flush=True)


def _processes(device: str) -> int:
    """Processes to train with: one for each GPU, unless a GPU is named or torchrun has shared them out; else 1."""
    every = device in ("auto", "cuda") and "WORLD_SIZE" not in os.environ
    return max(1, torch.cuda.device_count()) if every else 1


if __name__ == "__main__":
    run(main)
