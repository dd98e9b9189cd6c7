"""Two processes train as one with the whole batch; one of them killed, they go on from their checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from project_copy import write_settings
from safetensors.torch import load_file
from test_training_stages import PROJECT, project
from training_standins import Tiny, examples, settings
from warm_programs import programs_of, warm_programs

from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.training.loop import fit

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import save_file
from training_standins import Tiny, examples, settings
from ser_ops.training.loop import fit; from ser_ops.training.world import process_group, process_rank, world_size

class Seen:
    def metrics(self, values, step=None):
        print("logged", process_rank(), world_size(), step, flush=True)

device = torch.device("cpu")
with process_group(device):
    for stop in (2, None):      # what the second has is the checkpoint of the first
        heard = examples(2, seed=2, noise=2, variants=("original", "noisy_1"))
        result = fit(Tiny(plain=True), examples(8), heard, settings(epochs=3, accumulate=2), device,
                     checkpoint=Path(sys.argv[2]) / "checkpoint", log=Seen(),
                     on_epoch=lambda epoch: epoch.epoch == stop)
    Path(sys.argv[2], f"rank-{process_rank()}.json").write_text(json.dumps(result.kept.metrics()))
    save_file(result.best_state, Path(sys.argv[2]) / f"rank-{process_rank()}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_reduce_their_gradients_and_resume(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [warm_programs() / "python", *TORCHRUN, tmp_path / "script.py", Path(__file__).parent, tmp_path],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("logged")] == [
        "logged 0 2 1", "logged 0 2 2", "logged 0 2 3"], "process 0 alone logs"
    states = [load_file(tmp_path / f"rank-{number}.safetensors") for number in (0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), "the same weights in both"

    heard = examples(2, seed=2, noise=2, variants=("original", "noisy_1"))
    alone = fit(Tiny(plain=True), examples(8), heard, settings(epochs=3), torch.device("cpu"))
    for number in (0, 1):   # clean and noisy rows are a batch each: the second process has none of its own
        said = json.loads((tmp_path / f"rank-{number}.json").read_text())
        assert said == pytest.approx(alone.kept.metrics(), rel=1e-4) and said["validation/noisy_uar"] > 0
    assert all(torch.allclose(states[0][name], alone.best_state[name], atol=1e-4) for name in states[0]), \
        "the gradients of two, in two parts each, are those of one process with the whole batch"


BY_TWO = ("-c", "from ser_ops.stages import run, train; run(lambda: train.train_with(2))")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
    "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT),
    "PYTHONWARNINGS": "ignore"}    # as make sets it: what Python itself says of a killed process's semaphores


@pytest.mark.slow
def test_gradients_of_the_fusion_model(tmp_path):
    """The same within rounding where no example depends on the others of its batch or on a draw; not so elsewhere."""
    folder, script = project(tmp_path / "project"), Path(__file__).parent / "gradients.py"
    for command in ([script], [*TORCHRUN, script]):
        subprocess.run([warm_programs() / "python", *command, folder, tmp_path], env=ENVIRONMENT, check=True,
                       capture_output=True, timeout=200)

    def apart(kind):
        alone, together = (load_file(tmp_path / f"{kind}-{size}.safetensors") for size in (1, 2))
        assert alone.keys() == together.keys() and len(alone) > 50
        alone, together = (torch.cat([gradients[name].double().flatten() for name in sorted(gradients)])
                           for gradients in (alone, together))
        return float((alone - together).norm() / alone.norm())

    assert apart("frozen-off") < 1e-5
    assert apart("frozen-on") > 0.1, "each process draws its own dropout"
    assert apart("live-off") > 0.1, "on a CPU each process has its own half's mean and variance"


def _trained(folder, *command, kill=0, fresh=False):
    """Run the train stage; after the checkpoint of epoch `kill` end one of its processes by SIGKILL."""
    python = sys.executable if fresh else warm_programs() / "python"
    running = subprocess.Popen([python, *command], cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    if kill:
        deadline = time.monotonic() + 150
        while not list(folder.glob(f"state/train/*/checkpoint/epoch-000[{kill}-9]")) and time.monotonic() < deadline:
            time.sleep(0.005)
        (main,) = programs_of(running.pid) or [running.pid]
        family = [child for child in psutil.Process(main).children() if "resource_tracker" not in str(child.cmdline())]
        addresses = {connection.laddr.ip for child in family for number in [child.pid, *programs_of(child.pid)]
                     for connection in psutil.Process(number).net_connections() if connection.status == "LISTEN"}
        assert len(family) == 2
        if command is BY_TWO:
            assert addresses == {"127.0.0.1"}, "they listen on loopback alone"
        family[1].send_signal(signal.SIGKILL)
    _, said = running.communicate(timeout=200)
    return running.returncode, said


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_one_of_two_killed_the_training_goes_on_from_its_checkpoint(tmp_path):
    folders = {}
    for name in ("calm", "killed", "restarted"):
        folder = folders[name] = project(tmp_path / name)
        values = yaml.safe_load((folder / "params.yaml").read_text())
        values["train"].update(epochs=10, patience=10)
        write_settings(folder, values)
        write_json(folder / "work/tuning/best.json", {"values": {}})
    assert _trained(folders["calm"], *BY_TWO)[0] == 0
    code, said = _trained(folders["killed"], *BY_TWO, kill=3, fresh=True)   # what torch says is chosen as it is loaded
    lines = [line for line in said.splitlines() if not line.startswith("fusion: epoch")]
    assert code == 1 and len(lines) == 1 and lines[0].startswith("error: training: a process was killed"), said
    code, said = _trained(folders["killed"], *BY_TWO)
    assert code == 0 and "fusion: goes on after epoch" in said
    code, said = _trained(folders["restarted"], *TORCHRUN, "--max-restarts=1", "-m", "ser_ops.stages.train", kill=3)
    assert code == 0 and "fusion: goes on after epoch" in said, "torchrun starts both again by itself"
    cards = [read_json(folder / "work/models/fusion/model.json") for folder in folders.values()]
    weights = [(folder / "work/models/fusion/weights.safetensors").read_bytes() for folder in folders.values()]
    assert weights[0] == weights[1] == weights[2] and cards[0] == cards[1] == cards[2]


def test_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert device_of("auto").type == "cpu"
    with pytest.raises(UserError, match="'cuda:3' is not on this machine"):
        device_of("cuda:3")


@pytest.mark.slow
def test_dvc_accepts_what_torchrun_trained(tmp_path):
    """The train stage as the graph has it, run by DVC with torchrun's own variables."""
    folder = project(tmp_path / "project")
    write_json(folder / "work/tuning/best.json", {"values": {}})
    stage = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["train"]
    read = [path for path in stage["deps"] if path.startswith("${paths.work}")]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage | {"deps": read}}}))
    environment = ENVIRONMENT | {
        "PET_NNODES": "1", "PET_NPROC_PER_NODE": "2", "PET_STANDALONE": "1", "PET_LOG_DIR": "logs",
        "PET_REDIRECTS": "3", "DVC_NO_ANALYTICS": "1",
        "PATH": f"{warm_programs()}{os.pathsep}{os.environ['PATH']}"}

    def dvc(*command):
        done = subprocess.run([warm_programs() / "dvc", *command], cwd=folder, env=environment, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        assert done.returncode == 0, done.stdout
        return done.stdout

    dvc("init", "-q", "--no-scm")
    dvc("repro", "-q", "train")
    said = {file.parent.name: file.read_text() for file in folder.glob("logs/*/*/*/stdout.log")}
    assert "trained fusion: " in said["0"] and said["1"] == "", "two processes, of which one records"
    assert read_json(folder / "work/models/fusion/model.json")["best_epoch"] == 4
    assert "up to date" in dvc("status")
    write_json(folder / "work/tuning/best.json", {"values": {"learning_rate": 0.002}})
    assert "train:" in dvc("status")
