"""Killed at any moment and started again: the same bits as a training that was never killed."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from training_standins import Tiny, bits, examples, settings
from warm_programs import warm_programs

from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.training import checkpoint
from ser_ops.training.history import Epoch, best_epoch
from ser_ops.training.loop import fit

CPU = torch.device("cpu")
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import save_file
from training_standins import Tiny, examples, settings
from ser_ops.training.loop import fit

def train(folder):
    result = fit(Tiny(), examples(20), examples(4, seed=2, noise=3), settings(epochs=60, patience=60),
                 torch.device("cpu"), checkpoint=folder / "checkpoint")
    save_file(result.best_state, folder / "weights.safetensors")

def newest():
    return max((path.name for path in killed.glob("checkpoint/epoch-*[0-9]")), default="")

calm, killed, moments = Path(sys.argv[2]), Path(sys.argv[3]), random.Random(5)
train(calm)
while (before := newest()) < "epoch-0050":
    child = os.fork()
    if not child:
        train(killed)
        os._exit(0)
    while newest() == before:       # however slow the machine is
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    if os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL:
        print("killed", flush=True)
train(killed)
"""


def _without_seconds(history):
    return [{**vars(epoch), "seconds": 0} for epoch in history]


def _fit(folder, keep="best", **kwargs):
    validation = examples(2, seed=8, noise=10, variants=("original", "noisy_1"))
    return fit(Tiny(), examples(6), validation, settings(epochs=6, patience=6, keep=keep), CPU, checkpoint=folder,
               **kwargs)


class Killed(BaseException):
    """What no handler catches."""


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("last", [1, 3, 6])
def test_goes_on_after_the_last_checkpoint(tmp_path, last, keep):
    def killer(epoch):
        if epoch.epoch == last:
            raise Killed

    undisturbed = _fit(None, keep)
    assert best_epoch(undisturbed.history).epoch < 6, "or the last epoch would be the best one"
    with pytest.raises(Killed):
        _fit(tmp_path, keep, on_epoch=killer)
    seen = []
    resumed = _fit(tmp_path, keep, on_epoch=lambda epoch: seen.append(epoch.epoch))
    assert seen == [1, 2, 3, 4, 5, 6], "every epoch is told, those of the checkpoint included"
    assert bits(resumed.best_state) == bits(undisturbed.best_state)
    assert _without_seconds(resumed.history) == _without_seconds(undisturbed.history)


def test_only_new_epochs_are_logged(tmp_path):
    class Steps(list):
        def metrics(self, values, step=None):
            self.append(step)

    _fit(tmp_path, on_epoch=lambda epoch: epoch.epoch == 2)
    log = Steps()
    _fit(tmp_path, log=log)
    assert log == [3, 4, 5, 6]


def test_checkpoint_of_another_training_is_left_aside(tmp_path):
    fit(Tiny(), examples(6), examples(4, seed=2), settings(epochs=2), CPU, checkpoint=tmp_path)
    validation, same = examples(4, seed=2), settings(epochs=2)
    for seed, train, plan in ((1, examples(6), same), (0, examples(6).with_shuffled_labels(1), same),
                              (0, examples(6), settings(epochs=2, learning_rate=0.02))):
        alone = fit(Tiny(seed), train, validation, plan, CPU)
        beside = fit(Tiny(seed), train, validation, plan, CPU, checkpoint=tmp_path)
        assert bits(alone.best_state) == bits(beside.best_state)


def test_damaged_checkpoint_starts_again(tmp_path):
    undisturbed = _fit(None)
    _fit(tmp_path, on_epoch=lambda epoch: epoch.epoch == 2)
    for file in tmp_path.glob("epoch-*/model.safetensors"):
        file.write_bytes(file.read_bytes()[:50])
    assert bits(_fit(tmp_path).best_state) == bits(undisturbed.best_state)


def test_one_checkpoint_is_kept_and_no_pickle_is_in_it(tmp_path):
    _fit(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0006"]
    assert {path.name for path in (tmp_path / "epoch-0006").iterdir()} == {
        "model.safetensors", "best.safetensors", "optimiser.safetensors", "state.json"}


def test_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    history = [Epoch(1, 1, 0.1, 1, 0.2, 0.1, 1)]
    tensors = {"a": torch.ones(3)}
    checkpoint.save(tmp_path, "mark", tensors, tensors, history)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match=r"No space left on device.*free space"):
        checkpoint.save(tmp_path, "mark", tensors, tensors, [*history, Epoch(2, 1, 0.1, 1, 0.1, 0.1, 1)])
    kept = checkpoint.load(tmp_path, "mark")
    assert kept is not None and len(kept.history) == 1 and [path.name for path in tmp_path.iterdir()] == ["epoch-0001"]


@pytest.mark.slow
def test_kill_9_at_random_moments(tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    calm.mkdir(), killed.mkdir()
    done = subprocess.run([warm_programs() / "python", "-c", SCRIPT, Path(__file__).parent, calm, killed],
                          env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.count("killed") >= 3
    assert done.stderr.count("goes on after epoch") >= 2
    assert sha256(killed / "weights.safetensors") == sha256(calm / "weights.safetensors")
    assert [path.name for path in (killed / "checkpoint").iterdir()] == ["epoch-0060"]
