"""corpora: models trained on each corpus alone and on all but one, into work/papers/corpora.

Each corpus is divided by itself, so that its test part is unheard by every one of these models.
"""

from reproduction.experiment import Experiment, folder, keep, results, settings_of
from reproduction.settings import Settings, load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.files import replacing, write_json
from ser_ops.stages import run
from ser_ops.stages.training_run import Job, tags_of


def trained_on(params: Params) -> dict[str, tuple[str, ...]]:
    """Names of training sets and their corpora: each alone, and all but each where there are three or more."""
    names = params.data.names
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    if len(names) > 2:
        found |= {f"all but {left}": tuple(name for name in names if name != left) for left in names}
    return found


def experiments(params: Params, settings: Settings) -> list[Experiment]:
    """A training for each model and training set, by speaker."""
    wanted = settings.corpora
    return [Experiment(f"{model} across corpora", f"{model} on {name}", model,
                       settings_of(params, settings.seed, wanted.train, "corpora", model, name), corpora, "speaker",
                       params.augment.variants, apart=True)
            for model in wanted.models for name, corpora in trained_on(params).items()]


def main() -> None:
    """Train them; killed and started again, go on with those that are missing."""
    params, settings = load_params(), load_settings()
    wanted = experiments(params, settings)
    names = [name for _ in settings.corpora.models for name in trained_on(params)]
    tags = {one.group: tags_of(params, Job(one.group, one.model, one.settings), "corpora") for one in wanted}
    with results(params, "corpora", wanted, tags) as (folders, runs), replacing(folder(params) / "corpora") as target:
        target.mkdir()
        records = []
        for one, name, source in zip(wanted, names, folders, strict=True):
            place = f"{one.model}/{name.replace(' ', '_')}"
            keep(source, target / place)
            records.append({"model": one.model, "train": name, "train_corpora": list(one.corpora), "folder": place,
                            "parent_run_id": runs[one.group].id} | read_json(source / "result.json"))
        write_json(target / "runs.json", {"trainings": records})
    print(f"trained {len(wanted)} models, on each corpus alone and on all but one")


if __name__ == "__main__":
    run(main)
