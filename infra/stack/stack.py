"""The services of infra/compose.yaml as plain processes on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from infra.stack import compose, postgres, processes, seaweed, settings
from infra.stack.compose import Service
from infra.stack.progress import Progress
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "infra" / "compose.yaml"
SERVERS = ("postgres", "s3", "mlflow", "prefect")
_DONE = "service_completed_successfully"
_PAUSE = 0.1    # seconds between two looks at all
_REST = 5       # times as long as asking a service took, it is not asked again: asking costs what others need to start


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
        self.silence = compose.silence(COMPOSE, self.settings)
        self.wanted = self._with_needs(services)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment, a worker like a developer."""
        return compose.client(COMPOSE, self.settings)

    def start(self, service: str | None = None, say: Callable[[str], None] = lambda line: None) -> list[str]:
        """Start one service, or all; wait until they answer, as long as they give signs of progress.

        Args:
            service: The one to start; without it, all.
            say: What to do with a line of who is up.

        Returns:
            The names of those that did not run before.

        Raises:
            UserError: One ended, or was silent for too long; no new process is left behind.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        names = [service] if service else self.wanted
        with FileLock(self.folder / "lock"):
            new = [name for name in names if not self.is_one_shot(name) and not self.pid(name)]
            launched: list[str] = []
            try:
                self._bring_up([name for name in names if not self.is_one_shot(name) or new], new, launched, say)
            except BaseException:
                for name in reversed(launched):
                    self.kill(name)
                raise
        return new

    def stop(self, service: str | None = None) -> None:
        """End one service, or all, as gently as each allows: first those for which no other one waits."""
        for names in [[service]] if service else self._layers():
            processes.stop([self._record(name) for name in names],
                           [self.services[name].stop_signal for name in names],
                           max(self.services[name].grace for name in names))
            for name in names:
                self._after(name)

    def kill(self, service: str | None = None) -> None:
        """End one service, or all, with all their children at once (SIGKILL)."""
        for name in [service] if service else self.services:
            processes.kill(self._record(name))
            self._after(name)

    def pid(self, service: str) -> int | None:
        """The process id of a service's first process, None when it does not run."""
        process = processes.leader(self._record(service))
        return process.pid if process else None

    def pids(self, service: str) -> list[int]:
        """The process ids of a service with all its children."""
        return [process.pid for process in processes.members(self._record(service))]

    def running(self) -> list[str]:
        """The names of the services that run."""
        return [name for name in self.services if self.pid(name)]

    def is_one_shot(self, name: str) -> bool:
        """Whether a service does its work and ends, before others start."""
        return any(service.needs.get(name) == _DONE for service in self.services.values())

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
        needed: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in self.services:
                raise UserError(f"no service '{name}' in {COMPOSE.name}: choose among {', '.join(self.services)}")
            if name not in needed:
                needed.add(name)
                waiting += self.services[name].needs
        return [name for name in self.services if name in needed]

    def _layers(self) -> list[list[str]]:
        """All services; nobody in a layer waits for one in the same or an earlier layer."""
        left, layers = list(self.services), []
        while left:
            needed = {need for name in left for need in self.services[name].needs}
            layers.append([name for name in left if name not in needed])
            left = [name for name in left if name in needed]
        return layers

    def _bring_up(self, names: Sequence[str], new: Sequence[str], launched: list[str],
                  say: Callable[[str], None]) -> None:
        """Start each service as soon as those that it waits for answer; of those that run already, wait for an answer.

        Args:
            names: Who shall be up.
            new: Who of them does not run, one-shot services apart.
            launched: Takes the names of those that were started.
            say: What to do with a line of who is up.
        """
        began = time.monotonic()
        pending, waiting, next_look = list(names), dict[str, Progress](), dict[str, float]()
        while pending or waiting:
            for name in list(pending):
                if not any(needed in pending or needed in waiting for needed in self.services[name].needs):
                    pending.remove(name)
                    if name in new or self.is_one_shot(name):
                        launched.append(name)
                        self._launch(name)
                    waiting[name] = Progress(self.silence)
            for name, progress in list(waiting.items()):
                looked = time.monotonic()
                if looked < next_look.get(name, looked):
                    continue
                ready = self._is_ready(name, progress)
                next_look[name] = time.monotonic() + _REST * (time.monotonic() - looked)
                if ready:
                    del waiting[name]
                    for other in waiting.values():
                        other.note()
                    if name in launched:
                        say(f"{name}: {'done' if self.is_one_shot(name) else 'up'}, "
                            f"{time.monotonic() - began:.0f} s after the start")
            time.sleep(_PAUSE)

    def _launch(self, name: str) -> None:
        service = self.services[name]
        processes.kill(self._record(name))  # children of one that was killed alone may hold its port
        for port, number in service.ports.items():
            if not settings.is_free(number, self.settings["STACK_HOST"]):
                raise UserError(f"{name}: port {number} is taken: end what listens there, or set {port} in "
                                f"{self.env_file}")
        environment, user = self._environment(service), None
        if name == "postgres":
            user = postgres.account()
            postgres.make(Path(service.environment["PGDATA"]),
                          environment | {"PGCTLTIMEOUT": str(max(1, int(self.silence)))},
                          COMPOSE.parent / "services" / "databases.sh")
        if name == "s3":
            seaweed.make(self.folder / "data" / "s3")
        self._started[name] = processes.start(service.command, environment, Path("/") if user else PROJECT,
                                              self.log(name), self._record(name), user)

    def _is_ready(self, name: str, progress: Progress) -> bool:
        """Whether a service answers, or a one-shot one is done.

        Raises UserError when it has ended otherwise, or has been silent for too long.
        """
        if not self.pid(name):
            code = self._started[name].wait() if name in self._started else None
            if code == 0 and self.is_one_shot(name):
                return True
            raise UserError(f"{name}: ended with {code}: {self._last_words(name)}")
        if not self.is_one_shot(name) and self._answers(name):
            return True
        log = self.log(name)
        if progress.is_silent(log.stat().st_size if log.is_file() else 0, processes.cpu_seconds(self._record(name))):
            raise UserError(f"{name}: silent for {self.silence:g} s, and not "
                            f"{'done' if self.is_one_shot(name) else 'answering'}: {self._last_words(name)}; to wait "
                            f"longer, set STACK_SILENCE_SECONDS in {self.env_file}")
        return False

    def _answers(self, name: str) -> bool:
        health = self.services[name].health
        if not health:
            return True
        try:
            return not subprocess.run(health.command, env=self._environment(self.services[name]), cwd=PROJECT,
                                      capture_output=True, timeout=health.timeout).returncode
        except subprocess.TimeoutExpired:
            return False

    def _last_words(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        return f"{lines[-1] if lines else 'no word from it'} (all of it: {log})"

    def _environment(self, service: Service) -> dict[str, str]:
        """What a container would see: little of the caller's environment, and what the compose file says."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        if service.name == "postgres":
            path.insert(0, str(postgres.programs()))
        return kept | {"PATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"} | service.environment

    def _record(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.json"

    def _after(self, name: str) -> None:
        """What is left to do when a service has ended."""
        if process := self._started.pop(name, None):
            process.wait(timeout=10)
        if name == "s3":
            seaweed.sweep(self.services[name].ports.values())
