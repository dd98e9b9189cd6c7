"""One thread per process, as in every stage, no server of a team, and which tests stay in one process."""

import gc
import multiprocessing.spawn
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from warm_programs import warm_programs

gc.disable()    # until the tests are collected: what is imported stays, and looking for garbage in it takes seconds
collect_ignore = ["moments"]      # it is loaded by name, and systems have a module of that name too
PROJECT = Path(__file__).parents[1]
sys.path.append(str(PROJECT))   # benchmarks/ lies beside ser_ops and is not installed
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
settings.register_profile("project", deadline=None)     # an example may wait long on a machine that others use too
settings.load_profile("project")
# A developer's shell may name the team's servers; no test may write there.
_TEAM = ("MLFLOW_TRACKING_", "PREFECT_API_", "AWS_", "PG", "OPTUNA_", "DASK_")
for name in [name for name in os.environ if name.startswith(_TEAM)]:
    del os.environ[name]


def pytest_configure() -> None:
    """Before the workers start: all of a session have one server of warm programs, which loads when it is asked."""
    warm_programs()


# Rooms whose tests share what is dear to start: one process takes all of a room. The longest first.
_SHARED_ROOMS = ("tests/stack/", "tests/end_to_end/")


def _unit_of(nodeid: str) -> str:
    """What stays in one process: a room that shares its servers or its pipeline, else a file."""
    return next((room for room in _SHARED_ROOMS if nodeid.startswith(room)), nodeid.split("::")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever talks to a server is slow; the long ones first, so that none is left for a lonely process at the end."""
    rooms = {room: place for place, room in enumerate(_SHARED_ROOMS)}
    for item in items:
        if _unit_of(item.nodeid) in rooms or "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("no_cover")     # its lines run hundreds of times, and each of them would cost twice as much
    slow = {_unit_of(item.nodeid) for item in items if item.get_closest_marker("slow")}

    def order(item: pytest.Item) -> tuple[int, bool]:
        unit = _unit_of(item.nodeid)
        return rooms.get(unit, len(rooms)), unit not in slow

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """From here on garbage is looked for in what the tests make, and no longer in all that was imported."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """-n auto: one for each core, and one more where some talk to servers and mostly wait."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if config.option.markexpr == "not slow" else cores + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Shared out by `_unit_of`, in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit_of(nodeid)

    config.option.loadscopereorder = False
    return ByUnit(config, log)


@pytest.fixture
def warm_children() -> Iterator[None]:
    """What multiprocessing spawns from this process finds its libraries loaded."""
    before = multiprocessing.spawn.get_executable()
    multiprocessing.spawn.set_executable(str(warm_programs() / "python"))
    yield
    multiprocessing.spawn.set_executable(before)


@pytest.fixture(autouse=True)
def no_server_of_another_test() -> Iterator[None]:
    """MLflow writes the server that it was pointed at into the environment, where the next test would find it."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = before
