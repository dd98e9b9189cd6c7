"""One study in PostgreSQL, several machines: every trial finished exactly once, and the result of one machine."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState
from searching_machine import LIMITS, OBJECTIVES, settings
from warm_programs import send_signal, warm_programs

from infra.stack import Stack
from ser_ops.errors import UserError
from ser_ops.training.shared_search import outcome_of
from ser_ops.training.study_store import StudyStore
from ser_ops.training.tuning import Outcome, make_trial, search
from ser_ops.training.world import process_map

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MACHINE = Path(__file__).parent / "searching_machine.py"
JUMPING = """
import random, time
real, jump = time.time, random.Random(3)
time.time = lambda: real() + jump.uniform(-1e6, 1e6)
"""


class Team:
    """Machines that search together: processes that have the database, a folder each, and nothing else in common."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder, self.study = folder, study
        self.store = StudyStore(study, LIMITS)
        self.running: list[subprocess.Popen[str]] = []

    def start(self, name: str, slow: float = 0.0, objective: str = "made",
              lost: float = LIMITS.lost_seconds, **variables: str) -> "subprocess.Popen[str]":
        self.running.append(subprocess.Popen(
            [warm_programs() / "python", MACHINE, self.study, self.folder / name, str(slow), objective, str(lost)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables}, stderr=subprocess.PIPE, text=True))
        return self.running[-1]

    def ended_well(self, *machines: "subprocess.Popen[str]") -> None:
        for one in machines:
            _, said = one.communicate(timeout=120)
            assert one.returncode == 0, said

    def trained(self) -> dict[int, int]:
        """Epochs that were trained, of each trial, on all machines."""
        found: dict[int, int] = {}
        for file in self.folder.glob("*/marks/*"):
            found[int(file.name)] = found.get(int(file.name), 0) + len(file.read_text())
        return found

    def kept(self, name: str, trial: int) -> int:
        """Epochs of a trial that a machine's checkpoint has."""
        folder = make_trial(settings(), self.folder / name / "state", trial, {}).folder / "checkpoint"
        return max((int(one.name.removeprefix("epoch-")) for one in folder.glob("epoch-*")), default=0)

    def in_trial(self, name: str, epoch: int = 2) -> int:
        """Wait until a machine has done so many epochs of a trial that runs; which one."""
        def now() -> int | None:
            for one in self.store.attempts():
                file = self.folder / name / "marks" / str(one.user_attrs["number"])
                if not one.state.is_finished() and file.exists() and len(file.read_text()) == epoch:
                    return int(file.name)
            return None
        return _until(now)

    def check(self, objective: str = "made") -> list[Outcome]:
        """Every trial has one outcome, that of one machine alone, and nothing is left running."""
        attempts = self.store.attempts()
        outcomes = sorted((one for one in map(outcome_of, attempts) if one), key=lambda one: one.number)
        (self.folder / "alone").mkdir()
        with process_map(1) as parallel:
            alone = search(settings(), OBJECTIVES[objective](self.folder / "alone"), self.folder / "alone", parallel)
        assert outcomes == alone
        assert all(one.state.is_finished() for one in attempts)
        assert sum(one.state in (TrialState.COMPLETE, TrialState.PRUNED) for one in attempts) == len(alone)
        return outcomes


def _until(found: Callable[[], int | None]) -> int:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if (value := found()) is not None:
            return value
        time.sleep(0.02)
    raise AssertionError("it never came to that")


@pytest.fixture
def team(postgres: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
         request: pytest.FixtureRequest) -> Iterator[Team]:
    for name, value in postgres.environment.items():
        if name.startswith(("PG", "OPTUNA")):
            monkeypatch.setenv(name, value)
    made = Team(tmp_path, request.node.name)
    made.store.create()
    yield made
    for one in made.running:
        send_signal(one, signal.SIGKILL)
        one.communicate()


def test_two_machines_one_killed_and_the_database_restarted(team: Team, postgres: Stack) -> None:
    one, two = team.start("one", 0.15), team.start("two", 0.15)
    killed = team.in_trial("one")
    send_signal(one, signal.SIGKILL)
    one.wait()
    wasted = len((team.folder / "one" / "marks" / str(killed)).read_text())
    team.in_trial("two", epoch=1)
    postgres.kill("postgres")
    time.sleep(1)
    postgres.start("postgres")
    team.ended_well(two, team.start("three"))
    outcomes = team.check()
    lengths = {one.number: len(one.uars) for one in outcomes}
    assert team.trained() == lengths | {killed: lengths[killed] + wasted}, "no other trial was trained twice"


def test_killed_and_started_again_it_goes_on_at_once_from_its_checkpoint(team: Team) -> None:
    one = team.start("one", 0.3, "real")
    killed = team.in_trial("one", epoch=3)
    send_signal(one, signal.SIGKILL)
    one.wait()
    kept = team.kept("one", killed)
    wasted = team.trained()[killed] - kept
    assert kept >= 2 and wasted in (0, 1), "each epoch is kept before the next one begins"
    team.ended_well(team.start("one", objective="real", lost=1000))
    outcomes = team.check("real")
    lengths = {one.number: len(one.uars) for one in outcomes}
    assert team.trained() == lengths | {killed: lengths[killed] + wasted}, "no epoch that was kept was trained twice"
    first, second = [one for one in team.store.attempts() if one.user_attrs["number"] == killed]
    assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE) and first.params == second.params


def test_a_machine_that_stood_still_gives_its_trial_up(team: Team) -> None:
    one = team.start("one", 0.15)
    stopped = team.in_trial("one")
    send_signal(one, signal.SIGSTOP)
    two = team.start("two")

    def taken_up() -> int | None:
        found = [one for one in map(outcome_of, team.store.attempts()) if one and one.number == stopped]
        return stopped if found else None

    _until(taken_up)
    send_signal(one, signal.SIGCONT)
    team.ended_well(one, two)
    team.check()


def test_clocks_that_jump_change_nothing(team: Team, tmp_path: Path) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(JUMPING)
    path = os.pathsep.join([str(tmp_path / "clock"), os.environ.get("PYTHONPATH", "")])
    one, two = team.start("one", 0.05, PYTHONPATH=path), team.start("two", 0.05)
    team.ended_well(one, two)
    outcomes = team.check()
    assert team.trained() == {one.number: len(one.uars) for one in outcomes}, "nobody was taken for lost"


def test_a_database_that_stays_away_is_one_line_and_nothing_is_lost(team: Team, postgres: Stack) -> None:
    impatient = StudyStore(team.study, LIMITS.model_copy(update={"outage_seconds": 1}))
    assert impatient.attempts() == []
    postgres.kill("postgres")
    try:
        with pytest.raises(UserError, match=r"does not answer or refuses \(.*\): start it.*run the same command again"):
            impatient.attempts()
    finally:
        postgres.start("postgres")
    assert impatient.attempts() == []


@pytest.mark.parametrize(("variable", "value", "said"), [
    ("PGPASSWORD", "planted-secret", "password authentication failed"),
    ("OPTUNA_STORAGE", "postgresql://postgres:planted-secret@127.0.0.1/optuna", "refuses"),
    ("OPTUNA_STORAGE", "postgresql:///nowhere", 'database "nowhere" does not exist'),
    ("OPTUNA_STORAGE", "postgresql://someone:planted@secret@host/optuna", "%40"),
    ("OPTUNA_STORAGE", "sqlite:///planted-secret.db", "no address that machines can share"),
    ("OPTUNA_STORAGE", "planted-secret", "no address that machines can share")])
def test_a_wrong_address_is_one_line_without_the_password(team: Team, monkeypatch: pytest.MonkeyPatch, variable: str,
                                                          value: str, said: str) -> None:
    monkeypatch.setenv(variable, value)
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        StudyStore(team.study, LIMITS).check()
    text = str(caught.value)
    assert said in text and "planted" not in text and "secret" not in text and "\n" not in text
    assert time.monotonic() - began < 20
