"""One thread per process, as in every stage, and no server of a team: set before anything imports what reads them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
sys.path.append(str(PROJECT))   # benchmarks/ lies beside ser_ops and is not installed
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# A developer's shell may name the team's servers; no test may write there.
_TEAM = ("MLFLOW_TRACKING_", "PREFECT_API_", "AWS_", "PG", "OPTUNA_", "DASK_")
for name in [name for name in os.environ if name.startswith(_TEAM)]:
    del os.environ[name]


@pytest.fixture(autouse=True)
def no_server_of_another_test() -> Iterator[None]:
    """MLflow writes the server that it was pointed at into the environment, where the next test would find it."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = before
