"""Take part in the search that stage tune runs on another machine."""

import contextlib
from typing import Any

from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.stages.training_run import remove_state
from ser_ops.stages.tune import run_search, search_fingerprint
from ser_ops.training.shared_search import study_name, trials_finished_here
from ser_ops.training.study_store import ADDRESS_VARIABLE, StudyStore, search_is_shared
from ser_ops.training.tuning import best_trial


def join_search() -> dict[str, Any]:
    """Run trials of a search that another machine began, on the same code, settings and data, until it is done.

    Waits at most compute.queue_seconds for the search to begin. Returns {study, trials, here: trials of this machine,
    best: number of the best trial, validation_uar}. Raises UserError when OPTUNA_STORAGE or data are missing, or no
    machine has begun.
    """
    params = load_params()
    if not search_is_shared():
        raise UserError(f"{ADDRESS_VARIABLE} is not set: give it the address of the database in which stage tune keeps "
                        "its search (postgresql://HOST/DATABASE)")
    needed = [params.paths.work / name for name in ("augmented", "features", "ingest")]
    if missing := [str(path) for path in needed if not path.is_dir()]:
        raise UserError(f"{', '.join(missing)}: not here: fetch the data of the search with dvc pull ingest augment "
                        "features, or make them with dvc repro features")
    mark = search_fingerprint(params)
    study = StudyStore(study_name(mark), params.compute)
    study.check()
    parent = study.awaited_run(params.compute.queue_seconds)
    if parent is None:
        raise UserError(f"{study.shown}: this search has not begun: run dvc repro tune on one machine, with the "
                        "commit, settings and data of this one")
    state = params.paths.state / "tune" / mark
    outcomes = run_search(params, parent, state, study)
    for trial in state.glob("trial-*"):
        remove_state(trial)
    with contextlib.suppress(OSError):    # a stage that works in this folder too keeps its own here
        state.rmdir()
    best = best_trial(outcomes)
    return {"study": study.name, "trials": len(outcomes), "here": trials_finished_here(study),
            "best": best.number if best else None, "validation_uar": best.validation_uar if best else None}
