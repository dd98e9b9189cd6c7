"""ablate: rows A to C of table VI, and models trained on shuffled labels, into work/ablations."""

import shutil
from functools import partial
from pathlib import Path

from ser_ops.config.model_json import LACKING
from ser_ops.config.params import Params, load_params
from ser_ops.device import device_of
from ser_ops.files import replacing, write_json
from ser_ops.seeds import derive_seed
from ser_ops.stages import run
from ser_ops.stages.train import main_job
from ser_ops.stages.training_run import (
    TrainingJob,
    cache_backbone_states,
    inputs_fingerprint,
    lacking_checkpoints,
    overview_tags,
    remove_state,
    resumable_run,
    state_folder,
    train_model,
)
from ser_ops.terminal import print_line
from ser_ops.training.world import process_map, trainings_at_once

STAGE = "ablate"


def main() -> None:
    """Train the ablations side by side; when killed, go on with those that are not finished.

    A model whose checkpoint cannot be had is left out, and lacking.json says why: the others need none of it.
    """
    params = load_params()
    wanted = ablation_jobs(params)
    lacking = lacking_checkpoints(params, dict.fromkeys(job.model for job in wanted))
    jobs = [job for job in wanted if job.model not in lacking]
    for model, reason in lacking.items():
        print_line(f"{model} is left out: {reason}; once it can be had, `dvc repro -f -s ablate` trains it")
    cache_backbone_states(params, [job.model for job in jobs])
    state = params.paths.state / STAGE / inputs_fingerprint(params, [job.name for job in jobs])
    with resumable_run(params, "ablations", overview_tags(params, STAGE), state / "run.json") as record:
        with process_map(min(trainings_at_once(params.compute.workers, device_of(params.compute.device)),
                             max(1, len(jobs)))) as parallel:
            folders = parallel(partial(_train, params, record.id), jobs)
        with replacing(params.paths.work / "ablations") as target:
            target.mkdir()
            for job, folder in zip(jobs, folders, strict=True):
                shutil.copytree(folder, target / job.name)
            if lacking:
                write_json(target / LACKING, lacking)
    for finished in (state, *(state_folder(params, STAGE, job) for job in jobs)):
        remove_state(finished)
    print(f"trained {len(jobs)} models beside the main one: {', '.join(job.name for job in jobs)}")


def ablation_jobs(params: Params) -> list[TrainingJob]:
    """Each ablation but the main model, with its settings; copies of the main model trained on shuffled labels."""
    main = main_job(params)
    settings, seed = main.settings, params.ablations.shuffled_seed
    return [TrainingJob(name, name, settings) for name in params.ablations.models if name != main.model] + [
        TrainingJob(f"shuffled_{copy}", main.model,
                    settings.model_copy(update={"epochs": params.ablations.shuffled_epochs,
                                                "seed": derive_seed(seed, "training", copy)}),
                    derive_seed(seed, "labels", copy))
        for copy in range(1, params.ablations.shuffled + 1)]


def _train(params: Params, parent: str, job: TrainingJob) -> Path:
    """Train one model unless it is finished already, its run included; its folder, kept with its state."""
    folder = state_folder(params, STAGE, job) / "model"
    if not folder.exists():
        written = folder.with_name("written")
        train_model(params, job, device_of(params.compute.device), STAGE, written, parent)
        written.rename(folder)
    return folder


if __name__ == "__main__":
    run(main)
