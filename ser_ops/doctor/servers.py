"""The servers that the environment names: which answer, in which version, and to whom."""

import configparser
import os
import socket
import sqlite3
import time
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, urlsplit

from ser_ops.config.params import Params
from ser_ops.doctor.finding import Finding
from ser_ops.errors import UserError
from ser_ops.storage.client import is_remote
from ser_ops.tracking.exchange import Refused, ask_json
from ser_ops.tracking.moved import moved_from
from ser_ops.tracking.server import (
    URI_VARIABLE,
    account,
    basic_login,
    check_server,
    login,
    probe,
    redacted,
    server_address,
    sqlite_file,
    tracking_uri,
)

_LONGEST_VERSION = 40  # characters; what is no version, a page say, is not repeated whole


def check_servers(folder: Path, params: Params) -> Iterator[Finding]:
    """MLflow, Prefect, the DVC remotes, the shared study and the Dask cluster."""
    limit = params.tracking.timeout
    yield from _check_mlflow(params, limit)
    yield from _check_prefect(limit)
    yield from _check_remotes(folder, limit)
    yield from _check_study(limit)
    yield from _check_dask(limit)


class Deadline:
    """The seconds that all questions to one server may take together."""

    def __init__(self, limit: float) -> None:
        self._end = time.monotonic() + limit

    def left(self) -> float:
        """Seconds that are left, 0.1 at least."""
        return max(0.1, self._end - time.monotonic())


def _check_mlflow(params: Params, limit: float) -> Iterator[Finding]:
    uri, deadline = tracking_uri(params), Deadline(limit)
    named_by = URI_VARIABLE if os.environ.get(URI_VARIABLE) else "tracking.uri of params.yaml"
    try:
        probe(uri, limit)
    except UserError as error:
        yield Finding.of_error("servers", "MLflow", error)
        return
    if not uri.startswith("http"):
        yield _check_store(sqlite_file(uri)) or \
            Finding("servers", "MLflow", "ok", f"{redacted(uri)} ({named_by}), no server")
        return
    address, user = server_address(uri), account(uri)[0]
    try:
        check_server(uri, deadline.left())
        version = str(ask_json(f"{address}/version", deadline.left(), login(uri)))[:_LONGEST_VERSION]
    except UserError as error:
        yield Finding.of_error("servers", "MLflow", error)
        return
    except Refused as refusal:
        yield Finding("servers", "MLflow", "fault", f"{address}: {refusal}",
                      "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if refusal.code in (401, 403)
                      else "look at the server's log")
        return
    ours = metadata.version("mlflow")
    words = f"{address} ({named_by}) answers {'to ' + user if user else 'without a login'}, version {version}"
    if version != ours:
        yield Finding("servers", "MLflow", "warning", f"{words}, here {ours}", f"bring the server to mlflow {ours}")
    else:
        yield Finding("servers", "MLflow", "ok", words)


def _check_store(file: Path | None) -> Finding | None:
    """What is to be said of a SQLite store; None when there is nothing."""
    if file is None:
        return None
    try:
        before = moved_from(file)
    except sqlite3.Error as error:
        return Finding("servers", "MLflow", "fault", f"{file} cannot be read ({error})", "restore it from a copy, or "
                       "wait for the process that holds it")
    if before is None:
        return None
    return Finding("servers", "MLflow", "warning", f"{file} was moved or copied here from {before}, and still names "
                   "artifacts there", "ser-ops compare (or any other command that opens it) rewrites that")


def _check_prefect(limit: float) -> Iterator[Finding]:
    settings = prefect_settings()
    uri = settings.get("PREFECT_API_URL")
    if not uri:
        yield Finding("servers", "Prefect", "off", "PREFECT_API_URL is not set: a flow that is called starts a "
                      "temporary server of its own, and there are no deployments")
        return
    address, header = redacted(uri.rstrip("/")), basic_login(settings.get("PREFECT_API_AUTH_STRING", ""))
    deadline = Deadline(limit)
    try:
        version = str(ask_json(f"{address}/admin/version", deadline.left(), header))[:_LONGEST_VERSION]
        pools = _list_names(f"{address}/work_pools/filter", deadline.left(), header)
        listed = [f"{pool['name']} {_online_workers(address, pool['name'], deadline.left(), header)}" for pool in pools]
    except Refused as refusal:
        yield Finding("servers", "Prefect", "fault", f"{address}: {refusal}",
                      "set PREFECT_API_AUTH_STRING to user:password" if refusal.code in (401, 403) else
                      "start it with prefect server start, or mend PREFECT_API_URL")
        return
    said = ", ".join(listed) or "none"
    yield Finding("servers", "Prefect", "ok", f"{address} answers, version {version}; pools: {said}")
    if not pools:
        yield Finding("servers", "Prefect pools", "warning", "there are none: a deployment has nowhere to run",
                      "python -m pipelines.deploy makes pools, deployments and what happens when a worker dies")


def prefect_settings() -> dict[str, str]:
    """The active profile of PREFECT_HOME/profiles.toml with the environment over it; empty where there is neither.

    Prefect itself is not imported: that takes seconds.
    """
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    file = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    profile: dict[str, str] = {}
    if file.is_file():
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            active = os.environ.get("PREFECT_PROFILE") or content.get("active", "")
            profile = {name: str(value) for name, value in content.get("profiles", {}).get(active, {}).items()}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            profile = {}
    return profile | {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}


def _list_names(url: str, limit: float, header: dict[str, str]) -> list[dict[str, str]]:
    """What Prefect lists there, each with its name. Raises Refused when what answers is not Prefect's list."""
    rows = ask_json(url, limit, header, {})
    named = isinstance(rows, list) and all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows)
    if not named:
        raise Refused("this is not a Prefect server")
    return list(rows)


def _online_workers(address: str, pool: str, limit: float, header: dict[str, str]) -> str:
    workers = _list_names(f"{address}/work_pools/{quote(pool, safe='')}/workers/filter", limit, header)
    online = sum(worker.get("status") == "ONLINE" for worker in workers)
    return f"({online} {'worker' if online == 1 else 'workers'} online)"


def _check_remotes(folder: Path, limit: float) -> Iterator[Finding]:
    for name, url in _dvc_remotes(folder).items():
        subject = f"DVC remote {name}"
        if is_remote(url):
            from ser_ops.storage.client import check_bucket
            try:
                yield Finding("servers", subject, "ok", f"{url} answers at {check_bucket(url, limit)}")
            except UserError as error:
                yield Finding.of_error("servers", subject, error)
        elif "://" in url:
            yield Finding("servers", subject, "ok", f"{redacted(url)} (not asked)")
        else:
            target = (folder / ".dvc" / url).resolve()
            yield (Finding("servers", subject, "ok", f"folder {target}") if target.is_dir() else
                   Finding("servers", subject, "fault", f"folder {target} is not here",
                           f"make it, or dvc remote modify {name} url ADDRESS"))


def _dvc_remotes(folder: Path) -> dict[str, str]:
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read([folder / ".dvc" / "config", folder / ".dvc" / "config.local"], encoding="utf-8")
    remotes = {section.strip("'").removeprefix("remote ").strip('"'): values.get("url", "")
               for section, values in settings.items() if section.strip("'").startswith("remote ")}
    chosen = settings.get("core", "remote", fallback=None)
    return {name: url for name, url in remotes.items() if chosen in (None, name)}


def _check_study(limit: float) -> Iterator[Finding]:
    uri = os.environ.get("OPTUNA_STORAGE")
    if not uri:
        yield Finding("servers", "tuning", "off", "OPTUNA_STORAGE is not set: the search stays on this machine")
        return
    import psycopg2

    from ser_ops.training.study_store import database_url
    try:
        url = database_url()
    except UserError as error:
        fault, _, mend = str(error).partition(": ")
        yield Finding("servers", "tuning", "fault", fault, mend)
        return
    shown = f"postgresql://{url.host or ''}/{url.database or ''}"
    try:
        connection = psycopg2.connect(url.set(drivername="postgresql").render_as_string(hide_password=False),
                                      connect_timeout=max(2, int(limit)))
    except psycopg2.Error as error:   # its words may repeat the address
        refused = "password" in str(error) or "does not exist" in str(error)
        yield Finding("servers", "tuning", "fault", f"{shown} {'refuses' if refused else 'does not answer'}",
                      "start PostgreSQL, and set PGHOST, PGPORT, PGUSER and PGPASSWORD")
        return
    version = connection.info.server_version // 10000
    connection.close()
    yield Finding("servers", "tuning", "ok", f"{shown} answers, PostgreSQL {version}")


def _check_dask(limit: float) -> Iterator[Finding]:
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not address:
        yield Finding("servers", "Dask", "off", "DASK_SCHEDULER_ADDRESS is not set: a process per core of this machine")
        return
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "localhost", parts.port or 8786), limit).close()
    except (OSError, ValueError) as error:
        yield Finding("servers", "Dask", "fault", f"{address} does not answer ({error})",
                      "start it with dask scheduler, or unset DASK_SCHEDULER_ADDRESS")
        return
    yield Finding("servers", "Dask", "ok", f"{address} answers")
