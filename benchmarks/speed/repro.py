"""`dvc repro` in a finished workspace: with nothing to do, and after one setting of training was changed.

The workspace is a copy of this project's files over the corpora of params.yaml, with the smallest settings that run
every stage: what DVC itself costs does not depend on them, what the stages cost does. Seconds of the wall, all cores.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import quickest, timed, wall
from ser_ops.errors import UserError
from ser_ops.workspace import environment

SMALL: dict[str, dict[str, Any]] = {
    "augment": {"variants": ["original", "noisy"]},
    "train": {"epochs": 1},
    "tune": {"trials": 1, "startup_trials": 1},
    "ablations": {"models": ["spectral"], "shuffled": 1, "shuffled_epochs": 1},
    "evaluate": {"seeds": [1], "resamples": 100, "speed_utterances": 8},
    "behave": {"utterances": 21},
    "explain": {"per_class": 1, "background": 8, "shap_samples": 10, "figures_per_class": 0,
                "conditions": {"stationary": ["white"], "intensities": [0.5], "seed": 1, "per_class": 1,
                               "traced_per_class": 1, "shap_samples": 10, "resamples": 100, "confidence": 0.95}},
}
_CHANGED = ("train", "seed", 41)     # which the trials of stage tune do not take from section train
_AFTER = {"train", "ablate", "evaluate", "behave", "explain", "judge", "report"}   # the only ones that may run then


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True,
                          env=environment() | {"PYTHONPATH": str(folder)})
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-300:]
        raise UserError(f"{' '.join(command)}: ended with {done.returncode}: {said}")
    return done.stdout


def _change(folder: Path, section: str, values: dict[str, Any]) -> None:
    file = folder / "params.yaml"
    content = yaml.safe_load(file.read_text())
    content[section].update(values)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def finished(setting: Setting) -> Path:
    """A workspace in which every stage has run."""
    folder, here = setting.scratch / "workspace", Path.cwd()
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (here / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    _run(folder, "dvc", "pull", "-q", "data.dvc")
    for section, values in SMALL.items():
        _change(folder, section, values)
    _run(folder, "dvc", "repro")
    return folder


def _stages(lines: str) -> list[str]:
    return [line.split("'")[1] for line in lines.splitlines() if line.startswith("Running stage '")]


def run(setting: Setting) -> Iterator[Row]:
    """Nothing in the short form: a whole pipeline has to run first."""
    if setting.short:
        return
    folder = finished(setting)
    start = quickest(lambda: _run(folder, "dvc", "config", "core.remote"), 3, wall)
    nothing = quickest(lambda: _run(folder, "dvc", "repro"), 3, wall)
    ran = _stages(_run(folder, "dvc", "repro"))
    yield Row("dvc repro, nothing to do", "runs", 1 / nothing, floor=1 / start,
              between="a dvc command that reads its settings alone; hashing what changed its time, reading the graph",
              also=f"{nothing:.2f} s, {len(ran)} stages ran", fails=f"{', '.join(ran)} ran" if ran else "")
    section, key, value = _CHANGED
    _change(folder, section, {key: value})
    lines, seconds = timed(lambda: _run(folder, "dvc", "repro"), wall)
    ran = _stages(lines)
    wrong = ", ".join(sorted(set(ran) - _AFTER))
    yield Row(f"dvc repro, {section}.{key} changed", "runs", 1 / seconds,
              also=f"{seconds:.0f} s, ran: {', '.join(ran)}",
              fails=f"{wrong} need not have run" if wrong else "")
