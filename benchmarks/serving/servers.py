"""The servers that are measured, as processes on free ports."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ser_ops.errors import UserError

_MEGABYTE = 2**20


@contextmanager
def process(command: list[str], port: int, health: str) -> Iterator[psutil.Process]:
    """A server that answers; ended by SIGTERM."""
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as started:
        try:
            _wait_for(f"http://127.0.0.1:{port}{health}", started)
            yield psutil.Process(started.pid)
        finally:
            for child in psutil.Process(started.pid).children(recursive=True):
                child.terminate()
            started.terminate()


@contextmanager
def ours(model: Path) -> Iterator[tuple[int, psutil.Process]]:
    """`ser-ops serve`, its port and its process."""
    port = free_port()
    with process([sys.executable, "-m", "ser_ops.cli", "serve", "--model", str(model), "--port", str(port)], port,
                 "/readyz") as started:
        yield port, started


@contextmanager
def mlflows(package: Path) -> Iterator[tuple[int, psutil.Process]]:
    """`mlflow models serve` with a packaged model."""
    port = free_port()
    with process([sys.executable, "-m", "mlflow", "models", "serve", "-m", str(package), "--env-manager", "local",
                  "-p", str(port)], port, "/ping") as started:
        yield port, started


def megabytes(server: psutil.Process) -> float:
    """Resident memory of a server and its children."""
    return sum(each.memory_info().rss for each in (server, *server.children(recursive=True))) / _MEGABYTE


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(url: str, started: subprocess.Popen) -> None:
    while started.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise UserError(f"{url}: its server ended before it answered")
