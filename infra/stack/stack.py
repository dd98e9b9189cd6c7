"""The services of infra/compose.yaml as plain processes on loopback."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from infra.stack import compose, postgres, processes, settings
from infra.stack.compose import Service
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "infra" / "compose.yaml"
SERVERS = ("postgres", "s3", "mlflow", "prefect")
_DONE = "service_completed_successfully"


class Stack:
    """Services in one folder: data/, logs/ and run/ (who runs). They outlive the object that started them.

    `services` are started with all that they wait for. Passwords and ports stand in the .env file, which is made when
    it is missing: by default inside the folder and with free ports.
    """

    def __init__(self, folder: Path, services: Sequence[str] = SERVERS, env_file: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.env_file = env_file or self.folder / ".env"
        variables = settings.complete(self.env_file, compose.required(COMPOSE),
                                      () if env_file else compose.ports(COMPOSE))
        own = {"STACK_HOST": "127.0.0.1", "STACK_DATA": str(self.folder / "data"), "STACK_CODE": str(PROJECT),
               "POSTGRES_SOCKETS": ""}
        self.settings: dict[str, str] = own | variables
        self.services: dict[str, Service] = compose.read(COMPOSE, self.settings)
        self.wanted = self._with_needs(services)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment: what a worker of infra/compose.yaml has."""
        return dict(self.services["worker-cpu"].environment)

    def start(self, service: str | None = None) -> None:
        """Start one service, or all, and wait until they answer.

        Raises UserError, and leaves no new process behind, when one does not come up.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            names = [name for name in ([service] if service else self.wanted) if not self.pid(name)]
            long = [name for name in names if not self._is_one_shot(name)]
            if not long:
                return
            launched: list[str] = []
            try:
                self._bring_up(names, launched)
            except BaseException:
                for name in reversed(launched):
                    processes.kill(self._record(name))
                raise

    def stop(self, service: str | None = None) -> None:
        """End one service, or all in the reverse order of their start, as gently as each allows."""
        for name in [service] if service else reversed(list(self.services)):
            content = self.services[name]
            processes.stop(self._record(name), content.stop_signal, content.grace)
            self._reap(name)

    def kill(self, service: str) -> None:
        """End a service and all its children at once (SIGKILL)."""
        processes.kill(self._record(service))
        self._reap(service)

    def pid(self, service: str) -> int | None:
        """The process id of a service's first process, None when it does not run."""
        process = processes.leader(self._record(service))
        return process.pid if process else None

    def pids(self, service: str) -> list[int]:
        """The process ids of a service with all its children."""
        return [process.pid for process in processes.members(self._record(service))]

    def log(self, service: str) -> Path:
        return self.folder / "logs" / f"{service}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def _with_needs(self, names: Iterable[str]) -> list[str]:
        """`names` and all that they wait for, in the order of the compose file (which is an order of start)."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in self.services:
                raise UserError(f"no service '{name}' in {COMPOSE.name}: choose among {', '.join(self.services)}")
            if name not in found:
                found.add(name)
                waiting += self.services[name].needs
        return [name for name in self.services if name in found]

    def _is_one_shot(self, name: str) -> bool:
        return any(service.needs.get(name) == _DONE for service in self.services.values())

    def _bring_up(self, names: Sequence[str], launched: list[str]) -> None:
        pending, waiting = list(names), dict[str, float]()
        last_look = dict[str, float]()
        while pending or waiting:
            for name in list(pending):
                if not any(needed in pending or needed in waiting for needed in self.services[name].needs):
                    pending.remove(name)
                    launched.append(name)
                    self._launch(name)
                    waiting[name] = time.monotonic()
            for name, since in list(waiting.items()):
                health = self.services[name].health
                if time.monotonic() - last_look.get(name, 0) < (health.pause if health else 0):
                    continue
                last_look[name] = time.monotonic()
                if self._is_ready(name):
                    del waiting[name]
                elif health and time.monotonic() - since > health.limit:
                    raise UserError(f"{name}: no answer within {health.limit:.0f} s: see {self.log(name)}")
            time.sleep(0.1)

    def _launch(self, name: str) -> None:
        service = self.services[name]
        for port, number in service.ports.items():
            if not settings.is_free(number, self.settings["STACK_HOST"]):
                raise UserError(f"{name}: port {number} is taken: end what listens there, or set {port} in "
                                f"{self.env_file}")
        environment, user = self._environment(service), None
        if name == "postgres":
            user = postgres.account()
            postgres.make(Path(service.environment["PGDATA"]), environment,
                          COMPOSE.parent / "services" / "databases.sh")
        if name == "s3":
            (self.folder / "data" / "s3").mkdir(parents=True, exist_ok=True)
        self._started[name] = processes.start(service.command, environment, Path("/") if user else PROJECT,
                                              self.log(name), self._record(name), user)

    def _is_ready(self, name: str) -> bool:
        code = self._started[name].poll()
        if self._is_one_shot(name) and code == 0:
            return True
        if code is not None:
            lines = self.log(name).read_text(errors="replace").strip().splitlines() or ["no word from it"]
            raise UserError(f"{name}: ended at once with {code}: {lines[-1]} (all of it: {self.log(name)})")
        if self._is_one_shot(name):
            return False
        service = self.services[name]
        if not service.health:
            return True
        try:
            return not subprocess.run(service.health.command, env=self._environment(service), capture_output=True,
                                      timeout=service.health.timeout).returncode
        except subprocess.TimeoutExpired:
            return False

    def _environment(self, service: Service) -> dict[str, str]:
        """What a container would see: little of the caller's environment, and what the compose file says."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ}
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        if service.name == "postgres":
            path.insert(0, str(postgres.programs()))
        return kept | {"PATH": os.pathsep.join(path)} | service.environment

    def _record(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.json"

    def _reap(self, name: str) -> None:
        if process := self._started.pop(name, None):
            process.wait(timeout=10)


def forget(folder: Path) -> None:
    """Remove a stopped stack's folder with all its data."""
    shutil.rmtree(folder, ignore_errors=True)
