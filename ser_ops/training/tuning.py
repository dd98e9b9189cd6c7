"""Search of training settings with Optuna: pruned, side by side, and the same result after any number of kills.

A study kept in a database holds a killed trial as RUNNING for ever, and what is suggested next depends on it. Here
what is kept is each finished trial's outcome, one JSON file; the study itself is made anew in memory and replayed:
trial n is asked for with a sampler seeded by (seed, n) and answered from its file, or trained when there is none.
`together` trials are asked for at once and judged by those before them only, so that neither timing nor the number
of cores can change a result.
"""

import csv
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from pydantic import ValidationError

from ser_ops.config import Training, Tune
from ser_ops.config.sections import Choices, Range
from ser_ops.errors import UserError
from ser_ops.files import read_json, write_json, write_text
from ser_ops.seeds import derive
from ser_ops.training.history import Epoch
from ser_ops.training.loop import Diverged
from ser_ops.training.workers import Spread


@dataclass(frozen=True)
class Trial:
    """One set of values to train with, counted from 0, and a folder of its own for what it must keep."""

    number: int
    values: dict[str, Any]
    settings: Training
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: complete, pruned or diverged; validation UAR by epoch, and the highest."""

    number: int
    state: str
    values: dict[str, Any]
    uars: list[float]
    validation_uar: float


Objective = Callable[[Trial, Callable[[Epoch], bool]], None]


def search(settings: Tune, objective: Objective, folder: Path, spread: Spread) -> list[Outcome]:
    """Run `settings.trials` trials; those whose outcome `folder` holds are not run again.

    `objective` trains with a trial's settings and hands every epoch on; when the answer is True the trial is pruned
    and must stop. It must be importable by a fresh process. `spread` is what `workers.side_by_side` gives.
    Raises UserError for a space that training settings do not admit.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(name, values, settings.trial) for name, values in settings.space.items()}
    study = optuna.create_study(direction="maximize", pruner=_pruner(settings))
    outcomes: list[Outcome] = []
    for start in range(0, settings.trials, settings.together):
        asked = []
        for number in range(start, min(start + settings.together, settings.trials)):
            study.sampler = optuna.samplers.TPESampler(seed=derive(settings.seed, "trial", number) % 2**32,
                                                       n_startup_trials=settings.startup_trials)
            asked.append(study.ask(distributions))
        before = [one for one in study.get_trials(deepcopy=False) if one.state.is_finished()]
        wave = [Trial(one.number, one.params, settings_with(settings.trial, one.params),
                      folder / f"trial-{one.number:03d}") for one in asked]
        found = {one.number: Outcome(**read_json(_file(one))) for one in wave if _file(one).exists()}
        left = [one for one in wave if one.number not in found]
        found |= {one.number: one for one in spread(partial(_run, settings, objective, before), left)}
        for one in asked:
            outcome = found[one.number]
            for epoch, value in enumerate(outcome.uars):
                one.report(value, epoch)
            study.tell(one, outcome.validation_uar if outcome.state == "complete" else None,
                       state=_STATES[outcome.state])
            outcomes.append(outcome)
    return outcomes


_STATES = {"complete": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED,
           "diverged": optuna.trial.TrialState.FAIL}


def _file(trial: Trial) -> Path:
    return trial.folder.with_suffix(".json")


def _pruner(settings: Tune) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials=settings.startup_trials, n_warmup_steps=settings.warmup_epochs)


def _run(settings: Tune, objective: Objective, before: Sequence[optuna.trial.FrozenTrial], trial: Trial) -> Outcome:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    judge = optuna.create_study(direction="maximize", pruner=_pruner(settings))
    judge.add_trials(before)
    probe = judge.ask()
    uars: list[float] = []
    state = "complete"

    def report(epoch: Epoch) -> bool:
        nonlocal state
        uars.append(epoch.validation_uar)
        probe.report(epoch.validation_uar, epoch.epoch - 1)
        if epoch.epoch < settings.trial.epochs and probe.should_prune():
            state = "pruned"
        return state == "pruned"

    try:
        objective(trial, report)
    except Diverged:
        state = "diverged"
    outcome = Outcome(trial.number, state, trial.values, uars, max(uars, default=0.0))
    write_json(_file(trial), asdict(outcome))
    shutil.rmtree(trial.folder / "checkpoint", ignore_errors=True)
    return outcome


def _distribution(name: str, values: Range | Choices, settings: Training) -> optuna.distributions.BaseDistribution:
    if isinstance(values, Choices):
        return optuna.distributions.CategoricalDistribution(values.choices)
    if type(getattr(settings, name)) is int:
        return optuna.distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
    return optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)


def settings_with(settings: Training, values: dict[str, Any]) -> Training:
    """Training settings with some values put in their place.

    Raises UserError for a value that is out of a setting's range.
    """
    try:
        return Training(**{**settings.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"params.yaml: tune.space.{first['loc'][0]}: {first['input']!r} is no value for it "
                        f"({first['msg'].lower()}): narrow the space") from error


def chosen(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The completed trial with the highest validation UAR, the first of equal ones; None when none completed."""
    complete = [one for one in outcomes if one.state == "complete"]
    return max(complete, key=lambda one: (one.validation_uar, -one.number), default=None)


def write_trials(path: Path, outcomes: Sequence[Outcome], names: Sequence[str]) -> None:
    """Write trials.csv: trial, state, validation_uar, epochs, then each setting that was searched."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "validation_uar", "epochs", *names])
    for one in outcomes:
        writer.writerow([one.number, one.state, one.validation_uar, len(one.uars), *(one.values[name]
                                                                                     for name in names)])
    write_text(path, text.getvalue())
