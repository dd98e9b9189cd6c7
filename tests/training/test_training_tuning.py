"""The search: what it suggests, what it prunes, and the same result after kills, however many cores there are."""

import math
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
from training_standins import Tiny, examples, settings

from ser_ops.config.params import Params, load_params
from ser_ops.config.training import Tune
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import sha256, write_json
from ser_ops.stages import ablate as ablate_stage
from ser_ops.stages import train as train_stage
from ser_ops.stages import tune as tune_stage
from ser_ops.training.history import Epoch
from ser_ops.training.loop import Diverged, fit
from ser_ops.training.tuning import Outcome, best_trial, search, training_with, why_no_search, write_trials
from ser_ops.training.world import process_map

SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "batch_size": {"low": 8, "high": 32},
         "label_smoothing": {"choices": [0.0, 0.1]}}


def tune(**values) -> Tune:
    return Tune(**{"trials": 8, "seed": 1, "startup_trials": 2, "warmup_epochs": 1, "together": 2,
                   "trial": settings(epochs=5).model_dump(), "space": SPACE, **values})


@dataclass(frozen=True)
class Made:
    """UAR as a function of the values alone; no training. Each epoch leaves a mark, so that work can be counted."""

    marks: Path
    slow: float = 0.0
    killed_at: int = -1

    def __call__(self, trial, report):
        height = 1 - abs(math.log10(trial.values["learning_rate"]) + 2) / 4
        for epoch in range(1, trial.settings.epochs + 1):
            time.sleep(self.slow)
            with (self.marks / f"{trial.number}").open("a") as file:
                file.write(".")
            if report(Epoch(epoch, 1, 0.5, 1, height * epoch / trial.settings.epochs, 0.1, 1)):
                return
            if trial.number == self.killed_at and epoch == 2:
                raise KeyboardInterrupt


def _search(folder, *, processes=1, objective=None, **values):
    folder.mkdir(exist_ok=True)
    (folder / "marks").mkdir(exist_ok=True)
    with process_map(processes) as parallel:
        return search(tune(**values), objective or Made(folder / "marks"), folder / "state", parallel)


def test_values_come_from_the_space_and_some_trials_are_pruned(tmp_path):
    outcomes = _search(tmp_path / "one")
    assert [outcome.number for outcome in outcomes] == list(range(8))
    for outcome in outcomes:
        assert 1e-4 <= outcome.values["learning_rate"] <= 1e-1 and outcome.values["label_smoothing"] in (0.0, 0.1)
        assert isinstance(outcome.values["batch_size"], int) and 8 <= outcome.values["batch_size"] <= 32
    pruned = [outcome for outcome in outcomes if outcome.state == "pruned"]
    assert pruned and all(1 < len(outcome.uars) < 5 and outcome.number >= 2 for outcome in pruned)
    assert all(len(outcome.uars) == 5 for outcome in outcomes if outcome.state == "complete")
    best = best_trial(outcomes)
    assert best is not None and best.validation_uar == max(outcome.validation_uar for outcome in outcomes)


@pytest.mark.parametrize("trial", range(8))
def test_killed_in_any_trial_it_ends_the_same(tmp_path, trial):
    calm = _search(tmp_path / "calm")
    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path / "killed", objective=Made(tmp_path / "killed" / "marks", killed_at=trial))
        raise KeyboardInterrupt     # a trial that is pruned before the kill is reached
    before = {file.name: file.read_text() for file in (tmp_path / "killed" / "marks").iterdir()}
    resumed = _search(tmp_path / "killed")
    assert resumed == calm
    for number in range(trial // 2 * 2):   # those of earlier rounds are not trained again
        assert (tmp_path / "killed" / "marks" / str(number)).read_text() == before[str(number)]
    for name, outcomes in (("calm", calm), ("killed", resumed)):
        write_trials(tmp_path / name / "trials.csv", outcomes, list(SPACE))
    assert sha256(tmp_path / "calm" / "trials.csv") == sha256(tmp_path / "killed" / "trials.csv")


def test_more_trials_go_on_from_those_there_are(tmp_path):
    few = _search(tmp_path / "one", trials=4)
    assert _search(tmp_path / "one", trials=8)[:4] == few
    marks = tmp_path / "one" / "marks"
    assert all(len((marks / str(outcome.number)).read_text()) == len(outcome.uars) for outcome in few)


def test_suggestions_change_with_the_seed(tmp_path):
    assert _search(tmp_path / "one")[0].values != _search(tmp_path / "two", seed=2)[0].values


def test_a_diverged_trial_is_never_chosen(tmp_path):
    def diverges(trial, report):
        report(Epoch(1, 1, 1, 1, 0.9, 1, 1))
        if trial.number != 3:
            raise Diverged("the loss is no number")

    outcomes = _search(tmp_path / "one", objective=diverges, trials=4)
    assert [outcome.state for outcome in outcomes] == ["diverged"] * 3 + ["complete"]
    assert best_trial(outcomes).number == 3 and best_trial(outcomes[:3]) is None


def test_space_outside_a_settings_range():
    with pytest.raises(UserError, match=r"tune.space.label_smoothing: 1.5 is no value for it"):
        training_with(settings(), {"label_smoothing": 1.5})


class InNoise(Made):
    """What makes a trial better on clean speech makes it worse, and by more, in noise."""

    def __call__(self, trial, report):
        clean = trial.values["label_smoothing"] * 2 + 0.7
        report(Epoch(1, 1, 0.5, 1, clean, 0.1, 1, validation_noisy_uar=0.3 + 3 * (0.9 - clean)))


def test_a_trial_that_is_better_in_clean_and_useless_in_noise_is_not_chosen(tmp_path):
    outcomes = _search(tmp_path / "one", objective=InNoise(tmp_path), warmup_epochs=5)
    assert {outcome.values["label_smoothing"] for outcome in outcomes} == {0.0, 0.1}
    best = best_trial(outcomes)
    assert best.values["label_smoothing"] == 0.0 and best.validation_uar == pytest.approx((0.7 + 0.9) / 2)


def test_the_first_of_equal_trials_is_chosen(tmp_path):
    equal = [Outcome(number, "complete", {}, [0.5], 0.5) for number in range(3)]
    assert best_trial(equal).number == 0


@dataclass(frozen=True)
class Trained:
    """The real loop on the stand-in."""

    def __call__(self, trial, report):
        fit(Tiny(), examples(6), examples(4, seed=2, noise=3), trial.settings, torch.device("cpu"),
            trial.folder / "checkpoint", on_epoch=report)


def test_real_training_killed_between_epochs(tmp_path):
    class Dies(Trained):
        def __call__(self, trial, report):
            def killing(epoch):
                if trial.number == 2 and epoch.epoch == 2:
                    raise KeyboardInterrupt
                return report(epoch)
            super().__call__(trial, killing)

    calm = _search(tmp_path / "calm", objective=Trained(), trials=5)
    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path / "killed", objective=Dies(), trials=5)
    assert (tmp_path / "killed" / "state" / "trial-002" / "checkpoint").exists()
    assert _search(tmp_path / "killed", objective=Trained(), trials=5) == calm
    assert not list((tmp_path / "killed" / "state").glob("*/checkpoint"))


@pytest.mark.slow
@pytest.mark.usefixtures("warm_children")
def test_two_processes_end_as_one(tmp_path):
    assert _search(tmp_path / "two", processes=2) == _search(tmp_path / "one")


@pytest.mark.slow
def test_kill_9_ends_the_trials_too_and_the_next_one_goes_on(tmp_path):
    from warm_programs import programs_of, send_signal, warm_programs  # programs that import this file do not find it

    script = (f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
              "from pathlib import Path\n"
              "from test_training_tuning import Made, _search\n"
              "if __name__ == '__main__':\n"
              "    folder = Path(sys.argv[1])\n"
              "    _search(folder, processes=2, objective=Made(folder / 'marks', slow=0.4))\n")
    (tmp_path / "script.py").write_text(script)
    folder = tmp_path / "killed"
    running = subprocess.Popen([warm_programs() / "python", tmp_path / "script.py", folder],
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (folder / "marks" / "2").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    (search,) = programs_of(running.pid) or [running.pid]
    trials = [psutil.Process(number) for child in psutil.Process(search).children(recursive=True)
              for number in [child.pid, *programs_of(child.pid)]]
    send_signal(running, signal.SIGKILL)
    running.wait()
    _, alive = psutil.wait_procs(trials, timeout=30)
    assert len(trials) >= 2 and not alive, "its trials ended with it"
    assert {"0", "1", "2"} <= {file.name for file in (folder / "marks").iterdir()}
    assert _search(folder) == _search(tmp_path / "calm")
    assert read_json(folder / "state" / "trial-000.json")["number"] == 0


@pytest.mark.parametrize(("trials", "needs_gpu", "device", "searched"), [
    (8, True, "cpu", False), (8, True, "cuda", True), (8, False, "cpu", True), (0, False, "cuda", False)])
def test_a_search_that_needs_a_gpu_waits_for_one(trials, needs_gpu, device, searched):
    asked = load_params().tune.model_copy(update={"trials": trials, "needs_gpu": needs_gpu})
    assert (why_no_search(asked, torch.device(device)) == "") == searched


def test_what_a_machine_without_a_gpu_left_out_trains_none_with_one(tmp_path, monkeypatch):
    values = load_params(preset="paper").model_dump()
    values["paths"]["work"] = str(tmp_path)
    params = Params.model_validate(values)
    monkeypatch.setattr(tune_stage, "load_params", lambda: params)
    for stage in (tune_stage, train_stage):
        monkeypatch.setattr(stage, "device_of", lambda name: torch.device("cpu"))
    tune_stage.main()
    assert train_stage.main_job(params).settings == params.train.training(), "without a GPU it trains untuned"
    monkeypatch.setattr(train_stage, "device_of", lambda name: torch.device("cuda", 0))
    for jobs in (train_stage.main_job, ablate_stage.ablation_jobs):
        with pytest.raises(UserError, match=r"best\.json: holds no search, and 8 trials .*`dvc repro -f -s tune`"):
            jobs(params)
    write_json(tmp_path / "tuning" / "best.json", {"values": {"learning_rate": 0.0005}, "trials": 8})
    assert train_stage.main_job(params).settings.learning_rate == 0.0005
    none = params.model_copy(update={"tune": params.tune.model_copy(update={"trials": 0})})
    write_json(tmp_path / "tuning" / "best.json", tune_stage.NO_SEARCH)
    assert train_stage.main_job(none).settings == params.train.training(), "none was asked for"


def test_the_paper_preset_is_searched_as_a_checkpoint_is():
    paper = load_params(preset="paper").tune
    assert paper.trials > 0 and paper.needs_gpu and paper.trial.mixup == 0.0
    rates = paper.space["backbone_learning_rate"]
    assert rates.low <= load_params(preset="paper").train.backbone_learning_rate <= rates.high < 0.001
