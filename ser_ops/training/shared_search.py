"""A search that several machines share: trials, values and result as in the local search, each trial finished once.

Every process replays the study (`tuning.replay`) and takes the trials of each wave that no other process has. An
attempt at trial n is a row of the shared study with the attribute `number`. To take n, a process adds a RUNNING
attempt and then reads all attempts: Optuna numbers them under a lock, so two processes that were equally quick both see
which attempt came first, and the other withdraws. A heartbeat is a counter; an attempt whose counter stands still for
`lost_seconds` is failed, and n is free again, with the same values. No clock of one machine is compared with that of
another or of the database, and a restart of the database does no harm.
"""

import contextlib
import itertools
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

import ser_ops
from ser_ops.config.services import Compute
from ser_ops.config.training import Tune
from ser_ops.files import write_json
from ser_ops.seeds import derive_seed
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.study_store import DATABASE_ERRORS, AttemptEnded, StudyStore
from ser_ops.training.tuning import (
    OPTUNA_STATES,
    Objective,
    Outcome,
    Trial,
    distributions,
    make_trial,
    replay,
    run_id_of,
    run_trial,
)
from ser_ops.training.world import ProcessMap


def search_shared(settings: Tune, objective: Objective, folder: Path, study: str, limits: Compute, parallel: ProcessMap,
                  processes: int) -> list[Outcome]:
    """Take part in the search kept as `study` with `processes` of this machine, until all its trials are finished.

    The result is that of `tuning.search`, given machines that compute alike. `folder` keeps this machine's
    checkpoints of running trials. Raises UserError when the database is away for longer than `outage_seconds`.
    """
    return parallel(partial(_take_part, settings, objective, folder, study, limits), range(processes))[0]


def _take_part(settings: Tune, objective: Objective, folder: Path, study: str, limits: Compute,
               index: int) -> list[Outcome]:
    part = _Participant(settings, objective, folder, StudyStore(study, limits), limits)
    return replay(settings, folder, part.wave)


def study_name(mark: str) -> str:
    """Name of the study of a search: another for other code, since machines share a search only on the same."""
    code = Path(ser_ops.__file__).parent
    return f"ser-ops-{fingerprint([mark, optuna.__version__], sorted(code.rglob('*.py')))}"


def trials_finished_here(store: StudyStore) -> int:
    """How many trials of a search were finished on this machine."""
    return sum(outcome_of(attempt) is not None and attempt.user_attrs["worker"].startswith(f"{platform.node()}-")
               for attempt in store.attempts())


def outcome_of(attempt: FrozenTrial) -> Outcome | None:
    """How a trial ended by this attempt at it; None for one that runs, was lost or withdrawn."""
    state = next((name for name, optuna_state in OPTUNA_STATES.items() if optuna_state == attempt.state), None)
    if state is None or (attempt.state == TrialState.FAIL and not attempt.user_attrs.get("diverged")):
        return None
    uars = [attempt.intermediate_values[epoch] for epoch in sorted(attempt.intermediate_values)]
    return Outcome(attempt.user_attrs["number"], state, attempt.params, uars, max(uars, default=0.0),
                   attempt.user_attrs.get("run_id"))


def _valid(attempts: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The attempt that counts: the first that runs or brought an outcome."""
    return next((attempt for attempt in attempts if not attempt.state.is_finished() or outcome_of(attempt)), None)


@dataclass
class _Participant:
    settings: Tune
    objective: Objective
    folder: Path
    store: StudyStore
    limits: Compute
    seen: dict[int, tuple[Any, int]] = field(default_factory=dict)    # by attempt: heartbeat, and how often it was read
    worker: str = field(default_factory=lambda: f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")

    def wave(self, before: Sequence[FrozenTrial], trials: Sequence[Trial]) -> list[Outcome]:
        """Run those of these trials that no other process has, until each has its outcome."""
        while True:
            attempts = self._attempts()
            valid = {trial.number: _valid(attempts.get(trial.number, [])) for trial in trials}
            free = [trial for trial in trials if valid[trial.number] is None]
            if free:    # each process has an order of its own, so that few want the same trial
                chosen = min(free, key=lambda trial: derive_seed(trial.number, self.worker))
                self._take(before, chosen, attempts.get(chosen.number, []))
                continue
            taken = [attempt for attempt in valid.values() if attempt is not None]
            outcomes = [outcome for attempt in taken if (outcome := outcome_of(attempt)) is not None]
            if len(outcomes) == len(trials):
                return outcomes
            lost = [attempt for attempt in taken if self._lost(attempt)]
            for attempt in lost:
                self.store.fail(attempt._trial_id)
            if not lost:
                time.sleep(self.limits.heartbeat_seconds)

    def _attempts(self) -> dict[int, list[FrozenTrial]]:
        by_trial: dict[int, list[FrozenTrial]] = {}
        for attempt in self.store.attempts():
            by_trial.setdefault(attempt.user_attrs["number"], []).append(attempt)
        return by_trial

    def _lost(self, attempt: FrozenTrial) -> bool:
        if attempt.state.is_finished():
            return False
        before, unchanged = self.seen.get(attempt._trial_id, (None, 0))
        heartbeat = attempt.user_attrs["sign_of_life"]
        unchanged = unchanged + 1 if heartbeat == before else 0
        self.seen[attempt._trial_id] = heartbeat, unchanged
        return unchanged * self.limits.heartbeat_seconds >= self.limits.lost_seconds or self._died_here(attempt)

    def _died_here(self, attempt: FrozenTrial) -> bool:
        """Whether the attempt ran in this folder and its process is gone: the lock of its name is free."""
        lock = self._folder(attempt.user_attrs["number"]) / f"{attempt.user_attrs['worker']}.lock"
        if not lock.exists():
            return False
        try:
            with FileLock(lock, timeout=0):
                return True
        except Timeout:
            return False

    def _folder(self, number: int) -> Path:
        return make_trial(self.settings, self.folder, number, {}).folder

    def _take(self, before: Sequence[FrozenTrial], trial: Trial, earlier: Sequence[FrozenTrial]) -> None:
        """Run a free trial, with the values of `earlier` attempts at it, unless another process comes first."""
        if earlier:
            trial = make_trial(self.settings, self.folder, trial.number, earlier[0].params)
        run_id = next((attempt.user_attrs["run_id"] for attempt in reversed(earlier) if "run_id" in attempt.user_attrs),
                      None)
        trial.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(trial.folder / f"{self.worker}.lock"):
            self.store.begin(trial.values, distributions(self.settings),
                             {"number": trial.number, "worker": self.worker, "sign_of_life": 0})
            attempt = self._own_attempt(trial.number)
            if attempt is None:
                return
            if run_id and not run_id_of(trial):
                write_json(trial.folder / "run.json", {"run_id": run_id})
            try:
                self._run(before, trial, attempt)
            except AttemptEnded:    # taken for lost: another process has the trial by now
                return
        shutil.rmtree(trial.folder, ignore_errors=True)

    def _own_attempt(self, number: int) -> int | None:
        """Id of our attempt at a trial if it counts; our others (made while the database was away) are withdrawn."""
        attempts = self._attempts()[number]
        first = _valid(attempts)
        for attempt in attempts:
            if attempt.user_attrs["worker"] == self.worker and attempt is not first and not attempt.state.is_finished():
                self.store.fail(attempt._trial_id)
        return first._trial_id if first is not None and first.user_attrs["worker"] == self.worker else None

    def _run(self, before: Sequence[FrozenTrial], trial: Trial, attempt: int) -> None:
        try:
            with _Heartbeat(self.store, trial, attempt, self.limits.heartbeat_seconds) as heartbeat:
                outcome = run_trial(self.settings, self.objective, before, trial, heartbeat.record)
        except AttemptEnded:
            raise
        except BaseException:    # whatever ends this process: no other process need wait to see it
            self.store.fail(attempt)
            raise
        self.store.end(attempt, OPTUNA_STATES[outcome.state], outcome.uars, {
            name: value for name, value in (("diverged", outcome.state == "diverged"), ("run_id", outcome.run_id))
            if value})


class _Heartbeat:
    """Sends heartbeats and the epochs' figures from a thread, so that training never waits for the database."""

    def __init__(self, store: StudyStore, trial: Trial, attempt: int, every: float) -> None:
        self._store, self._trial, self._attempt, self._every = store, trial, attempt, every
        self._uars: list[float] = []
        self._ended, self._stop = False, Event()
        self._thread = Thread(target=self._send, daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def record(self, uar: float) -> None:
        """Take an epoch's validation UAR to be sent. Raises AttemptEnded when another process took the trial up."""
        if self._ended:
            raise AttemptEnded(self._attempt)
        self._uars.append(uar)

    def _send(self) -> None:
        sent, recorded = 0, False
        for number in itertools.count(1):
            with contextlib.suppress(*DATABASE_ERRORS):
                try:
                    self._store.note(self._attempt, "sign_of_life", number)
                    for epoch, uar in enumerate(self._uars[sent:], sent):
                        self._store.report(self._attempt, epoch, uar)
                        sent = epoch + 1
                    if not recorded and (run_id := run_id_of(self._trial)):
                        self._store.note(self._attempt, "run_id", run_id)
                        recorded = True
                except AttemptEnded:
                    self._ended = True
                    return
            if self._stop.wait(self._every):
                return
