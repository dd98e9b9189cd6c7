"""A real MLflow server over HTTP, and projects that use it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tracking_project import PARAMS, SERVER, Project, free_port, wait_for

from ser_ops.config.params import Params


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an MLflow server with SQLite and proxied artifacts, as infra runs it."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | SERVER)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def params(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Settings of a project in tmp_path, where the test runs, with the server and a registered model of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    name = f"ser-{tmp_path.name}"[:60].strip("-_")
    return PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(
        update={"uri": server, "experiment": name, "registered_model": name})})


@pytest.fixture
def project(params: Params) -> Callable[..., Project]:
    """Make a project: `project(model=..., seed=...)`."""
    return lambda **settings: Project(params, **settings)
