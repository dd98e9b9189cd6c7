"""Scoring over a real Dask scheduler with two workers, one of them killed: the bytes of one process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from dask_cluster import started

from ser_ops.config.params import load_preset
from ser_ops.models import architectures, model_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROJECT = Path(__file__).resolve().parents[2]
SCORE = """
from pathlib import Path
from ser_ops.config.params import load_params_anywhere
from ser_ops.config.services import Score
from ser_ops.scoring.run import score
params = load_params_anywhere().model_copy(update={"score": Score(part=20)})
print(score(params, "calls", Path("OUT"), "model").words())
"""


def test_scoring_over_a_cluster_gives_the_bytes_of_one_process(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    (tmp_path / "calls").mkdir()
    for number in range(200):
        samples = np.random.default_rng(number).normal(0, 0.1, 8000)
        soundfile.write(tmp_path / f"calls/{number}.wav", samples, 16000)
    (tmp_path / "calls/bad.wav").write_bytes(b"no audio" * 100)
    (tmp_path / "model").mkdir()
    model_folder.save(tmp_path / "model", architectures.build("spectral", load_preset("demo"), seed=1), {})

    def scoring(out, **more):
        return subprocess.Popen([sys.executable, "-c", SCORE.replace("OUT", out)], cwd=tmp_path, text=True,
                                env=environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with started(tmp_path / "cluster", environment) as cluster:
        process = scoring("shared", DASK_SCHEDULER_ADDRESS=cluster.address)
        while not list(tmp_path.glob("shared/answers/*.parquet")):
            assert process.poll() is None, process.communicate()
        cluster.kill("worker-0")
        said, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    alone = scoring("alone")
    assert alone.communicate(timeout=200)[0] == said.replace("shared", "alone") and alone.returncode == 0
    assert "201 recordings: 200 answered by model " in said
    assert written(tmp_path / "shared") == written(tmp_path / "alone")


def written(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*") if file.is_file()}
