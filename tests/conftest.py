"""One thread per process, as in every stage, and no server of a team: set before anything imports what reads them."""

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.append(str(PROJECT))   # benchmarks/ lies beside ser_ops and is not installed
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# A developer's shell may name the team's servers; no test may write there.
_TEAM = ("MLFLOW_TRACKING_", "PREFECT_API_", "AWS_", "PG", "OPTUNA_", "DASK_")
for name in [name for name in os.environ if name.startswith(_TEAM)]:
    del os.environ[name]
