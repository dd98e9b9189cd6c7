"""A small model, and a server for all tests that leave it as it was."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_process import PROJECT, Server, running, settings

sys.path.append(str(PROJECT / "tests" / "tracking"))

from tracking_project import tiny

from ser_ops.models.architectures import build
from ser_ops.models.model_folder import save


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a fusion model with random weights and windows of half a second."""
    folder = tmp_path_factory.mktemp("served") / "small-fusion"
    save(folder, build("fusion", tiny(), seed=1), {"preset": "tiny", "data": {
        "corpora": ["made"], "licences": {"made": "CC0 1.0"}, "protocol": "speaker"},
        "conformal_scores": list(range(0, 10_000, 100))})
    return folder


@pytest.fixture(scope="session")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with small limits."""
    with running(settings(tmp_path_factory.mktemp("server")), "--model", str(model)) as server:
        yield server
