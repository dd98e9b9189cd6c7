"""Windows of many requests in one pass of the model, by one thread or several.

Windows cost less together than alone. So a batch begins when enough windows wait or when no recording that was
announced is still being decoded, and at the latest when its first window has waited `wait` seconds. On a CPU each core
has a thread: two that share a pass wait for each other. A quarter of a batch is then enough, beyond which a window
costs no less.

Recordings that ask again, as long ones do, do so for an eighth of a batch at a time. Each time they give way to those
that ask for the first time for twice `wait`; then both take turns, the least served first. So a short recording hardly
waits, and a long one comes to its end whatever the load.
"""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ser_ops.inference.recogniser import Recogniser, Window, WindowAnswer

_GIVES_WAY = 2      # times `wait`: for so long who asks again lets others go first


def windows_at_a_time(batch_size: int) -> int:
    """For how many windows one recording asks at a time.

    >>> windows_at_a_time(16), windows_at_a_time(1)
    (2, 1)
    """
    return max(1, batch_size // 8)


@dataclass(order=True)
class _Job:
    """Windows of one recording; before: how many it asked for earlier."""

    before: int
    number: int
    recogniser: Recogniser = field(compare=False)
    windows: Sequence[Window] = field(compare=False)
    since: float = field(compare=False)
    answers: "Future[list[WindowAnswer]]" = field(compare=False, default_factory=Future)


class Batcher:
    """The threads that have the model. Ended by `close`, when what waits is answered."""

    def __init__(self, batch_size: int, wait: float, observe: Callable[[int, float], None], threads: int = 1) -> None:
        """wait: seconds; observe: called with the windows of each batch and its seconds; threads: with the model."""
        self.batch_size, self._wait, self._observe = batch_size, wait, observe
        self._first: deque[_Job] = deque()
        self._again: list[_Job] = []        # a heap: who asked for the fewest comes first
        self._numbers = self._windows = 0   # jobs so far; windows that wait in `_first`
        self._announced = 0
        self._again_had_turn = self._filling = self._closed = False
        self._changed = threading.Condition()
        self._enough = batch_size if threads == 1 else max(1, batch_size // 4)
        self._threads = [threading.Thread(target=self._run, name="model", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether windows are still answered."""
        return all(thread.is_alive() for thread in self._threads)

    def announce(self) -> None:
        """Say that a recording is on its way, until `retract`."""
        with self._changed:
            self._announced += 1

    def retract(self) -> None:
        """Say that it is here, or that it does not come."""
        with self._changed:
            self._announced -= 1
            self._changed.notify_all()

    def submit(self, recogniser: Recogniser, windows: Sequence[Window], before: int) -> "Future[list[WindowAnswer]]":
        """Ask for the answers to windows, at most `windows_at_a_time`; before: what the recording asked for earlier."""
        with self._changed:
            self._numbers += 1
            job = _Job(before, self._numbers, recogniser, windows, time.monotonic())
            if before:
                heapq.heappush(self._again, job)
            else:
                self._first.append(job)
                self._windows += len(windows)
            self._changed.notify_all()
        return job.answers

    def close(self) -> None:
        """Answer what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while batch := self._next():
            begun = time.monotonic()
            windows = [window for job in batch for window in job.windows]
            try:
                answers = batch[0].recogniser.answer_windows(windows)
            except Exception as error:  # whatever it is, it is these requests' answer; the next batch is another one
                for job in batch:
                    job.answers.set_exception(error)
                continue
            self._observe(len(windows), time.monotonic() - begun)
            for job in batch:
                job.answers.set_result(answers[:len(job.windows)])
                del answers[:len(job.windows)]

    def _next(self) -> list[_Job]:
        """The jobs of the next batch, without those whose request is gone; none when it is over."""
        with self._changed:
            while True:
                if self._again and not (self._first and self._gives_way()):
                    self._again_had_turn = True
                    jobs = [heapq.heappop(self._again)]
                elif self._first and not self._filling:
                    self._again_had_turn = False
                    jobs = self._filled()
                elif self._closed and not self._first:
                    return []
                else:
                    self._changed.wait()
                    continue
                if batch := [job for job in jobs if job.answers.set_running_or_notify_cancel()]:
                    return batch

    def _gives_way(self) -> bool:
        """Whether who asks again lets those go first who ask for the first time, if no thread looks after these."""
        longest = time.monotonic() - min(job.since for job in self._again)
        return not self._filling and (self._again_had_turn or longest < _GIVES_WAY * self._wait)

    def _filled(self) -> list[_Job]:
        """A batch of first windows of one model; while others are on their way it fills, as long as it may wait."""
        self._filling = True
        while self._first and self._windows < self._enough and self._announced and not self._closed:
            left = self._first[0].since + self._wait - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)
        self._filling = False
        batch, windows = list[_Job](), 0
        while self._first and windows + len(self._first[0].windows) <= self.batch_size and (
                not batch or self._first[0].recogniser is batch[0].recogniser):
            batch.append(self._first.popleft())
            windows += len(batch[-1].windows)
        self._windows -= windows
        self._changed.notify_all()      # another thread may look after the rest
        return batch
