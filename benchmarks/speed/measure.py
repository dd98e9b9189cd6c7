"""Two ways to the same result, timed turn by turn on one thread.

Processor seconds of this process: what others do on the machine costs waiting, which they leave out. Rounds alternate,
so that what the others do to caches and clock rate meets both ways alike, and the quickest round of each counts: every
disturbance only adds. `wall` is for work that waits for a disk or for other processes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Clock = Callable[[], float]
cpu: Clock = time.process_time
wall: Clock = time.perf_counter


@dataclass(frozen=True)
class Turns:
    """Seconds of each round, and the last results."""

    ours: list[float]
    peer: list[float]
    our_result: Any
    peer_result: Any

    def rates(self, items: int) -> tuple[float, float]:
        """Items a second, ours and the peer's, each of its quickest round."""
        return items / min(self.ours), items / min(self.peer)


def timed(made: Callable[[], Any], clock: Clock = cpu) -> tuple[Any, float]:
    """The result and the seconds that it took."""
    start = clock()
    result = made()
    return result, clock() - start


def quickest(made: Callable[[], Any], rounds: int = 5, clock: Clock = cpu) -> float:
    """Seconds of the quickest of several rounds after one that warms up."""
    made()
    return min(timed(made, clock)[1] for _ in range(rounds))


def by_turns(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 5, clock: Clock = cpu) -> Turns:
    """Both ways, each once to warm up and then `rounds` times, turn by turn."""
    ours()
    peer()
    seconds: tuple[list[float], list[float]] = ([], [])
    mine = other = None
    for _ in range(rounds):
        mine, took = timed(ours, clock)
        seconds[0].append(took)
        other, took = timed(peer, clock)
        seconds[1].append(took)
    return Turns(*seconds, mine, other)


def _times(made: Callable[[], Any], count: int) -> float:
    return timed(lambda: [made() for _ in range(count)])[1]


def repeated(made: Callable[[], Any], least: float = 0.05, rounds: int = 5) -> float:
    """Seconds of one call of something short: calls in a row that last `least` seconds, the quickest of `rounds`."""
    made()
    count = 1
    while (took := _times(made, count)) < least:
        count = max(2 * count, int(count * least / max(took, 1e-6)))
    return min(took, *(_times(made, count) for _ in range(rounds - 1))) / count
