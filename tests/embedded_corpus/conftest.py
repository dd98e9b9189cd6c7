"""The generator is no package: its folder goes on the path, as running generate.py puts it there."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "embedded_corpus"))


@pytest.fixture(scope="session")
def data() -> Path:
    """data/ with the embedded corpora in it."""
    if not (ROOT / "data" / "corpora" / "synthetic_savee").is_dir():
        pytest.skip("data/ holds no embedded corpora: dvc pull data.dvc")
    return ROOT / "data"
