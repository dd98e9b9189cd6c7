"""The pipeline's stages over a corpus of one size, each as its own process, in a workspace of its own."""

import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.growth.choices import Choices
from benchmarks.growth.cost import Cost, cost
from ser_ops.config.models import Window
from ser_ops.config.params import PRESETS, Params
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
DATA = ("ingest", "validate", "augment", "features")    # what every recording goes through before anything is learnt
STAGES = ("ingest", "validate", "augment", "audit", "features", "train", "evaluate")
_CORPUS = "growth"
_TEAM = ("MLFLOW_TRACKING_", "DASK_", "OPTUNA_", "AWS_")    # a developer's shell may name the team's servers


@dataclass(frozen=True)
class Measured:
    """What a stage cost over so many recordings, and the machine's load (of one minute) at its end."""

    stage: str
    recordings: int
    cost: Cost
    load: float


def settings(content: dict[str, Any], choices: Choices, workers: int) -> dict[str, Any]:
    """The content of params.yaml with a manifest as its corpus, one short training and a small grid."""
    changed: dict[str, dict[str, Any]] = {
        "paths": {"data": "data"}, "data": {"corpora": [], "manifests": [{"name": _CORPUS}]},
        "train": choices.train, "tune": {"trials": 0}, "ablations": {"models": [], "shuffled": 0},
        "evaluate": choices.evaluate, "compute": {"workers": workers, "device": "cpu"}}
    return {name: part | changed.get(name, {}) if isinstance(part, dict) else part for name, part in content.items()}


def measured(folder: Path, content: dict[str, Any], manifest: Path, noise: Path, count: int, every: float,
             stages: Sequence[str] = STAGES) -> Iterator[Measured]:
    """Run the stages in `folder`, which is made and removed again, by these settings. UserError when one fails.

    manifest: manifest.csv beside the `count` recordings that it lists; noise: the folder of collections of noise.
    """
    shutil.rmtree(folder, ignore_errors=True)   # of a run that was killed
    corpus = folder / "data" / "manifests" / _CORPUS
    corpus.parent.mkdir(parents=True)
    corpus.symlink_to(manifest.parent.absolute())
    (folder / "data" / "noise").symlink_to(noise.absolute())
    try:
        (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        shutil.copytree(PROJECT / PRESETS, folder / PRESETS)
        shown = {name: value for name, value in os.environ.items() if not name.startswith(_TEAM)}
        environment = shown | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
                               "GX_ANALYTICS_ENABLED": "false"}
        for stage in stages:
            if stage == "train":    # which reads that nothing was tuned
                cost(_command("tune"), folder, environment, every)
            spent = cost(_command(stage), folder, environment, every)
            yield Measured(stage, count, spent, round(os.getloadavg()[0], 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(stage: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"ser_ops.stages.{stage}"


def check_space(folder: Path, params: Params, seconds: float, recordings: int) -> None:
    """Raise UserError where the disk has no room for what the stages write of so much speech.

    As if all of it were trained on: waveforms and their variants, a window of features of each, and the manifest's
    own recordings.
    """
    read = params.chosen.input_of(params.train.model)
    rows = 1 + len(params.augment.variants)
    each = rows * seconds / recordings * 4 * params.data.sample_rate + rows * 4 * _values(read)
    needed, free = recordings * each, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder}: {recordings} recordings take up to {needed / 1e9:.1f} GB there and "
                        f"{free / 1e9:.1f} are free: choose another folder with --folder, or smaller sizes")


def _values(read: Window) -> int:
    from ser_ops.features.index_map import shape_of
    return math.prod(shape_of(read))
