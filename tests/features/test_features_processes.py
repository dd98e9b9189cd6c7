"""What processes that start together may do at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMPILED = """
import torch
from ser_ops.config.params import load_preset
from ser_ops.features.extractor import Extractor
for name in ("features", "stacked", "image"):
    settings = getattr(load_preset("small"), name)
    Extractor(settings)(torch.randn(1, round(settings.seconds * settings.sample_rate)))
"""


@pytest.mark.slow
def test_no_features_compile_anything(tmp_path: Path) -> None:
    """Compiled functions on disk that processes wrote at once crash all later ones (numba issue 10128)."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", COMPILED], env=environment, check=True)
    assert not list(tmp_path.rglob("*.nb?"))
    subprocess.run([sys.executable, "-c", "import librosa.core.pitch"], env=environment, check=True)
    assert list(tmp_path.rglob("*.nb?"))    # and what does compile writes there
