"""A server that is ended, a model that moves, and what keeps a server from starting."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from project_copy import change_settings
from serving_process import PROJECT, running, settings, sound, until, wav
from tracking_project import Project

from ser_ops.config.params import load_params
from ser_ops.tracking import registry
from ser_ops.tracking.aliases import changing_aliases

MODEL = "the small model's folder"


def test_the_end_waits_for_what_is_under_way_and_lets_nobody_in(model, tmp_path):
    body = wav(sound(0.5))
    with running(settings(tmp_path / "server"), "--model", str(model)) as server:
        waiting = server.half_asked(body)
        until(lambda: server.metric("ser_ops_queue_requests") == 1)
        server.process.send_signal(signal.SIGTERM)

        def closed():
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", int(server.address.rpartition(":")[2]))) != 0

        until(closed)
        assert server.process.poll() is None
        waiting.send(body[len(body) // 2:])
        assert waiting.getresponse().status == 200
        assert server.process.wait(30) == 0
        assert "Traceback" not in (tmp_path / "server" / "log").read_text()


def test_the_alias_moves_and_no_request_fails(tmp_path, monkeypatch):
    folder = settings(tmp_path / "project")
    change_settings(folder, tracking={"uri": "sqlite:///mlflow.db"})
    monkeypatch.chdir(folder)
    params, name = load_params(), "ser-fusion"
    project = Project(params, "spectral", 0)
    assert registry.register(params, project.folder, project.reports) == "1"
    with changing_aliases(params) as aliases:
        aliases.tag("1", {"verdict": "passed", "verdict_by": "ann", "verdict_for": "production"})
        aliases.give("production", "1")
    body, seen, over = wav(sound(0.5)), list[tuple[int, str]](), threading.Event()
    with running(folder, "--model", f"models:/{name}@production") as server:
        gate = server.ask("GET", "/v1/model").json["gate"]
        assert (gate["verdict"], gate["by"], gate["for"]) == ("passed", "ann", "production")

        def ask():
            while not over.is_set():
                answer = server.predict(body, "audio/wav")
                seen.append((answer.status, answer.json["model"]["version"]))

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        project.train(1)
        assert registry.register(params, project.folder, project.reports) == "2"
        with changing_aliases(params) as aliases:
            aliases.give("production", "2")
        until(lambda: "2" in {version for _, version in list(seen)})
        over.set()
        for thread in asking:
            thread.join(60)
        until(lambda: server.ask("GET", "/readyz").json["model"]["version"] == "2")
        with changing_aliases(params) as aliases:       # a registry without the alias takes no model away
            aliases.give_back("production")
            aliases.give_back("production")
        until(lambda: "no model stands as production" in (folder / "log").read_text())
        assert server.predict(body, "audio/wav").status == 200
    assert {status for status, _ in seen} == {200} and {version for _, version in seen} == {"1", "2"}


@pytest.mark.parametrize(("options", "words"), [
    ([], "no project is here (params.yaml)"), (["--model", "models:/a@staging"], "set MLFLOW_TRACKING_URI"),
    (["--model", "nowhere"], "nowhere: no such model folder")])
def test_what_it_lacks_without_a_project_is_one_line(tmp_path: Path, options, words):
    done = subprocess.run([sys.executable, "-m", "ser_ops.cli", "serve", "--port", "0", *options], cwd=tmp_path,
                          capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    line, = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: ") and words in line and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("options", "environment", "words"), [
    (["--model", "nowhere"], {}, "nowhere: no such model folder"),
    (["--model", MODEL, "--coverage", "1.5"], {}, "coverage 1.5: is a share between 0 and 1"),
    (["--host", "nosuch.host.invalid"], {}, "--host: 'nosuch.host.invalid' is no host ("),
    (["--host", "nosuch.host.invalid"], {"SER_OPS_SERVE_TOKEN": "x" * 16}, "'nosuch.host.invalid' is no host ("),
    (["--host", ""], {}, "--host: '' is no host ("), (["--host", "x" * 99], {}, "is no host ("),
    (["--host", "0.0.0.0"], {}, "there is no token: set SER_OPS_SERVE_TOKEN"),
    ([], {"SER_OPS_SERVE_TOKEN": "short"}, "has fewer than 16 characters"),
    (["--host", "192.0.2.7"], {"SER_OPS_SERVE_TOKEN": "x" * 16}, "192.0.2.7:0: cannot be listened on")])
def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path, model, options, environment, words):
    options = [str(model) if option is MODEL else option for option in options]
    done = subprocess.run([sys.executable, "-m", "ser_ops.cli", "serve", "--port", "0", *options],
                          cwd=settings(tmp_path / "server"), capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment)
    line, = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: ") and words in line and not done.stdout
