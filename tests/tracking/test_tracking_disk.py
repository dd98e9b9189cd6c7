"""This machine's own disk under a SQLite store: full, read-only or held by another process, each called what it is."""

import errno
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tracking_project import PARAMS

from ser_ops.config.params import Params
from ser_ops.errors import UserError
from ser_ops.tracking.compare import latest_models
from ser_ops.tracking.outage import Away, is_full, is_locked, is_read_only, lock_holders
from ser_ops.tracking.runs import open_run
from ser_ops.tracking.server import connect, mlflow_errors

HOLD = """
import sqlite3, sys
held = sqlite3.connect("mlflow.db", isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A project with a SQLite store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(update={"outage": 2.0})})
    connect(made)
    return made


@pytest.fixture
def pragma() -> Iterator[Callable[[str], None]]:
    """Have SQLite do as on another disk, from each connection on."""
    listeners: list[Callable[..., None]] = []

    def demand(statement: str) -> None:
        def listener(connection: sqlite3.Connection, _: object) -> None:
            connection.execute(f"PRAGMA {statement}")
        event.listen(Engine, "connect", listener)
        listeners.append(listener)
        # What MLflow keeps of earlier connections knows nothing of it.
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        for engine in SqlAlchemyStore._engine_map.values():
            engine.dispose()

    yield demand
    for listener in listeners:
        event.remove(Engine, "connect", listener)


def test_a_full_disk_is_called_that_and_not_waited_for(local: Params, pragma: Callable[[str], None]) -> None:
    pages = sqlite3.connect("mlflow.db").execute("PRAGMA page_count").fetchone()[0]
    pragma(f"max_page_count={pages}")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"mlflow\.db: no space left .*: free space") as raised, \
            open_run(local, "train", {}) as run:
        for step in range(200):
            run.metrics({f"m{number}": 1.0 for number in range(50)}, step)
    assert not isinstance(raised.value, Away) and "\n" not in str(raised.value)
    assert time.monotonic() - began < 20


def test_a_database_that_may_only_be_read_is_called_that(local: Params, pragma: Callable[[str], None]) -> None:
    pragma("query_only=ON")
    with pytest.raises(UserError, match=r"mlflow\.db: the tracking database cannot be written .*writable") as raised, \
            open_run(local, "train", {}):
        pass
    assert not isinstance(raised.value, Away) and "\n" not in str(raised.value)


def test_a_locked_database_is_called_locked_and_by_whom(local: Params,
                                                            capfd: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        try:
            named = lock_holders(Path("mlflow.db"))
            with pytest.raises(UserError, match=r"mlflow\.db: the tracking database is locked by .*process") as raised:
                latest_models(local)
            assert "\n" not in str(raised.value) and "wait for it or end it" in str(raised.value)
            if named:   # where Linux tells
                assert named == [holder.pid] and f"process {holder.pid}" in str(raised.value)
        finally:
            holder.communicate()
    assert "Traceback" not in capfd.readouterr().err
    assert latest_models(local) == [], "and then goes on as if nothing had been"


def test_who_makes_the_tables_is_not_waited_for_without_end(local: Params) -> None:
    hold = "import sys; from filelock import FileLock; lock = FileLock('mlflow.db.lock'); lock.acquire(); " \
           "print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline()
        try:
            with pytest.raises(UserError, match="is locked by"):
                connect(local)
        finally:
            holder.communicate()


def wrapped(inner: Exception, outer: type[Exception] = MlflowException) -> Exception:
    """As MLflow wraps what it meets."""
    try:
        try:
            raise inner
        except Exception as error:
            raise outer(f"The following failures occurred while downloading artifacts: {error!r}") from error
    except Exception as error:
        return error


FULL = [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded"),
        sqlite3.OperationalError("database or disk is full")]


@pytest.mark.parametrize("inner", FULL, ids=str)
@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "http://127.0.0.1:5000"])
def test_however_it_is_wrapped(inner: Exception, uri: str) -> None:
    """MLflow's own code for it is INTERNAL_ERROR, as for a server that went away."""
    for error in (inner, wrapped(inner), MlflowException(f"failed: {inner!r}"), wrapped(wrapped(inner), RuntimeError)):
        assert is_full(error)
        if isinstance(error, MlflowException):
            with pytest.raises(UserError, match="no space left") as raised, mlflow_errors(uri):
                raise error
            assert not isinstance(raised.value, Away), "this machine's disk is not waited for"


def test_a_server_whose_disk_is_full_is_named_and_may_be_mended_meanwhile() -> None:
    answer = {"error_code": "INTERNAL_ERROR", "message": "[Errno 28] No space left on device: '/srv/mlflow'"}
    with pytest.raises(Away, match=r"http://host:5000: the tracking server has no space left .*: free space there"), \
            mlflow_errors("http://host:5000"):
        raise RestException(answer)


def test_other_errors_are_none_of_these() -> None:
    for error in (MlflowException("no such run"), OSError(errno.EPIPE, "Broken pipe"), wrapped(ValueError("x"))):
        assert not is_full(error) and not is_locked(error) and not is_read_only(error)
    with pytest.raises(UserError, match="refused"), mlflow_errors("sqlite:///mlflow.db"):
        raise mlflow.exceptions.MlflowException("no such run", error_code=5)
