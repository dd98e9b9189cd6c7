"""The Optuna study of a shared search, in the PostgreSQL database that OPTUNA_STORAGE names.

The address may hold a password; it is read from the environment where it is used, and no message, name or attribute
repeats it. Calls wait for a database that is away, `outage_seconds` by the monotonic clock at most.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ser_ops.config.services import Compute
from ser_ops.errors import UserError

ADDRESS_VARIABLE = "OPTUNA_STORAGE"
DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError)    # what a database that is away, or refuses, raises

Answer = TypeVar("Answer")


class AttemptEnded(Exception):
    """The attempt has ended already: another machine took it for lost."""


def search_is_shared() -> bool:
    """Whether searches are shared: OPTUNA_STORAGE is set."""
    return bool(os.environ.get(ADDRESS_VARIABLE))


def database_url() -> sqlalchemy.URL:
    """OPTUNA_STORAGE as SQLAlchemy takes it. Raises UserError, without the password, for what is no such address."""
    try:
        url = sqlalchemy.make_url(os.environ[ADDRESS_VARIABLE])
    except (SQLAlchemyError, ValueError):   # a port that is no number is the latter
        url = sqlalchemy.URL.create("unknown")
    if url.get_backend_name() != "postgresql":
        raise UserError(f"{ADDRESS_VARIABLE}: is no address that machines can share: give it as "
                        "postgresql://HOST/DATABASE, or unset it to search on this machine alone")
    if "@" in (url.host or ""):
        raise UserError(f"{ADDRESS_VARIABLE}: an @ in its password is written %40; or give the password by PGPASSWORD")
    return url.set(drivername="postgresql+psycopg2")    # the driver that is installed, whatever the default is


class StudyStore:
    """The study `name`. Raises UserError in one line when its database cannot be used."""

    def __init__(self, name: str, limits: Compute) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.name, self._limits = name, limits
        url = database_url()
        self.shown = f"postgresql://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}"
        lost = max(2, round(limits.lost_seconds))   # a connection that is silent for so long is as lost as a trial
        self._engine: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {
            "connect_timeout": lost, "keepalives_idle": lost, "tcp_user_timeout": lost * 1000} | url.query}
        self._url = url.render_as_string(hide_password=False)
        self._kept: RDBStorage | None = None
        self._id: int | None = None

    def check(self) -> None:
        """Raise UserError at once, not after `outage_seconds`, when the database refuses us."""
        engine = sqlalchemy.create_engine(self._url, **self._engine)
        try:
            engine.connect().close()
        except SQLAlchemyError as error:
            raise UserError(self._fault(error)) from None
        finally:
            engine.dispose()

    def create(self) -> bool:
        """Make the study; False when it is there already."""
        try:
            self._retried(lambda: self._storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], self.name))
        except DuplicatedStudyError:
            return False
        return True

    def exists(self) -> bool:
        """Whether anybody has begun this search."""
        try:
            self._retried(lambda: self._study)
        except KeyError:
            return False
        return True

    @property
    def run_id(self) -> str | None:
        """Id of the run in which the search as a whole is recorded."""
        return self._retried(lambda: self._storage.get_study_user_attrs(self._study).get("run_id"))

    @run_id.setter
    def run_id(self, value: str) -> None:
        self._retried(lambda: self._storage.set_study_user_attr(self._study, "run_id", value))

    def awaited_run(self, seconds: float) -> str | None:
        """`run_id`, once the search has begun; None when it has not in so many seconds."""
        began, announced = time.monotonic(), False
        while not (self.exists() and (run_id := self.run_id)):
            if time.monotonic() - began > seconds:
                return None
            if not announced:
                print(f"waiting on {self.shown} for stage tune to begin the search", file=sys.stderr, flush=True)
                announced = True
            time.sleep(self._limits.heartbeat_seconds)
        return run_id

    def attempts(self) -> list[FrozenTrial]:
        """All attempts at all trials, in the order in which they were begun."""
        try:
            attempts = self._retried(lambda: self._storage.get_all_trials(self._study, deepcopy=False))
        except KeyError:
            raise UserError(f"{self.shown}: the study {self.name} was deleted: run the same command again") from None
        return sorted(attempts, key=lambda attempt: attempt.number)

    def begin(self, values: Mapping[str, Any], space: dict[str, BaseDistribution], notes: dict[str, Any]) -> int:
        """Add a running attempt with its trial's values, and notes as attributes; returns its id."""
        template = create_trial(state=TrialState.RUNNING, params=dict(values), distributions=space, user_attrs=notes)
        return self._retried(lambda: self._storage.create_new_trial(self._study, template))

    def note(self, attempt: int, name: str, value: Any) -> None:
        """Set an attribute of an attempt, without waiting. Raises one of `DATABASE_ERRORS`, or `AttemptEnded`."""
        self._unless_ended(attempt, lambda: self._storage.set_trial_user_attr(attempt, name, value))

    def report(self, attempt: int, epoch: int, uar: float) -> None:
        """Set the UAR of an epoch, from 0, without waiting. Raises one of `DATABASE_ERRORS`, or `AttemptEnded`."""
        self._unless_ended(attempt, lambda: self._storage.set_trial_intermediate_value(attempt, epoch, uar))

    def end(self, attempt: int, state: TrialState, uars: list[float], notes: Mapping[str, Any]) -> None:
        """Record how an attempt ended; UAR counts when it is complete. Raises AttemptEnded."""
        def write() -> None:
            for epoch, uar in enumerate(uars):
                self._storage.set_trial_intermediate_value(attempt, epoch, uar)
            for name, value in notes.items():
                self._storage.set_trial_user_attr(attempt, name, value)
            self._storage.set_trial_state_values(attempt, state,
                                                 [max(uars)] if state == TrialState.COMPLETE else None)
        self._unless_ended(attempt, lambda: self._retried(write))

    def fail(self, attempt: int) -> None:
        """End an attempt without an outcome, in one try: one that cannot be reached shows no sign of life either."""
        with contextlib.suppress(UpdateFinishedTrialError, *DATABASE_ERRORS):
            self._storage.set_trial_state_values(attempt, TrialState.FAIL)

    @property
    def _storage(self) -> RDBStorage:
        if self._kept is None:
            self._kept = RDBStorage(self._url, self._engine)
        return self._kept

    @property
    def _study(self) -> int:
        if self._id is None:
            self._id = self._storage.get_study_id_from_name(self.name)
        return self._id

    @staticmethod
    def _unless_ended(attempt: int, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except UpdateFinishedTrialError:
            raise AttemptEnded(attempt) from None

    def _retried(self, call: Callable[[], Answer]) -> Answer:
        began, announced = time.monotonic(), False
        while True:
            try:
                return call()
            except DATABASE_ERRORS as error:
                if time.monotonic() - began > self._limits.outage_seconds:
                    raise UserError(f"{self._fault(error)}, then run the same command again: it goes on") from None
                if not announced:
                    print(f"waiting for up to {self._limits.outage_seconds:g} s: {self._fault(error)}", file=sys.stderr,
                          flush=True)
                    announced = True
                time.sleep(self._limits.heartbeat_seconds)

    def _fault(self, error: BaseException) -> str:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
        return (f"{self.shown}: the database of {ADDRESS_VARIABLE} does not answer or refuses ({reason}): start it, or "
                f"mend {ADDRESS_VARIABLE} and PGHOST, PGPORT, PGUSER, PGPASSWORD")
