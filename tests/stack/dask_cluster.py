"""A real Dask cluster on loopback: a scheduler and workers as their own commands start them, on free ports."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from distributed import Client


@dataclass
class Cluster:
    """Processes of one cluster; `folder` has the scheduler's file and everybody's log."""

    folder: Path
    environment: Mapping[str, str]
    processes: dict[str, psutil.Process] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        address: str = json.loads(self.file.read_text())["address"]
        return address

    def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            started = subprocess.Popen(
                [Path(sys.executable).with_name("dask"), *command, "--scheduler-file", str(self.file), "--host",
                 "127.0.0.1", "--dashboard-address", "127.0.0.1:0"], env=self.environment, cwd=self.folder, stdout=log,
                stderr=subprocess.STDOUT)
        self.processes[name] = psutil.Process(started.pid)

    def worker(self, name: str, *options: str) -> None:
        self.start(name, "worker", "--nthreads", "1", "--local-directory", str(self.folder), *options)

    def family(self, name: str) -> list[psutil.Process]:
        """A service and all that it started."""
        process = self.processes[name]
        return [process, *process.children(recursive=True)] if process.is_running() else []

    def at_work(self, name: str) -> list[psutil.Process]:
        """The processes of a worker that do items."""
        return [one for one in self.family(name) if "ser_ops.progress.child" in _command(one)]

    def kill(self, name: str) -> None:
        """Power loss: the service and all that it started, at once."""
        for one in self.family(name):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        self.processes.pop(name).wait(30)

    def done(self) -> dict[str, int]:
        """Items that workers have finished, by what they were part of."""
        with Client(self.address, set_as_default=False) as client:
            counts: dict[str, int] = client.run_on_scheduler(lambda dask_scheduler: {
                name: prefix.state_counts["memory"] for name, prefix in dask_scheduler.task_prefixes.items()})
        return counts


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:    # it has just ended
        return []


@contextmanager
def started(folder: Path, environment: Mapping[str, str], workers: int = 2, *options: str) -> Iterator[Cluster]:
    """A scheduler with workers of one thread each; all of it ends with the block."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder, {**os.environ, **environment})
    try:
        cluster.start("scheduler", "scheduler", "--port", "0", *options)
        deadline = time.monotonic() + 60
        while not cluster.file.exists() or not cluster.file.read_text():
            assert time.monotonic() < deadline, (folder / "scheduler.log").read_text()
            time.sleep(0.1)
        for number in range(workers):
            cluster.worker(f"worker-{number}", *options)
        yield cluster
    finally:
        for name in reversed(list(cluster.processes)):
            cluster.kill(name)
