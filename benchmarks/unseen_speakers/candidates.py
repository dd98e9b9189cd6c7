"""The nested choice: which settings a fold trains with, by speakers of that fold who train and never test in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.unseen_speakers import ours
from benchmarks.unseen_speakers.ablations import changed
from benchmarks.unseen_speakers.choices import Choices
from benchmarks.unseen_speakers.folds import Fold
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.config.params import Params
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.metrics import scores
from ser_ops.evaluation.robustness import Panel
from ser_ops.files import write_json

FILE = Path(__file__).with_name("candidates.yaml")


def run(params: Params, choices: Choices, fold: Fold, folder: Path, system: str, path: Path = FILE) -> None:
    """Try every candidate on the fold's validation speakers, then train the best on all who train and write answers.

    A candidate's figure: the mean of its UAR on clean speech and of its mean UAR over the grid. What is done is left.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    among = {name: {**content["base"], **changes} for name, changes in content["among"].items()}
    tried = {name: _tried(name, changed(params, {**changes, **content["trial"]}), choices, fold, folder)
             for name, changes in among.items()}
    best = max(tried, key=lambda name: tried[name]["figure"])
    final = changed(params, among[best])
    ours.run(final.train.model, Sound(final), choices, [fold], folder, final.train.training(), system, checked=False,
             beside={"candidate": best, "validation": tried})


def _tried(name: str, params: Params, choices: Choices, fold: Fold, folder: Path) -> Mapping[str, Any]:
    kept = folder / "candidates" / f"fold{fold.number}" / f"{name}.json"
    if kept.exists():
        return read_json(kept)
    sound, model = Sound(params), params.train.model
    heard = ours.ModelInput(sound, model, folder / "heard")
    network, _ = ours.trained(model, heard, params.train.training().model_copy(update={"keep": "last"}), fold.train,
                              fold.validation, fold)
    panel = Panel({model: (network.eval(), ours.card(model, sound))}, torch.device("cpu"),
                  params.evaluate.batch_size)
    rows = [row for row in sound.rows if row.speaker in fold.validation]
    true = np.array([EMOTIONS.index(row.emotion) for row in rows])
    seed = choices.grid_seed
    grid = [Hearing("test"), *(Hearing("validation", condition, seed) for condition in sound.grid(seed))]
    clean, *noisy = (scores(true, ours.probabilities(panel, sound, rows, cell)[0].argmax(1))["uar"] for cell in grid)
    figures = {"clean": clean, "noisy": sum(noisy) / len(noisy), "worst": min(noisy)}
    figures["figure"] = (figures["clean"] + figures["noisy"]) / 2
    write_json(kept, figures)
    print(f"fold {fold.number}: {name}: clean {clean:.3f}, noisy {figures['noisy']:.3f}, worst {figures['worst']:.3f}",
          flush=True)
    return figures
