"""Stage corpora: models trained on each corpus alone and on all but one, into work/papers/corpora.

Each corpus is divided by itself, so that none of these models was trained on its test part.
"""

from reproduction.experiment import (
    Experiment,
    comparison_settings,
    copy_model_folder,
    train_all,
    trainable,
    work_folder,
)
from reproduction.settings import Settings, load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.files import replacing, write_json
from ser_ops.stages import run
from ser_ops.stages.training_run import TrainingJob, run_tags


def training_sets(params: Params) -> dict[str, tuple[str, ...]]:
    """Corpora of each training set: each corpus alone, and all but each where there are three or more."""
    names = params.data.names
    sets: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    if len(names) > 2:
        sets |= {f"all but {left_out}": tuple(name for name in names if name != left_out) for left_out in names}
    return sets


def experiments(params: Params, settings: Settings) -> list[Experiment]:
    """A training for each model and training set, by speaker."""
    return [Experiment(f"{model} across corpora", f"{model} on {name}", model,
                       comparison_settings(params, settings.seed, settings.corpora, "corpora", model, name),
                       corpora, "speaker", settings.corpora.variants, apart=True)
            for model in settings.corpora.models for name, corpora in training_sets(params).items()]


def main() -> None:
    """Train a model on every training set, then keep all of them with runs.json, which lists them."""
    params, settings = load_params(), load_settings()
    trainings, lacking = trainable(params, experiments(params, settings))
    tags = {each.group: run_tags(params, TrainingJob(each.group, each.model, each.settings), "corpora")
            for each in trainings}
    with (train_all(params, "corpora", trainings, tags) as (folders, runs),
          replacing(work_folder(params) / "corpora") as target):
        target.mkdir()
        records = []
        for experiment, source in zip(trainings, folders, strict=True):
            name = experiment.name.removeprefix(f"{experiment.model} on ")
            folder = f"{experiment.model}/{name.replace(' ', '_')}"
            copy_model_folder(source, target / folder)
            records.append({"model": experiment.model, "train": name, "train_corpora": list(experiment.corpora),
                            "folder": folder, "parent_run_id": runs[experiment.group].id}
                           | read_json(source / "result.json"))
        write_json(target / "runs.json", {"trainings": records, "lacking": lacking})
    print(f"trained {len(trainings)} models, on each corpus alone and on all but one")


if __name__ == "__main__":
    run(main)
