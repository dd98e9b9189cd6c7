"""Stage row_a: row A of table VI alone, into reports/row_a.json, for where the main model's checkpoint cannot be had.

The spectral branch needs none. It is trained and tested as the main graph does it, but with the settings of section
train: the values of the search are the main model's.
"""

from reproduction.experiment import work_folder
from reproduction.paper1_tables import ROWS
from ser_ops.config.params import load_params
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.evaluation.robustness import evaluation_job
from ser_ops.evaluation.summary import run_metrics
from ser_ops.files import write_json
from ser_ops.manifest import unaltered
from ser_ops.stages import evaluate, run
from ser_ops.stages.training_run import TrainingJob, remove_state, state_folder, train_model
from ser_ops.tracking.runs import reopen

STAGE = "row_a"


def main() -> None:
    """Train the spectral branch and test it, clean and over the grid of table V."""
    params = load_params()
    name, _ = ROWS["A"]
    alone = params.model_copy(update={"train": params.train.model_copy(update={"model": name}),
                                      "evaluate": params.evaluate.model_copy(update={"transmission": ()})})
    job, folder = TrainingJob(name, name, alone.train.training()), work_folder(params) / STAGE
    train_model(alone, job, device_of(params.compute.device), STAGE, folder)
    rows = unaltered(params.paths.work, "test")
    _, metrics = evaluate.measure(alone, {name: folder}, rows, evaluation_job(alone, {name: folder}, rows))
    with reopen(params, folder / "run.json") as record:
        record.metrics(run_metrics(metrics["models"][name]))
    write_json(params.paths.reports / "row_a.json", metrics | {"run_id": read_json(folder / "run.json")["run_id"]})
    remove_state(state_folder(alone, STAGE, job))
    print(f"row A of table VI: {name} UAR {metrics['models'][name]['clean']['uar']:.3f} clean, "
          f"{metrics['models'][name]['noisy']['uar']:.3f} in noise")


if __name__ == "__main__":
    run(main)
