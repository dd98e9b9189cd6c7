"""What passes every first look as MLflow's server and then answers something else, or never ends: one line, in time."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from late import Answer, answer, come_later, drip, drip_headers, serving, silence
from mlflow.utils.request_utils import _cached_get_request_session, _get_http_response_with_retries
from tracking_project import PARAMS

from ser_ops.config.params import Params
from ser_ops.errors import UserError
from ser_ops.gate.promotion import demote, promote
from ser_ops.tracking.compare import latest_models
from ser_ops.tracking.exchange import bound_requests
from ser_ops.tracking.models import fetch_model
from ser_ops.tracking.outage import Away
from ser_ops.tracking.runs import open_run
from ser_ops.tracking.server import connect, mlflow_errors, probe

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1       # seconds, in place of the 30 that MLflow's client has for an answer
SLACK = 5.0     # of a busy machine


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(LIMIT))


def with_uri(uri: str) -> Params:
    return PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(update={"uri": uri, "timeout": 5.0})})


def train(params: Params) -> None:
    with open_run(params, "train", {}):
        pass


READERS: dict[str, Callable[[Params], object]] = {
    "predict": lambda params: fetch_model(params, "models:/ser-fusion@staging"), "compare": latest_models,
    "predict a run's": lambda params: fetch_model(params, "runs:/0123456789abcdef0123456789abcdef/model"),
    "promote": lambda params: promote(params), "demote": demote}
COMMANDS = READERS | {"training": train}


def refused(act: Callable[[], object]) -> UserError:
    with pytest.raises(UserError) as raised:
        act()
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 700
    return raised.value


@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_that_drips_ends_in_time(command: str) -> None:
    with serving(drip) as uri:
        began = time.monotonic()
        said = refused(lambda: COMMANDS[command](with_uri(uri)))
        assert time.monotonic() - began < LIMIT + SLACK
    assert isinstance(said, Away) and "set the environment variable MLFLOW_HTTP_REQUEST_TIMEOUT" in str(said)


@pytest.mark.parametrize("give", [drip_headers, silence, come_later])
def test_so_does_whatever_else_never_comes_to_an_end(give: Answer) -> None:
    with serving(give) as uri:
        began = time.monotonic()
        assert isinstance(refused(lambda: latest_models(with_uri(uri))), Away)
        assert time.monotonic() - began < LIMIT + SLACK


FOREIGN = {
    "wrong types": b'{"model_version": {"name": 7, "version": null}, "experiment": 3, "runs": "x", "files": [1]}',
    "a list": b"[1, 2]", "too deep": b"[" * 100_000 + b"]" * 100_000, "other types": b'{"experiment": {"tags": 1}, '
    b'"model_version": ["x"], "files": {"path": 4}, "registered_model": 7, "run": [], "model_versions": 5}'}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_foreign_answer_is_one_line(command: str, content: bytes, status: int) -> None:
    with serving(answer(content, status)) as uri:
        refused(lambda: COMMANDS[command](with_uri(uri)))


def test_it_is_called_no_server_of_mlflow() -> None:
    with serving(answer(FOREIGN["wrong types"])) as uri:
        said = refused(lambda: COMMANDS["predict"](with_uri(uri)))
    assert not isinstance(said, Away), "it does not pass by itself"
    assert "this is not an MLflow server, or one of another version (ParseError" in str(said)


def test_a_fault_of_our_own_is_none_of_the_server() -> None:
    with pytest.raises(KeyError), mlflow_errors("http://127.0.0.1:1"):
        {}["x"]


def test_a_full_disk_behind_http_500_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")     # for two retries
    content = b'{"error_code":"INTERNAL_ERROR","message":"(sqlite3.OperationalError) database or disk is full\\n[x]"}'
    with serving(answer(content, 500)) as uri:
        said = refused(lambda: COMMANDS["predict"](with_uri(uri)))
    assert isinstance(said, Away) and "the tracking server has no space left" in str(said)


def stream(pause: float, pieces: int) -> bytes:
    """What arrives of a file whose thousands of bytes come with a pause after each."""
    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(pieces * 1000))
        handler.end_headers()
        for _ in range(pieces):
            handler.wfile.write(b"x" * 1000)
            time.sleep(pause)
    bound_requests()
    _cached_get_request_session.cache_clear()
    with serving(give) as uri:
        response = _get_http_response_with_retries("GET", uri, 0, 0, 0, frozenset(), stream=True, timeout=10)
        return b"".join(response.iter_content(4000))


def test_a_long_file_goes_through_while_it_flows() -> None:
    began = time.monotonic()
    assert len(stream(0.1, 30)) == 30_000
    assert time.monotonic() - began > 2 * LIMIT, "longer than any answer may take"


def test_a_file_that_drips_ends_and_leaves_no_thread() -> None:
    before = threading.active_count()
    began = time.monotonic()
    with pytest.raises(requests.exceptions.Timeout):
        stream(2.0, 30)
    assert time.monotonic() - began < LIMIT + SLACK
    end = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < end:     # the server's own
        time.sleep(0.05)
    assert threading.active_count() <= before + 1


def test_a_process_ends_although_its_download_drips(tmp_path: Path) -> None:
    """MLflow downloads in threads that Python waits for at its end."""
    with serving(drip) as uri:
        program = ("from ser_ops.tracking.server import quiet_mlflow; quiet_mlflow(); "
                   "from ser_ops.tracking.exchange import *; bound_requests(); import mlflow; "
                   f"mlflow.set_tracking_uri({uri!r})\n"
                   "from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository as R\n"
                   "R('mlflow-artifacts:/x').thread_pool.submit(R('mlflow-artifacts:/x')._download_file, 'a', 'a')")
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path,
                       env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert time.monotonic() - began < 30


def test_pages_without_end_come_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    content = (b'{"experiment": {"experiment_id": "1", "name": "x"}, "runs": [], "next_page_token": "more"}')
    with serving(answer(content)) as uri:
        assert latest_models(with_uri(uri)) == []


@pytest.mark.parametrize("uri", ["http://[::1", "http://host:99999999", "http://host:x", "https://[x]/", "sqlite://[",
                                 "postgresql://[::1/x"])
def test_a_malformed_address_is_one_line(uri: str) -> None:
    commands = (lambda command=command: command(with_uri(uri)) for command in COMMANDS.values())
    for act in (lambda: probe(uri, 1), *commands):
        assert "set MLFLOW_TRACKING_URI or tracking.uri in params.yaml" in str(refused(act))


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_store_that_is_no_file_is_one_line_at_once(kind: str) -> None:
    store = Path("/dev/zero") if kind == "device" else Path("store").absolute()
    if kind == "pipe":
        os.mkfifo(store)
    elif kind == "folder":
        store.mkdir()
    for command in COMMANDS.values():
        assert "is a folder, a pipe or a device, not a file" in str(
            refused(lambda command=command: command(with_uri(f"sqlite:///{store}"))))


@pytest.mark.parametrize("command", READERS)
def test_who_only_reads_makes_no_database(command: str) -> None:
    said = refused(lambda: READERS[command](with_uri("sqlite:///not/here/x.db")))
    assert "not/here/x.db: there is no tracking database: run make demo" in str(said)
    assert list(Path().iterdir()) == []


def test_nor_where_only_the_file_is_missing() -> None:
    assert latest_models(with_uri("sqlite:///x.db")) == [], "nothing was trained yet"
    refused(lambda: READERS["predict"](with_uri("sqlite:///x.db")))
    assert list(Path().iterdir()) == []
    connect(with_uri("sqlite:///deep/er/x.db"))
    assert Path("deep/er/x.db").stat().st_size, "who writes makes it, with its folder"


@pytest.mark.parametrize("content", [b"RIFF\x00 no database" * 999, b"SQLite format 3\x00" + b"\xff" * 4000])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_database_is_called_that(command: str, content: bytes) -> None:
    Path("x.db").write_bytes(content)
    said = str(refused(lambda: COMMANDS[command](with_uri("sqlite:///x.db"))))
    assert said.startswith("x.db: ") and "database" in said and "server" not in said
    assert Path("x.db").read_bytes() == content


def test_a_database_of_something_else_is_left_as_it_is() -> None:
    with sqlite3.connect("x.db") as other:
        other.execute("CREATE TABLE trials (x)")
    before = Path("x.db").read_bytes()
    assert "not an MLflow database" in str(refused(lambda: READERS["predict"](with_uri("sqlite:///x.db"))))
    assert Path("x.db").read_bytes() == before
