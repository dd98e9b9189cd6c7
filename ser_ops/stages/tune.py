"""tune: search the space that params.yaml names; best.json and trials.csv out, a child run for each trial."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_ops.config.params import Params, load_params
from ser_ops.config.section import SETTINGS_FILES
from ser_ops.device import device_of
from ser_ops.errors import UserError
from ser_ops.files import replacing, write_json
from ser_ops.stages import run
from ser_ops.stages.training_run import (
    TrainingJob,
    cache_backbone_states,
    inputs_fingerprint,
    overview_tags,
    prepare_training,
    remove_state,
    resumable_run,
    run_tags,
    settings_record,
)
from ser_ops.training.history import Epoch
from ser_ops.training.loop import fit
from ser_ops.training.shared_search import search_shared, study_name
from ser_ops.training.study_store import StudyStore, search_is_shared
from ser_ops.training.tuning import Outcome, Trial, best_trial, search, why_no_search, write_trials
from ser_ops.training.world import process_map, trainings_at_once

NO_SEARCH: dict[str, Any] = {"values": {}, "validation_uar": None, "trial": None, "study": None, "run_id": None,
                             "trials": 0, "pruned": 0}


@dataclass(frozen=True)
class TrialTraining:
    """Train with a trial's settings, recorded as a child of the study's run."""

    params: Params
    parent: str

    def __call__(self, trial: Trial, report: Callable[[Epoch], bool]) -> None:
        job = TrainingJob(f"trial {trial.number}", self.params.train.model, trial.settings)
        with resumable_run(self.params, job.name, run_tags(self.params, job, "tune"), trial.folder / "run.json",
                           self.parent) as record:
            record.params(settings_record(self.params, job))
            device = device_of(self.params.compute.device)
            model, train, validation = prepare_training(self.params, job.model, job.settings.seed, device)
            result = fit(model, train, validation, job.settings, device, trial.folder / "checkpoint", record, report,
                         what=job.name)
            record.metrics(result.kept.kept_metrics())
            record.tags({"trial": "pruned" if result.stopped else "complete"})


def main() -> None:
    """Search; when it was killed, go on where it was, to the same result. OPTUNA_STORAGE shares the search."""
    params = load_params()
    target = params.paths.work / "tuning"
    if reason := why_no_search(params.tune, device_of(params.compute.device)):
        _write(target, [], NO_SEARCH, list(params.tune.space))
        print(f"tuned nothing: {reason}, training takes the settings as they are")
        return
    mark = search_fingerprint(params)
    state = params.paths.state / "tune" / mark
    study = _begin_or_join(params, mark, state / "run.json") if search_is_shared() else None
    with resumable_run(params, "tuning", overview_tags(params, "tune"), state / "run.json") as record:
        record.params({"tune": params.tune.model_dump()})
        if study is not None:
            study.run_id = record.id
        outcomes = run_search(params, record.id, state, study)
        best = _best_record(outcomes, mark)
        _write(target, outcomes, best, list(params.tune.space))
        record.artifact(target)
        record.params({"best": best["values"]})
        record.metrics({name: best[name] for name in ("trials", "pruned")}
                       | {"best/validation_uar": best["validation_uar"]})
    remove_state(state)
    print(f"tuned over {best['trials']} trials, {best['pruned']} of them pruned: the best reached validation UAR "
          f"{best['validation_uar']:.3f} with {', '.join(f'{name} {value}' for name, value in best['values'].items())}")


def search_fingerprint(params: Params) -> str:
    """Fingerprint of what a search's result depends on: settings and data."""
    return inputs_fingerprint(params, [params.tune.model_dump(), params.train.model])


def run_search(params: Params, parent: str, state: Path, study: StudyStore | None) -> list[Outcome]:
    """Run what is left of a search, alone or together with other machines, below the run `parent`."""
    objective = TrialTraining(params, parent)
    cache_backbone_states(params, [params.train.model])
    processes = min(trainings_at_once(params.compute.workers, device_of(params.compute.device)), params.tune.together)
    with process_map(processes) as parallel:
        if study is None:
            return search(params.tune, objective, state, parallel)
        return search_shared(params.tune, objective, state, study.name, params.compute, parallel, processes)


def _begin_or_join(params: Params, mark: str, kept: Path) -> StudyStore:
    """The shared study, made when no machine has begun it; else `kept` gets the run of the machine that has."""
    study = StudyStore(study_name(mark), params.compute)
    study.check()
    if not study.create() and not kept.exists() and (run_id := study.awaited_run(params.compute.lost_seconds)):
        write_json(kept, {"run_id": run_id})
    return study


def _best_record(outcomes: list[Outcome], mark: str) -> dict:
    best = best_trial(outcomes)
    if best is None:
        raise UserError("tune: the loss of every trial became NaN: lower the learning rates of tune.space "
                        f"in {SETTINGS_FILES}")
    return {"values": best.values, "validation_uar": best.validation_uar, "trial": best.number, "study": mark,
            "run_id": best.run_id, "trials": len(outcomes),
            "pruned": sum(outcome.state == "pruned" for outcome in outcomes)}


def _write(target: Path, outcomes: list[Outcome], best: dict, names: list[str]) -> None:
    with replacing(target) as folder:
        folder.mkdir()
        write_json(folder / "best.json", best)
        write_trials(folder / "trials.csv", outcomes, names)


if __name__ == "__main__":
    run(main)
