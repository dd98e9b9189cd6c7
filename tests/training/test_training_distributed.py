"""Two processes under torchrun train as one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_standins import Tiny, examples, settings

from ser_ops.errors import UserError
from ser_ops.training import device_of, fit

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import save_file
from training_standins import Tiny, examples, settings
from ser_ops.training import fit, rank, size, together

class Seen:
    def metrics(self, values, step=None):
        print("logged", rank(), size(), step, flush=True)

device = torch.device("cpu")
with together(device):
    for stop in (2, None):      # what the second has is the checkpoint of the first
        result = fit(Tiny(plain=True), examples(8), examples(4, seed=2), settings(epochs=3), device,
                     checkpoint=Path(sys.argv[2]) / "checkpoint", log=Seen(),
                     on_epoch=lambda epoch: epoch.epoch == stop)
    save_file(result.best_state, Path(sys.argv[2]) / f"rank-{rank()}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_reduce_their_gradients_and_resume(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", tmp_path / "script.py",
         str(Path(__file__).parent), str(tmp_path)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("logged")] == [
        "logged 0 2 1", "logged 0 2 2", "logged 0 2 3"], "process 0 alone logs"
    states = [load_file(tmp_path / f"rank-{number}.safetensors") for number in (0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), "the same weights in both"

    alone = fit(Tiny(plain=True), examples(8), examples(4, seed=2), settings(epochs=3), torch.device("cpu"))
    assert all(torch.allclose(states[0][name], alone.best_state[name], atol=1e-4) for name in states[0]), \
        "the gradients are those of one process with the whole batch"


def test_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert device_of("auto").type == "cpu"
    with pytest.raises(UserError, match="'cuda:3' is not on this machine"):
        device_of("cuda:3")
