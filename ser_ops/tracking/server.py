"""Where the record lives: one URI, a server that answers in time or one clear line, and no credentials in either."""

import base64
import errno
import logging
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit, urlunsplit

from filelock import FileLock

from ser_ops.config import Params
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.tracking.outage import Away, is_away, patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI_VARIABLE = "MLFLOW_TRACKING_URI"
_SECRET = re.compile(r"(PASSWORD|TOKEN|SECRET_ACCESS_KEY|AUTH_STRING|API_KEY)$")
_SHORTEST_SECRET = 8    # a shorter one is a part of ordinary words
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_REMEDY = f"start it, or set {URI_VARIABLE} or tracking.uri in params.yaml"
_REMEDIES = {"UNAUTHENTICATED": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account there",
             "CUSTOMER_UNAUTHORIZED": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account there",
             "PERMISSION_DENIED": "ask its administrator for the permission"}
_reached: set[str] = set()  # stores that this process has used: one that then goes away is waited for


def tracking_uri(params: Params) -> str:
    """The tracking store in force: MLFLOW_TRACKING_URI in the environment, else tracking.uri of params.yaml."""
    return os.environ.get(URI_VARIABLE) or params.tracking.uri


def _secrets() -> set[str]:
    """The secrets of the environment, in each form in which they may be said."""
    found = {value for name, value in os.environ.items() if _SECRET.search(name)}
    login = os.environ.get("PREFECT_API_AUTH_STRING", "")
    found |= {login.partition(":")[2], base64.b64encode(login.encode()).decode()}
    return {one for one in found if len(one) >= _SHORTEST_SECRET}


def without_login(text: str) -> str:
    """`text` with user, password and query of every URI in it left out."""
    return re.sub(r"(\w://)([^\s'\"]*)@", r"\1", re.sub(r"(\w://[^\s'\"?]*)\?[^\s'\"]*", r"\1", text))


def public(text: str) -> str:
    """`text` with the credentials of every URI in it left out, and every secret of the environment.

    A secret of fewer than eight characters stays where no URI holds it.

    >>> public("http://ann:secret@host:5000/x is down, sqlite:///mlflow.db is not")
    'http://host:5000/x is down, sqlite:///mlflow.db is not'
    >>> public("postgresql://ann:se/c@ret@host/db?password=secret")
    'postgresql://host/db'
    """
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return without_login(text)


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other kind.

    >>> sqlite_file("sqlite:///mlflow.db"), sqlite_file("sqlite:////var/mlflow.db"), sqlite_file("http://host:5000")
    (PosixPath('mlflow.db'), PosixPath('/var/mlflow.db'), None)
    """
    scheme, _, path = uri.partition(":///")
    return Path(path.split("?")[0]) if scheme.split("+")[0] == "sqlite" and path else None


def _probe_sqlite(path: Path) -> None:
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():   # an empty one, made here, would pass for a database
            with path.open("ab"):
                pass
        writable = os.access(folder, os.W_OK)  # SQLite keeps its journal beside the file
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"sqlite:///{path}: the tracking database cannot be written: make its folder writable, or set "
                        f"{URI_VARIABLE} or tracking.uri in params.yaml")


def _probe_http(uri: str, parts: SplitResult, timeout: float) -> None:
    host = parts.netloc.rpartition("@")[2]
    health = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/health", "", ""))
    try:
        with urllib.request.urlopen(health, timeout=timeout):
            return
    except urllib.error.HTTPError as error:
        if error.code < 500:  # a proxy that asks who we are, or hides /health, stands before a server that is up
            return
        reason = f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)
        # Something answers. Which certificates to trust MLflow has settings of its own for, and judges by them.
        if isinstance(error, ssl.SSLError) or isinstance(cause, ssl.SSLError):
            return
        reason = str(cause)
    raise Away(f"{public(uri)}: the tracking server does not answer ({reason}): {_REMEDY}")


def _probe_database(uri: str, parts: SplitResult, port: int, timeout: float) -> None:
    try:
        socket.create_connection((parts.hostname or "localhost", parts.port or port), timeout).close()
    except (OSError, ValueError) as error:
        raise Away(f"{public(uri)}: the tracking database does not answer ({error}): {_REMEDY}") from None


def probe(uri: str, timeout: float) -> None:
    """Raise UserError within about `timeout` seconds when the tracking store cannot be used; else return.

    MLflow itself would try again for minutes.
    """
    parts = urlsplit(uri)
    kind = parts.scheme.split("+")[0]
    file = sqlite_file(uri)
    if file is not None:
        _probe_sqlite(file)
    elif kind in ("http", "https"):
        _probe_http(uri, parts, timeout)
    elif kind in _DATABASE_PORTS:
        _probe_database(uri, parts, _DATABASE_PORTS[kind], timeout)
    elif kind not in ("databricks", "databricks-uc", "uc"):
        raise UserError(f"{public(uri)}: no tracking store: give sqlite:///mlflow.db, postgresql://HOST/DATABASE or "
                        "http://HOST:5000")


def quiet() -> None:
    """Keep MLflow to errors: no links to runs on standard output, no log lines, no telemetry, few retries, no pickle.

    What the user has set in the environment stands.
    """
    for name, value in (("MLFLOW_LOGGING_LEVEL", "ERROR"), ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
                        ("MLFLOW_DISABLE_TELEMETRY", "true"), ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
                        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"), ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1"),
                        ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false"), ("GIT_PYTHON_REFRESH", "quiet")):
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])


@contextmanager
def one_line(uri: str) -> Iterator[None]:
    """Turn what MLflow raises about its store or server into one UserError line without credentials.

    It is `Away` for what may pass by itself.
    """
    quiet()
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError
    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, CommandError) as error:
        said = public(" ".join(str(error).split("\n", 1)[0].split()))
        said = said if len(said) <= 300 else said[:297] + "..."
        if is_away(error):
            raise Away(f"{public(uri)}: the tracking server went away ({said}): {_REMEDY}, then run the same command "
                       "again") from error
        remedy = _REMEDIES.get(getattr(error, "error_code", ""), "mend what it says")
        raise UserError(f"{public(uri)}: the tracking server refused ({said}): {remedy}, then run the same command "
                        "again") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise UserError(f"{error.filename or 'temporary folder'}: cannot be written ({error.strerror}): free space or "
                        "set TMPDIR, then run the same command again") from error


def reached(params: Params) -> bool:
    """Whether this process has used the tracking store in force before: a reason to wait when it is away."""
    return tracking_uri(params) in _reached


def connect(params: Params) -> "MlflowClient":
    """As `reach`; a store that this process has used before is waited for, up to tracking.outage seconds."""
    return patiently(lambda: reach(params), params.tracking.outage if reached(params) else 0.0)


def reach(params: Params) -> "MlflowClient":
    """A client of the tracking store in force, after a quick look whether it can be used.

    Raises UserError in one line, within tracking.timeout seconds, when it cannot.
    """
    uri = tracking_uri(params)
    probe(uri, params.tracking.timeout)
    file = sqlite_file(uri)
    with one_line(uri), nullcontext() if file is None else FileLock(f"{file}.lock"):
        import mlflow
        if file is not None and not (file.exists() and file.stat().st_size):
            with replacing(file) as fresh:  # the tables are made beside: a kill meanwhile leaves no half of them
                mlflow.MlflowClient(f"sqlite:///{fresh.absolute()}").search_experiments(max_results=1)
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient(uri)
        if file is not None:
            client.search_experiments(max_results=1)  # brings older tables up to date: one process alone may do that
        _reached.add(uri)
        return client
