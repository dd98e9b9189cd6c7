"""A copy of the project as a clone would be, with the smallest settings and few recordings for every stage."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from project_copy import change_settings, copy_project, keep_few
from warm_programs import warm_programs

QUICK: dict[str, dict[str, Any]] = {
    "compute": {"workers": 1},      # each further process imports torch: seconds, for the work of a moment
    "augment": {"variants": ["original", "noisy"]},
    "presets": {"demo": {"spectral": {"members": 2, "channels": [8, 8, 16, 16]}, "features": {"seconds": 0.6},
                         "stacked": {"seconds": 0.6}, "image": {"seconds": 0.6, "hop": 151, "mels": 64}}},
    "train": {"epochs": 2},
    "tune": {"trials": 3, "startup_trials": 1, "warmup_epochs": 1},
    "ablations": {"shuffled": 1, "shuffled_epochs": 1},
    "evaluate": {"stationary": ["white"], "intensities": [0.25, 0.75], "seeds": [1], "resamples": 100,
                 "speed_utterances": 8},
    "behave": {"utterances": 21},
    "explain": {"per_class": 1, "background": 8, "shap_samples": 10, "top": 3, "figures_per_class": 0,
                "conditions": {"stationary": ["white"], "intensities": [0.5], "seed": 1, "per_class": 1,
                               "shap_samples": 10, "resamples": 100, "confidence": 0.95},
                "faithfulness": {"steps": 2, "random_draws": 1, "resamples": 100, "seed_clips": 1,
                                 "randomised_clips": 1},
                "planted": {"train_clips": 16, "clips": 4, "max_steps": 20}},
    "reproduction": {"corpora": {"models": ["fusion"]},
                     "splits": {"models": ["spectral", "cnn", "vit"]},
                     "folds": {"count": 2, "protocols": ["random", "speaker"], "variants": "original",
                               "train": {"batch_size": 32}, "explained": "cnn_lstm", "per_class": 1,
                               "models": {name: {"epochs": 1} for name in ("cnn", "lstm", "cnn_lstm", "vit", "beit")}}},
}


@dataclass
class Workspace:
    """A project folder and how to run commands in it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, check: bool = True, timeout: float = 900,
            **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a process group of its own."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment | variables, capture_output=True,
                              text=True, timeout=timeout, process_group=0)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *command: str, log: Path | None = None) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; its lines go to `log`, or to a pipe that is to be read."""
        with log.open("w") if log else nullcontext(subprocess.PIPE) as lines:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=lines,
                                    stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def start_warm(self) -> None:
        """From now on commands and stages find their libraries loaded."""
        self.environment["PATH"] = str(warm_programs()) + os.pathsep + self.environment["PATH"]

    def change(self, **sections: dict[str, Any]) -> None:
        """Change settings, as `change_settings` takes them."""
        change_settings(self.folder, **sections)


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("MLFLOW_", "PREFECT_", "DVC_"))}
    environment["PATH"] = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    return environment | {
        "OMP_NUM_THREADS": "1", "COLUMNS": "200", "DVC_NO_ANALYTICS": "1", "GX_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@example.org"}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workspace]:
    """Make a fresh workspace: committed, its data pulled, of which a few recordings are kept."""

    def make(name: str) -> Workspace:
        folder = tmp_path_factory.mktemp(name) / "ser-ops"
        copy_project(folder, **QUICK)
        workspace = Workspace(folder, _environment() | {"PYTHONPATH": str(folder)})
        workspace.run("git", "init", "-q")
        workspace.run("dvc", "pull", "-q", "data.dvc")
        keep_few(folder / "data")
        workspace.run("dvc", "commit", "-q", "--force", "data.dvc")
        workspace.run("git", "add", "-A")
        workspace.run("git", "commit", "-qm", "clone")
        return workspace

    return make


@pytest.fixture(scope="session")
def reproduced(clone: Callable[[str], Workspace]) -> Iterator[Workspace]:
    """A workspace in which one `dvc repro` has run, each stage in a fresh interpreter; what follows starts warm."""
    workspace = clone("reproduced")
    done = workspace.run("dvc", "repro")
    (workspace.folder / "repro.log").write_text(done.stdout + done.stderr)
    workspace.start_warm()
    yield workspace
