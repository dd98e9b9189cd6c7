"""Workers under watch: one that hangs, grows or crashes is ended, counted and replaced, and its job goes on."""

import multiprocessing
import shutil
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from benchmarks.fuzz.call import Kind, Outcome, resident
from benchmarks.fuzz.worker import Began, Job, Sorts, serve

_LOOK = 0.1     # seconds between two looks at what the workers hold
_RUNAWAY = 2.0  # times the allowed memory: a call that holds so much is ended before it ends the machine


@dataclass(frozen=True)
class Limits:
    """Of one call."""

    seconds: float = 10.0
    megabytes: float = 1000.0


@dataclass
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    folder: Path
    job: Job | None = None
    began: Began | None = None
    since: float = 0.0
    left: list[str] = field(default_factory=list)

    def take(self, job: Job) -> None:
        self.job, self.left = job, list(job.routes)
        self.pipe.send(job)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pool:
    """`workers` processes; the sorts are found in each by `sorts`, a function of a module.

    scratch: a folder for inputs; seed: of all of them.
    """

    def __init__(self, sorts: Sorts, scratch: Path, seed: int, limits: Limits, workers: int = 2) -> None:
        self._sorts, self._scratch, self._seed, self._limits = sorts, scratch, seed, limits
        self._number, self._started = workers, 0
        # Neither fork (threads) nor spawn (seconds of imports for every worker that dies).
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([getattr(sorts, "func", sorts).__module__])

    def outcomes(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """What became of each job on each of its routes, as they end.

        Raises RuntimeError when a worker dies outside a route: a fault of the fuzzer, not of what it calls.
        """
        waiting = deque(jobs)
        workers = [self._start() for _ in range(min(self._number, len(waiting)))]
        try:
            while waiting or any(worker.job for worker in workers):
                for worker in workers:
                    if worker.job is None and waiting:
                        worker.take(waiting.popleft())
                wait([worker.pipe for worker in workers if worker.job], _LOOK)
                for at, worker in enumerate(workers):
                    lost = yield from self._news(worker)
                    if lost is None:
                        continue
                    yield lost
                    assert worker.job is not None
                    if worker.left:
                        waiting.appendleft(Job(worker.job.sort, worker.job.number, tuple(worker.left)))
                    worker.stop()
                    workers[at] = self._start()
        finally:
            for worker in workers:
                worker.stop()

    def _start(self) -> _Worker:
        self._started += 1
        ours, theirs = self._context.Pipe()
        folder = self._scratch / f"worker-{self._started}"
        process = self._context.Process(target=serve, daemon=True, args=(
            theirs, self._sorts, folder, self._seed, self._limits.megabytes))
        process.start()
        theirs.close()
        return _Worker(process, ours, folder)

    def _news(self, worker: _Worker) -> Generator[Outcome, None, Outcome | None]:
        """Outcomes that a worker has sent; returns the one for which it must be replaced, if any."""
        try:
            while worker.job and worker.pipe.poll():
                message = worker.pipe.recv()
                if isinstance(message, Began):
                    worker.began, worker.since = message, time.monotonic()
                    worker.left.remove(message.route)
                elif message is None:
                    worker.job = None
                elif isinstance(message, str):
                    raise RuntimeError(f"{message}at {worker.job}")
                else:
                    worker.began = None
                    yield message
        except (EOFError, ConnectionResetError):
            worker.process.join()
            return self._lost(worker, Kind.CRASH, _ending(worker.process.exitcode))
        if worker.began is None:
            return None
        if time.monotonic() - worker.since > self._limits.seconds:
            return self._lost(worker, Kind.HANG, f"no end after {self._limits.seconds:g} s")
        if self._grown(worker) > _RUNAWAY * self._limits.megabytes:
            return self._lost(worker, Kind.MEMORY, f"ended at {self._grown(worker):.0f} MB")
        return None

    def _grown(self, worker: _Worker) -> float:
        assert worker.began is not None
        try:
            return max(0.0, resident(worker.process.pid or 0) - worker.began.megabytes)
        except (FileNotFoundError, ProcessLookupError):     # it dies in this moment: the pipe will say so
            return 0.0

    def _lost(self, worker: _Worker, kind: Kind, cause: str) -> Outcome:
        if worker.began is None or worker.job is None:
            raise RuntimeError(f"a worker ended outside a route ({cause}), at {worker.job}")
        grown = 0.0 if kind is Kind.CRASH else self._grown(worker)
        return Outcome(worker.began.route, worker.job.number, kind, time.monotonic() - worker.since, grown, cause)


def _ending(code: int | None) -> str:
    """How a process ended, in words.

    >>> _ending(-11), _ending(3)
    ('killed by SIGSEGV', 'exit code 3')
    """
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
