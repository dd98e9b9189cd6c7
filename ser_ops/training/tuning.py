"""Search of training settings with Optuna: pruned, side by side, and the same result after any number of kills.

A study kept in a database holds a killed trial as RUNNING for ever, and what is suggested next depends on it. So only
the outcome of each finished trial is kept, as a JSON file, and the study is made again in memory from them: trial n is
asked for with a sampler seeded by (seed, n) and answered from its file, or trained when there is none. A wave of
`together` trials is asked for at once and judged by the trials before it only, so neither timing nor the number of
cores can change a result. `shared_search` keeps the outcomes in a database instead, for several machines.
"""

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import ValidationError

from ser_ops.config.training import Choices, Range, Training, Tune
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import write_json, write_text
from ser_ops.seeds import derive_seed
from ser_ops.training.history import Epoch
from ser_ops.training.loop import Diverged
from ser_ops.training.world import ProcessMap


@dataclass(frozen=True)
class Trial:
    """One set of values to train with, counted from 0, and a folder of its own for its checkpoint and run.json."""

    number: int
    values: dict[str, Any]
    settings: Training
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: complete, pruned or diverged; validation UAR by epoch, and the highest; its recorded run."""

    number: int
    state: str
    values: dict[str, Any]
    uars: list[float]
    validation_uar: float
    run_id: str | None = None


Objective = Callable[[Trial, Callable[[Epoch], bool]], None]
Wave = Callable[[Sequence[FrozenTrial], Sequence[Trial]], Iterable[Outcome]]   # earlier trials and a wave: its outcomes
OPTUNA_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.FAIL}


def why_no_search(settings: Tune, device: torch.device) -> str:
    """Why settings are not searched on a device, "" where they are."""
    if settings.trials == 0:
        return "tune.trials is 0"
    if settings.needs_gpu and device.type == "cpu":
        return f"{settings.trials} trials need a GPU by tune.needs_gpu, and this machine has none"
    return ""


def search(settings: Tune, objective: Objective, folder: Path, parallel: ProcessMap) -> list[Outcome]:
    """Run `settings.trials` trials; those whose outcome `folder` holds are not run again.

    Args:
        settings: section tune.
        objective: trains with a trial's settings and hands every epoch on; when the answer is True the trial is pruned
            and must stop. A fresh process must be able to import it.
        folder: holds trial-NNN.json, and trial-NNN/ while a trial runs.
        parallel: runs the trials of a wave, as `world.process_map` gives it.

    Returns:
        The outcomes in the order of the trials.

    Raises:
        UserError: training settings do not admit a value of the space.
    """
    def wave(before: Sequence[FrozenTrial], trials: Sequence[Trial]) -> Iterable[Outcome]:
        parallel(partial(_run_and_keep, settings, objective, before),
                 [trial for trial in trials if not _outcome_file(trial).exists()])
        return [Outcome(**read_json(_outcome_file(trial))) for trial in trials]

    return replay(settings, folder, wave)


def replay(settings: Tune, folder: Path, wave: Wave) -> list[Outcome]:
    """Ask for all trials, `settings.together` at once, and have `wave` answer each such group."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    finished: list[FrozenTrial] = []
    outcomes: list[Outcome] = []
    for start in range(0, settings.trials, settings.together):
        study = optuna.create_study(direction="maximize")
        study.add_trials(finished)
        asked = []
        for number in range(start, min(start + settings.together, settings.trials)):
            study.sampler = optuna.samplers.TPESampler(seed=derive_seed(settings.seed, "trial", number) % 2**32,
                                                       n_startup_trials=settings.startup_trials)
            asked.append(study.ask(distributions(settings)))
        for outcome in wave(finished, [make_trial(settings, folder, ask.number, ask.params) for ask in asked]):
            outcomes.append(outcome)
            finished = [*finished, create_trial(
                state=OPTUNA_STATES[outcome.state],
                value=outcome.validation_uar if outcome.state == "complete" else None,
                params=outcome.values, distributions=distributions(settings),
                intermediate_values=dict(enumerate(outcome.uars)))]
    return outcomes


def make_trial(settings: Tune, folder: Path, number: int, values: dict[str, Any]) -> Trial:
    """Trial `number` with its values. Raises UserError for values that training settings do not admit."""
    return Trial(number, values, training_with(settings.trial, values), folder / f"trial-{number:03d}")


def _outcome_file(trial: Trial) -> Path:
    return trial.folder.with_suffix(".json")


def _run_and_keep(settings: Tune, objective: Objective, before: Sequence[FrozenTrial], trial: Trial) -> None:
    write_json(_outcome_file(trial), asdict(run_trial(settings, objective, before, trial)))
    shutil.rmtree(trial.folder / "checkpoint", ignore_errors=True)


def run_trial(settings: Tune, objective: Objective, before: Sequence[FrozenTrial], trial: Trial,
              record: Callable[[float], None] = lambda uar: None) -> Outcome:
    """Train, judged epoch by epoch against the trials `before`; `record` gets each epoch's validation UAR."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    judge = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(
        n_startup_trials=settings.startup_trials, n_warmup_steps=settings.warmup_epochs))
    judge.add_trials(before)
    probe = judge.ask()
    uars: list[float] = []
    state = "complete"

    def report(epoch: Epoch) -> bool:
        nonlocal state
        uars.append(epoch.validation_uar)
        record(epoch.validation_uar)
        probe.report(epoch.validation_uar, epoch.epoch - 1)
        if epoch.epoch < settings.trial.epochs and probe.should_prune():
            state = "pruned"
        return state == "pruned"

    try:
        objective(trial, report)
    except Diverged:
        state = "diverged"
    return Outcome(trial.number, state, trial.values, uars, max(uars, default=0.0), run_id_of(trial))


def run_id_of(trial: Trial) -> str | None:
    """Id of the run in which a trial is recorded, once it is."""
    kept = trial.folder / "run.json"
    return read_json(kept)["run_id"] if kept.exists() else None


def distributions(settings: Tune) -> dict[str, BaseDistribution]:
    """The space as Optuna's distributions, by setting."""
    return {name: _distribution(name, values, settings.trial) for name, values in settings.space.items()}


def _distribution(name: str, values: Range | Choices, settings: Training) -> BaseDistribution:
    if isinstance(values, Choices):
        return CategoricalDistribution(values.choices)
    if type(getattr(settings, name)) is int:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def training_with(settings: Training, values: dict[str, Any]) -> Training:
    """Training settings with some values replaced.

    Raises UserError for a value that is out of a setting's range.
    """
    try:
        return Training(**{**settings.model_dump(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"params.yaml and preset: tune.space.{first['loc'][0]}: {first['input']!r} is no value for it "
                        f"({first['msg'].lower()}): narrow the space") from error


def best_trial(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The completed trial with the highest validation UAR, the first of equals; None when none completed."""
    complete = [outcome for outcome in outcomes if outcome.state == "complete"]
    return max(complete, key=lambda outcome: (outcome.validation_uar, -outcome.number), default=None)


def write_trials(path: Path, outcomes: Sequence[Outcome], names: Sequence[str]) -> None:
    """Write trials.csv: trial, state, validation_uar, epochs, then each setting that was searched."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "validation_uar", "epochs", *names])
    for trial in outcomes:
        writer.writerow([trial.number, trial.state, trial.validation_uar, len(trial.uars),
                         *(trial.values[name] for name in names)])
    write_text(path, text.getvalue())
