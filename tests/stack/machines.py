"""Machines of a team: each has a clone of the repository, a home of its own and the credentials, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from project_copy import copy_project, keep_few
from warm_programs import warm_programs

_OURS = ("MLFLOW_", "PREFECT_", "DVC_", "AWS_", "PG", "OPTUNA_", "DASK_", "CUDA_", "PYTHON", "VIRTUAL_ENV")


@dataclass
class Machine:
    """A clone and how commands run in it."""

    clone: Path
    home: Path
    given: dict[str, str] = field(repr=False)   # credentials and addresses

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        kept["PATH"] = os.pathsep.join([str(warm_programs()), str(Path(sys.executable).parent), kept["PATH"]])
        return kept | {
            "HOME": str(self.home), "PYTHONPATH": str(self.clone), "OMP_NUM_THREADS": "1", "COLUMNS": "200",
            "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.home / "dvc"), "GX_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_WORKER_QUERY_SECONDS": "2",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org"} | self.given

    def run(self, *command: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.clone, env=self.environment, capture_output=True, text=True,
                              timeout=timeout, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    @property
    def log(self) -> str:
        """What the workers of this machine have said."""
        return (self.home / "worker.log").read_text(errors="replace")

    @contextmanager
    def worker(self, pool: str, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker of a pool, one run at a time; it and all that it started end with the block."""
        with (self.home / "worker.log").open("ab") as log:
            process = subprocess.Popen(["prefect", "worker", "start", "--pool", pool, "--limit", "1", *options],
                                       cwd=self.home, env=self.environment | variables, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process
        finally:
            kill(process)

    def at_work(self) -> list[psutil.Process]:
        """Processes whose working folder is the clone: flow runs, dvc and stages, never the worker itself."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd() == str(self.clone) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def kill(process: subprocess.Popen[bytes]) -> None:
    """The machine loses power: the process and all its descendants, whatever their group, none of whom sees it come."""
    family: set[psutil.Process] = set()
    with suppress(psutil.Error):
        family.add(psutil.Process(process.pid))
    while found := {child for one in family for child in _children(one)} - family:   # stopped, they start no others
        family |= found
        for one in family:
            with suppress(psutil.Error):
                one.suspend()
    for one in family:
        with suppress(psutil.Error):
            one.kill()
    process.wait(30)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, alive


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def author(folder: Path, given: dict[str, str], **changes: dict[str, Any]) -> Machine:
    """The machine of who writes the code: the project with changed settings and few recordings of each corpus."""
    machine = _machine(folder, given)
    copy_project(machine.clone, **changes)
    machine.run("git", "init", "-q", "-b", "main")
    machine.run("dvc", "pull", "-q", "data.dvc")
    keep_few(machine.clone / "data")
    machine.run("dvc", "commit", "-q", "--force", "data.dvc")
    return machine


def commit(machine: Machine, why: str) -> None:
    """Commit all and push it to the team's repository."""
    machine.run("git", "add", "-A")
    machine.run("git", "commit", "-qm", why)
    machine.run("git", "push", "-q", "origin", "main")


def clone(origin: Path, folder: Path, given: dict[str, str]) -> Machine:
    """Another machine: a clone, a fresh home, the credentials."""
    machine = _machine(folder, given)
    subprocess.run(["git", "clone", "-q", str(origin), str(machine.clone)], check=True)
    return machine


def _machine(folder: Path, given: dict[str, str]) -> Machine:
    machine = Machine(folder / "ser-ops", folder / "home", given)
    machine.clone.mkdir(parents=True)
    machine.home.mkdir()
    return machine
