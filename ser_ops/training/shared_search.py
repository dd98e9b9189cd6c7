"""A search that several machines share: the local one's trials, values and result, each trial finished exactly once.

Every process replays the study (`tuning.replay`) and takes of each wave what nobody else has. An attempt at trial n is
a row of the shared study with the attribute `number`. To take n, a process adds a RUNNING attempt and then looks:
Optuna numbers attempts one after another under a lock, so that of two who were as quick as each other both see
who came first, and the other withdraws. A sign of life is a number that counts up; an attempt whose sign does not
change in so many looks in a row (`lost_seconds` of them) is failed, and n is free again, with the same values. No
clock is held against another one, the machines' or the database's, and a restart of the database counts for nothing.
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
from ser_ops.config import Compute, Tune
from ser_ops.files import write_json
from ser_ops.seeds import derive
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.study_store import AWAY, Ended, StudyStore
from ser_ops.training.tuning import (
    STATES,
    Objective,
    Outcome,
    Trial,
    distributions,
    replay,
    run_of,
    run_trial,
    trial_of,
)
from ser_ops.training.world import Spread


def search_together(settings: Tune, objective: Objective, folder: Path, study: str, limits: Compute, spread: Spread,
                    processes: int) -> list[Outcome]:
    """Take part in the search kept as `study` with `processes` of this machine, until all its trials are finished.

    The result is that of `tuning.search`, given machines that compute alike. `folder` keeps this machine's
    checkpoints of trials that run. Raises UserError when the database is away for longer than `outage_seconds`.
    """
    return spread(partial(_take_part, settings, objective, folder, study, limits), range(processes))[0]


def _take_part(settings: Tune, objective: Objective, folder: Path, study: str, limits: Compute,
               index: int) -> list[Outcome]:
    part = _Participant(settings, objective, folder, StudyStore(study, limits), limits)
    return replay(settings, folder, part.wave)


def study_of(mark: str) -> str:
    """Name of the study of a search: another for other code, since machines share a search only on the same."""
    code = Path(ser_ops.__file__).parent
    return f"ser-ops-{fingerprint([mark, optuna.__version__], sorted(code.rglob('*.py')))}"


def ran_here(store: StudyStore) -> int:
    """How many trials of a search were finished on this machine."""
    return sum(outcome_of(one) is not None and one.user_attrs["worker"].startswith(f"{platform.node()}-")
               for one in store.attempts())


def outcome_of(attempt: FrozenTrial) -> Outcome | None:
    """How a trial ended by this attempt at it; None for one that runs, was lost or withdrawn."""
    state = next((name for name, one in STATES.items() if one == attempt.state), None)
    if state is None or (attempt.state == TrialState.FAIL and not attempt.user_attrs.get("diverged")):
        return None
    uars = [attempt.intermediate_values[epoch] for epoch in sorted(attempt.intermediate_values)]
    return Outcome(attempt.user_attrs["number"], state, attempt.params, uars, max(uars, default=0.0),
                   attempt.user_attrs.get("run_id"))


def _standing(attempts: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The attempt that counts: the first that runs or brought an outcome."""
    return next((one for one in attempts if not one.state.is_finished() or outcome_of(one)), None)


@dataclass
class _Participant:
    settings: Tune
    objective: Objective
    folder: Path
    store: StudyStore
    limits: Compute
    seen: dict[int, tuple[Any, int]] = field(default_factory=dict)    # attempt: its sign of life, and how many looks
    worker: str = field(default_factory=lambda: f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")

    def wave(self, before: Sequence[FrozenTrial], trials: Sequence[Trial]) -> list[Outcome]:
        """Run what nobody else has of these trials until each has its outcome."""
        while True:
            attempts = self._attempts()
            standing = {one.number: _standing(attempts.get(one.number, [])) for one in trials}
            free = [one for one in trials if standing[one.number] is None]
            if free:    # each process has an order of its own, so that few want the same one
                chosen = min(free, key=lambda one: derive(one.number, self.worker))
                self._take(before, chosen, attempts.get(chosen.number, []))
                continue
            found = [outcome_of(one) for one in standing.values() if one is not None]
            outcomes = [one for one in found if one is not None]
            if len(outcomes) == len(trials):
                return outcomes
            lost = [one for one in standing.values() if one is not None and self._lost(one)]
            for one in lost:
                self.store.fail(one._trial_id)
            if not lost:
                time.sleep(self.limits.heartbeat_seconds)

    def _attempts(self) -> dict[int, list[FrozenTrial]]:
        found: dict[int, list[FrozenTrial]] = {}
        for one in self.store.attempts():
            found.setdefault(one.user_attrs["number"], []).append(one)
        return found

    def _lost(self, attempt: FrozenTrial) -> bool:
        if attempt.state.is_finished():
            return False
        sign, looks = self.seen.get(attempt._trial_id, (None, 0))
        now = attempt.user_attrs["sign_of_life"]
        looks = looks + 1 if now == sign else 0
        self.seen[attempt._trial_id] = now, looks
        return looks * self.limits.heartbeat_seconds >= self.limits.lost_seconds or self._died_here(attempt)

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
        return trial_of(self.settings, self.folder, number, {}).folder

    def _take(self, before: Sequence[FrozenTrial], trial: Trial, earlier: Sequence[FrozenTrial]) -> None:
        """Run a free trial, with the values of `earlier` attempts at it, unless somebody else comes first."""
        if earlier:
            trial = trial_of(self.settings, self.folder, trial.number, earlier[0].params)
        run_id = next((one.user_attrs["run_id"] for one in reversed(earlier) if "run_id" in one.user_attrs), None)
        trial.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(trial.folder / f"{self.worker}.lock"):
            self.store.begin(trial.values, distributions(self.settings),
                             {"number": trial.number, "worker": self.worker, "sign_of_life": 0})
            attempt = self._ours(trial.number)
            if attempt is None:
                return
            if run_id and not run_of(trial):
                write_json(trial.folder / "run.json", {"run_id": run_id})
            try:
                self._run(before, trial, attempt)
            except Ended:    # taken for lost, hence another one's by now
                return
        shutil.rmtree(trial.folder, ignore_errors=True)

    def _ours(self, number: int) -> int | None:
        """Our attempt at a trial when it is the one that counts; others of ours (the database went away) withdraw."""
        attempts = self._attempts()[number]
        first = _standing(attempts)
        for one in attempts:
            if one.user_attrs["worker"] == self.worker and one is not first and not one.state.is_finished():
                self.store.fail(one._trial_id)
        return first._trial_id if first is not None and first.user_attrs["worker"] == self.worker else None

    def _run(self, before: Sequence[FrozenTrial], trial: Trial, attempt: int) -> None:
        try:
            with _Living(self.store, trial, attempt, self.limits.heartbeat_seconds) as living:
                outcome = run_trial(self.settings, self.objective, before, trial, living.told)
        except Ended:
            raise
        except BaseException:    # whatever ends this process: somebody else need not wait to see it
            self.store.fail(attempt)
            raise
        self.store.end(attempt, STATES[outcome.state], outcome.uars, {
            name: value for name, value in (("diverged", outcome.state == "diverged"), ("run_id", outcome.run_id))
            if value})


class _Living:
    """Sends signs of life and the epochs' figures from a thread: training never waits for the database."""

    def __init__(self, store: StudyStore, trial: Trial, attempt: int, every: float) -> None:
        self._store, self._trial, self._attempt, self._every = store, trial, attempt, every
        self._uars: list[float] = []
        self._ended, self._stop = False, Event()
        self._thread = Thread(target=self._live, daemon=True)

    def __enter__(self) -> "_Living":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def told(self, uar: float) -> None:
        """Send an epoch's figure when the database is there. Raises Ended when another took the trial up."""
        if self._ended:
            raise Ended(self._attempt)
        self._uars.append(uar)

    def _live(self) -> None:
        sent, recorded = 0, False
        for sign in itertools.count(1):
            with contextlib.suppress(*AWAY):
                try:
                    self._store.note(self._attempt, "sign_of_life", sign)
                    for epoch, uar in enumerate(self._uars[sent:], sent):
                        self._store.report(self._attempt, epoch, uar)
                        sent = epoch + 1
                    if not recorded and (run_id := run_of(self._trial)):
                        self._store.note(self._attempt, "run_id", run_id)
                        recorded = True
                except Ended:
                    self._ended = True
                    return
            if self._stop.wait(self._every):
                return
