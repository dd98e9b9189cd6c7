"""The servers that the environment names: which answer, in which version, and to whom."""

import configparser
import os
import socket
from base64 import b64encode
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from ser_ops.config import Params
from ser_ops.doctor.asking import Refused, ask
from ser_ops.doctor.finding import Finding
from ser_ops.doctor.prefect_settings import prefect_settings
from ser_ops.errors import UserError
from ser_ops.storage import is_remote
from ser_ops.tracking.server import URI_VARIABLE, probe, public, tracking_uri


def look(folder: Path, params: Params) -> Iterator[Finding]:
    """MLflow, Prefect, the DVC remotes, the shared study and the Dask cluster."""
    limit = params.tracking.timeout
    yield from _mlflow(params, limit)
    yield from _prefect(limit)
    yield from _remotes(folder, limit)
    yield from _study(limit)
    yield from _dask(limit)


def _basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"} if pair.strip(":") else {}


def _mlflow(params: Params, limit: float) -> Iterator[Finding]:
    uri = tracking_uri(params)
    named_by = URI_VARIABLE if os.environ.get(URI_VARIABLE) else "tracking.uri of params.yaml"
    try:
        probe(uri, limit)
    except UserError as error:
        fault, _, mend = str(error).rpartition(": ")
        yield Finding("servers", "MLflow", "fault", fault, mend)
        return
    if not uri.startswith("http"):
        yield Finding("servers", "MLflow", "ok", f"{public(uri)} ({named_by}), no server")
        return
    parts = urlsplit(uri)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or parts.username or ""
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or parts.password or ""
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    try:
        version = str(ask(f"{root}/version", limit, _basic(f"{user}:{password}")))
        ask(f"{root}/api/2.0/mlflow/experiments/search", limit, _basic(f"{user}:{password}"), {"max_results": 1})
    except Refused as refusal:
        yield Finding("servers", "MLflow", "fault", f"{root}: {refusal}",
                      "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if refusal.code in (401, 403)
                      else "look at the server's log")
        return
    ours = metadata.version("mlflow")
    words = f"{root} ({named_by}) answers {'to ' + user if user else 'without a login'}, version {version}"
    if version != ours:
        yield Finding("servers", "MLflow", "warning", f"{words}, here {ours}", f"bring the server to mlflow {ours}")
    else:
        yield Finding("servers", "MLflow", "ok", words)


def _prefect(limit: float) -> Iterator[Finding]:
    settings = prefect_settings()
    uri = settings.get("PREFECT_API_URL")
    if not uri:
        yield Finding("servers", "Prefect", "off", "PREFECT_API_URL is not set: a flow that is called starts a "
                      "temporary server of its own, and there are no deployments")
        return
    root, login = public(uri.rstrip("/")), _basic(settings.get("PREFECT_API_AUTH_STRING", ""))
    try:
        version = ask(f"{root}/admin/version", limit, login)
        pools = ask(f"{root}/work_pools/filter", limit, login, {})
        listed = [f"{pool['name']} {_workers(root, pool['name'], limit, login)}" for pool in pools]
    except Refused as refusal:
        yield Finding("servers", "Prefect", "fault", f"{root}: {refusal}",
                      "set PREFECT_API_AUTH_STRING to user:password" if refusal.code in (401, 403) else
                      "start it with prefect server start, or mend PREFECT_API_URL")
        return
    said = ", ".join(listed) or "none"
    yield Finding("servers", "Prefect", "ok", f"{root} answers, version {version}; pools: {said}")
    if not pools:
        yield Finding("servers", "Prefect pools", "warning", "there are none: a deployment has nowhere to run",
                      "python -m pipelines.deploy makes pools, deployments and what happens when a worker dies")


def _workers(root: str, pool: str, limit: float, login: dict[str, str]) -> str:
    workers = ask(f"{root}/work_pools/{pool}/workers/filter", limit, login, {})
    online = sum(worker.get("status") == "ONLINE" for worker in workers)
    return f"({online} {'worker' if online == 1 else 'workers'} online)"


def _remotes(folder: Path, limit: float) -> Iterator[Finding]:
    for name, url in _dvc_remotes(folder).items():
        subject = f"DVC remote {name}"
        if is_remote(url):
            from ser_ops.storage.reach import reach
            try:
                yield Finding("servers", subject, "ok", f"{url} answers at {reach(url, limit)}")
            except UserError as error:
                fault, _, mend = str(error).rpartition(": ")
                yield Finding("servers", subject, "fault", fault, mend)
        elif "://" in url:
            yield Finding("servers", subject, "ok", f"{public(url)} (not asked)")
        else:
            place = (folder / ".dvc" / url).resolve()
            yield (Finding("servers", subject, "ok", f"folder {place}") if place.is_dir() else
                   Finding("servers", subject, "fault", f"folder {place} is not here",
                           f"make it, or dvc remote modify {name} url ADDRESS"))


def _dvc_remotes(folder: Path) -> dict[str, str]:
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read([folder / ".dvc" / "config", folder / ".dvc" / "config.local"], encoding="utf-8")
    remotes = {section.strip("'").removeprefix("remote ").strip('"'): values.get("url", "")
               for section, values in settings.items() if section.strip("'").startswith("remote ")}
    chosen = settings.get("core", "remote", fallback=None)
    return {name: url for name, url in remotes.items() if chosen in (None, name)}


def _study(limit: float) -> Iterator[Finding]:
    uri = os.environ.get("OPTUNA_STORAGE")
    if not uri:
        yield Finding("servers", "tuning", "off", "OPTUNA_STORAGE is not set: the search stays on this machine")
        return
    import psycopg2

    from ser_ops.training.study_store import address
    try:
        url = address()
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


def _dask(limit: float) -> Iterator[Finding]:
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
