"""The tracking store: its URI, a client of it in time or one clear line why not, and no credentials in any message.

A store is a SQLite file, a database or an MLflow server. MLflow itself would wait for one that is away for minutes.
"""

import base64
import errno
import getpass
import logging
import os
import re
import sqlite3
import ssl
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from http.client import HTTPException
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from filelock import FileLock, Timeout

from ser_ops.config.params import Params
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.tracking.exchange import Refused, ask_json, bound_requests, fetch_body, reason, with_deadline
from ser_ops.tracking.moved import mend_addresses
from ser_ops.tracking.outage import (
    Away,
    is_away,
    is_full,
    is_locked,
    is_no_database,
    is_read_only,
    lock_holders,
    wait_while_away,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI_VARIABLE = "MLFLOW_TRACKING_URI"
_SECRET = re.compile(r"(PASSWORD|TOKEN|SECRET_ACCESS_KEY|AUTH_STRING|API_KEY)$")
_SHORTEST_SECRET = 8    # a shorter one is a part of ordinary words
_DATABASES = ("postgresql", "mysql", "mssql")
_DATABASE_REFUSES = re.compile("password|denied|does not exist|no pg_hba", re.IGNORECASE)
_REMEDY = f"start it, or set {URI_VARIABLE} or tracking.uri in params.yaml"
_REMEDIES = {"UNAUTHENTICATED": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account there",
             "CUSTOMER_UNAUTHORIZED": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account there",
             "PERMISSION_DENIED": "ask its administrator for the permission"}
_OTHER_STORE = f"set {URI_VARIABLE} or tracking.uri in params.yaml to another, or restore it from a copy"
_reached: set[str] = set()  # stores that this process has used: one that then goes away is waited for


def tracking_uri(params: Params) -> str:
    """The tracking store in force: MLFLOW_TRACKING_URI in the environment, else tracking.uri of params.yaml."""
    return os.environ.get(URI_VARIABLE) or params.tracking.uri


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other kind.

    >>> sqlite_file("sqlite:///mlflow.db"), sqlite_file("sqlite:////var/mlflow.db"), sqlite_file("http://host:5000")
    (PosixPath('mlflow.db'), PosixPath('/var/mlflow.db'), None)
    """
    scheme, _, path = uri.partition(":///")
    return Path(path.split("?")[0]) if scheme.split("+")[0] == "sqlite" and path else None


def connect(params: Params, make: bool = True) -> "MlflowClient":
    """A client of the tracking store in force, as `connect_once` gives it.

    A store that this process has used before and that is away now is waited for, up to tracking.outage seconds.
    """
    return wait_while_away(lambda: connect_once(params, make), params.tracking.outage if was_reached(params) else 0.0)


def was_reached(params: Params) -> bool:
    """Whether this process has used the tracking store in force before, and so may wait for it."""
    return tracking_uri(params) in _reached


def connect_once(params: Params, make: bool = True) -> "MlflowClient":
    """A client of the tracking store in force, after a quick look whether the store can be used.

    Args:
        params: Name the store, unless MLFLOW_TRACKING_URI does, and the limits of waiting.
        make: Make a SQLite store that is missing, with its folder. False for a command that only reads.

    Raises:
        UserError: The store cannot be used, in one line and within tracking.timeout seconds; `Away` where it may be
            back later.
    """
    uri, end = tracking_uri(params), time.monotonic() + params.tracking.timeout
    probe(uri, params.tracking.timeout)
    if uri.startswith(("http://", "https://")):
        _check_server_in_time(uri, max(0.1, end - time.monotonic()))
    file = sqlite_file(uri)
    if file is not None and not make:
        if not _is_made(file):
            raise UserError(f"{file}: there is no tracking database: run make demo or dvc repro, which make it, or set "
                            f"{URI_VARIABLE} or tracking.uri in params.yaml to the right one")
        _check_tables(file)
    with mlflow_errors(uri), _exclusive(file, params.tracking.outage):
        import mlflow
        if file is not None and not _is_made(file):
            with replacing(file) as fresh:  # the tables are made beside: a kill meanwhile leaves no half of them
                mlflow.MlflowClient(f"sqlite:///{fresh.absolute()}").search_experiments(max_results=1)
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient(uri)
        if file is not None:
            client.search_experiments(max_results=1)  # brings older tables up to date: one process alone may do that
            _mend_addresses(file)
        _reached.add(uri)
        return client


def _is_made(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _check_tables(file: Path) -> None:
    """Raise UserError for a SQLite file that is no store of MLflow: MLflow would make its tables in it."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as store:
            named = store.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone()
    except sqlite3.Error as error:
        raise _unreadable(file, error) from error
    if not named:
        raise UserError(f"{file}: not an MLflow database, or a damaged one (it has no experiments): {_OTHER_STORE}")


@contextmanager
def _exclusive(file: Path | None, seconds: float) -> Iterator[None]:
    """Hold a SQLite store while its tables are made or changed; UserError after `seconds` in which another does."""
    lock = nullcontext() if file is None else FileLock(f"{file}.lock", timeout=seconds)
    try:
        if file is not None:
            file.absolute().parent.mkdir(parents=True, exist_ok=True)
        with lock:
            yield
    except Timeout:
        assert file is not None
        raise locked_by(file) from None


def locked_by(file: Path) -> Away:
    """The error that another process holds a SQLite store; it names the process where Linux tells."""
    others = lock_holders(file)
    who = f"process {', '.join(map(str, others))}" if others else "another process"
    return Away(f"{file}: the tracking database is locked by {who}: wait for it or end it, then run the same command "
                "again")


def _mend_addresses(file: Path) -> None:
    """Correct the addresses in a store that was moved or copied with its folder, before anything is written to it."""
    try:
        done = mend_addresses(file)
    except sqlite3.Error as error:
        raise _unreadable(file, error) from error
    if done:
        print(done, file=sys.stderr, flush=True)


def _unreadable(file: Path, error: sqlite3.Error) -> UserError:
    return _local_fault(f"sqlite:///{file}", error, str(error)) or UserError(
        f"{file}: cannot be read ({error}): {_OTHER_STORE}")


def probe(uri: str, timeout: float) -> None:
    """Raise UserError within about `timeout` seconds when the tracking store cannot be used."""
    kind = _kind(uri)
    file = sqlite_file(uri)
    if file is not None:
        _probe_sqlite(file)
    elif kind in ("http", "https"):
        _probe_http(uri, timeout)
    elif kind in _DATABASES:
        _probe_database(uri, timeout)
    elif kind not in ("databricks", "databricks-uc", "uc"):
        raise UserError(f"{redacted(uri)}: no tracking store: give sqlite:///mlflow.db, postgresql://HOST/DATABASE or "
                        "http://HOST:5000")


def _kind(uri: str) -> str:
    """The scheme of a tracking store. Raises UserError for an address that is none."""
    try:
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https"):
            _ = parts.port  # read, it is checked
    except ValueError as error:
        raise UserError(f"{redacted(uri)}: no address ({error}): set {URI_VARIABLE} or tracking.uri in params.yaml to "
                        "http://HOST:PORT") from None
    return parts.scheme.split("+")[0]


def _probe_sqlite(path: Path) -> None:
    try:
        if path.exists():   # an empty one, made here, would pass for a database
            if not path.is_file():  # to open a pipe is to wait without end
                raise UserError(f"sqlite:///{path}: is a folder, a pipe or a device, not a file: set {URI_VARIABLE} or "
                                "tracking.uri in params.yaml to a file")
            with path.open("ab"):
                pass
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        writable = folder.is_dir() and os.access(folder, os.W_OK)  # SQLite keeps its journal beside the file
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"sqlite:///{path}: the tracking database cannot be written: make its folder writable, or set "
                        f"{URI_VARIABLE} or tracking.uri in params.yaml")


def _probe_http(uri: str, timeout: float) -> None:
    try:
        fetch_body(f"{server_address(uri)}/health", timeout)
        return
    except urllib.error.HTTPError as error:
        if error.code < 500:  # a proxy that asks who we are, or hides /health, stands before a server that is up
            return
        said = f"HTTP {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        # Something answers. Which certificates to trust MLflow has settings of its own for, and judges by them.
        if isinstance(error, ssl.SSLError) or isinstance(getattr(error, "reason", error), ssl.SSLError):
            return
        said = reason(error)
    raise Away(f"{redacted(uri)}: the tracking server does not answer ({said}): {_REMEDY}")


def _probe_database(uri: str, timeout: float) -> None:
    """Connect as MLflow would, once; MLflow itself tries ten times, for minutes."""
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import SQLAlchemyError
    try:
        with_deadline(timeout, lambda: create_engine(uri, poolclass=NullPool).connect().close())
    except ImportError as error:
        raise UserError(f"{redacted(uri)}: no driver for this database is installed ({error}): write "
                        "postgresql+psycopg2, or install one") from None
    except (OSError, ValueError, SQLAlchemyError) as error:
        said = redacted(" ".join(str(error).split("\n", 1)[0].split()))[:200]
        if _DATABASE_REFUSES.search(str(error)):
            raise UserError(f"{redacted(uri)}: the tracking database refused ({said}): set PGUSER and PGPASSWORD to an "
                            "account that may enter it") from None
        raise Away(f"{redacted(uri)}: the tracking database does not answer ({said}): {_REMEDY}") from None


def check_server(uri: str, limit: float) -> None:
    """Raise UserError when the server at `uri` is not MLflow's; MLflow's client would believe any answer.

    limit: seconds for the question and its answer. Raises `Refused` when there is no answer, or the login is refused.
    """
    try:
        answer = ask_json(f"{server_address(uri)}/api/2.0/mlflow/experiments/search", limit, login(uri),
                          {"max_results": 1})
    except Refused as refusal:
        if refusal.code not in (404, 405):
            raise
        answer = None
    if not isinstance(answer, dict) or answer.keys() - {"experiments", "next_page_token"}:
        raise UserError(f"{redacted(uri)}: this is not an MLflow server: set {URI_VARIABLE} or tracking.uri "
                        "in params.yaml to the address of one")


def _check_server_in_time(uri: str, limit: float) -> None:
    try:
        check_server(uri, limit)
    except Refused as refusal:
        cause = refusal.__cause__
        if refusal.code not in (401, 403) and not isinstance(getattr(cause, "reason", cause), ssl.SSLError):
            raise Away(f"{redacted(uri)}: the tracking server {refusal}: {_REMEDY}") from None


def server_address(uri: str) -> str:
    """The address of a tracking server without user, password and query.

    >>> server_address("http://ann:secret@host:5000/mlflow/?x=1")
    'http://host:5000/mlflow'
    """
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def login(uri: str) -> dict[str, str]:
    """The header with which MLflow itself would log in to a server, from the environment or the URI; {} for none."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user, password = account(uri)
    return basic_login(f"{user}:{password}")


def account(uri: str) -> tuple[str, str]:
    """The user and the password in force for a tracking server; '' for one that is not named."""
    parts = urlsplit(uri)
    return (os.environ.get("MLFLOW_TRACKING_USERNAME") or unquote(parts.username or ""),
            os.environ.get("MLFLOW_TRACKING_PASSWORD") or unquote(parts.password or ""))


def user(params: Params) -> str:
    """Who acts on the tracking server: the account there or, where there is none, the one of this machine."""
    try:
        return account(tracking_uri(params))[0] or getpass.getuser()
    except (OSError, KeyError):     # a container's user without a name
        return f"uid {os.getuid()}"


def basic_login(pair: str) -> dict[str, str]:
    """The header of a login USER:PASSWORD; {} where both are empty.

    >>> basic_login("ann:secret"), basic_login(":")
    ({'Authorization': 'Basic YW5uOnNlY3JldA=='}, {})
    """
    return {"Authorization": f"Basic {base64.b64encode(os.fsencode(pair)).decode()}"} if pair.strip(":") else {}


def redacted(text: str) -> str:
    """`text` with the credentials of every URI in it left out, and every secret of the environment.

    A secret of fewer than eight characters stays where no URI holds it.

    >>> redacted("http://ann:secret@host:5000/x is down, sqlite:///mlflow.db is not")
    'http://host:5000/x is down, sqlite:///mlflow.db is not'
    >>> redacted("postgresql://ann:se/c@ret@host/db?password=secret")
    'postgresql://host/db'
    """
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return without_login(text)


def without_login(text: str) -> str:
    """`text` with user, password and query of every URI in it left out."""
    return re.sub(r"(\w://)([^\s'\"]*)@", r"\1", re.sub(r"(\w://[^\s'\"?]*)\?[^\s'\"]*", r"\1", text))


def _secrets() -> set[str]:
    """The secrets of the environment, in each form in which they may be said."""
    secrets = {value for name, value in os.environ.items() if _SECRET.search(name)}
    login = os.environ.get("PREFECT_API_AUTH_STRING", "")
    secrets |= {login.partition(":")[2], base64.b64encode(os.fsencode(login)).decode()}
    return {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}


def quiet_mlflow() -> None:
    """Set MLflow's environment: errors alone are logged, no telemetry, no pickle, few retries, limits of waiting.

    What the user has set in the environment stands.
    """
    for name, value in (("MLFLOW_LOGGING_LEVEL", "ERROR"), ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
                        ("MLFLOW_DISABLE_TELEMETRY", "true"), ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
                        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"), ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
                        ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1"),
                        ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false"), ("GIT_PYTHON_REFRESH", "quiet"),
                        ("PGCONNECT_TIMEOUT", "30")):
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    if os.environ["MLFLOW_LOGGING_LEVEL"] == "ERROR":   # there it logs a traceback of what it then raises
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


@contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises in the block about the store `uri` into one UserError line without credentials.

    It is an `Away` for what may pass by itself. Requests in the block have deadlines (`bound_requests`).
    """
    quiet_mlflow()
    bound_requests()
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException, RestException
    from requests.exceptions import JSONDecodeError, RequestException
    from sqlalchemy.exc import SQLAlchemyError
    kind = "database" if uri.startswith(("sqlite", *_DATABASES)) else "server"
    try:
        yield
    except JSONDecodeError as error:
        raise _not_mlflow(uri, error) from error
    except (MlflowException, RequestException, SQLAlchemyError, CommandError) as error:
        said = redacted(" ".join(str(error).split("\n", 1)[0].split()))
        said = said if len(said) <= 300 else said[:297] + "..."
        if not isinstance(error, RestException | RequestException) and (fault := _local_fault(uri, error, said)):
            raise fault from error
        if is_full(error):
            raise Away(f"{redacted(uri)}: the tracking {kind} has no space left ({said}): free space there, then run "
                       "the same command again") from error
        if is_away(error):
            raise Away(f"{redacted(uri)}: the tracking {kind} went away ({said}): {_REMEDY}, then run the same command "
                       "again") from error
        remedy = _REMEDIES.get(getattr(error, "error_code", ""), "mend what it says")
        raise UserError(f"{redacted(uri)}: the tracking {kind} refused ({said}): {remedy}, then run the same command "
                        "again") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise UserError(f"{error.filename or 'temporary folder'}: cannot be written ({error.strerror}): free space or "
                        "set TMPDIR, then run the same command again") from error
    except Exception as error:
        if kind == "server" and _raised_in_mlflow(error):
            raise _not_mlflow(uri, error) from error
        raise


def _local_fault(uri: str, error: Exception, said: str) -> UserError | None:
    """The error of this machine's own disk or SQLite file, when MLflow's exception is about one; else None."""
    file, retry = sqlite_file(uri), "then run the same command again"
    if is_full(error):
        where, free = (str(file), "free space") if file else ("temporary folder", "free space or set TMPDIR")
        return UserError(f"{where}: no space left ({said}): {free}, {retry}")
    if file is not None and is_locked(error):
        return locked_by(file)
    if file is not None and is_read_only(error):
        return UserError(f"{file}: the tracking database cannot be written ({said}): make it and its folder writable, "
                         f"{retry}")
    return UserError(f"{file}: not an MLflow database, or a damaged one ({said}): {_OTHER_STORE}") \
        if file is not None and is_no_database(error) else None


def _not_mlflow(uri: str, error: Exception) -> UserError:
    """The error that MLflow's client could not read an answer."""
    said = redacted(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
    return UserError(f"{redacted(uri)}: this is not an MLflow server, or one of another version ({said}): "
                     f"set {URI_VARIABLE} or tracking.uri in params.yaml to the address of one")


def _raised_in_mlflow(error: Exception) -> bool:
    """Whether an error was raised in MLflow's client, below the last frame of ser_ops."""
    rooms = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    while "ser_ops" in rooms:
        rooms = rooms[rooms.index("ser_ops") + 1:]
    return "mlflow" in rooms
