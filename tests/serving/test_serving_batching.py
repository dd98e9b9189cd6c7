"""Which windows are answered together, in what order, and what becomes of a request that is gone or fails."""

import threading
from typing import Any

import numpy as np
import pytest

from ser_ops.serving.batching import Batcher, windows_at_a_time


class Held:
    """Stands for a recogniser: each batch is noted and waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.fault: Exception | None = None

    def answer_windows(self, windows: list[tuple[int, Any]]) -> list[Any]:
        self.batches.append([start for start, _ in windows])
        self.begun.release()
        assert self.go.acquire(timeout=30)
        if self.fault:
            raise self.fault
        return [f"answer {start}" for start, _ in windows]


def asked(*starts: int) -> list[tuple[int, np.ndarray]]:
    return [(start, np.zeros(1, np.float32)) for start in starts]


@pytest.fixture
def held():
    return Held()


@pytest.fixture
def batcher(held):
    batcher = Batcher(8, 0.0, lambda windows, seconds: None)
    yield batcher
    held.go.release(100)
    batcher.close()
    assert not batcher.alive


def test_what_came_while_the_model_was_busy_is_answered_together_each_with_its_own(held, batcher):
    first = batcher.submit(held, asked(0), 0)
    held.begun.acquire(timeout=30)
    others = [batcher.submit(held, asked(10 * number, 10 * number + 1), 0) for number in range(1, 6)]
    held.go.release(3)
    assert first.result(30) == ["answer 0"]
    assert [other.result(30) for other in others] == [
        [f"answer {10 * number}", f"answer {10 * number + 1}"] for number in range(1, 6)]
    assert held.batches == [[0], [10, 11, 20, 21, 30, 31, 40, 41], [50, 51]]


def test_recordings_that_ask_again_take_turns_with_new_ones_the_least_served_first(held, batcher):
    batcher.submit(held, asked(0), 0)
    held.begun.acquire(timeout=30)
    for before, start in ((400, 4), (8, 8), (200, 2)):
        batcher.submit(held, asked(start, start), before)
    new = [batcher.submit(held, asked(100 + number), 0) for number in range(20)]
    held.go.release(100)
    for future in new:
        future.result(30)
    batcher.close()
    assert held.batches == [[0], [8, 8], [*range(100, 108)], [2, 2], [*range(108, 116)], [4, 4], [*range(116, 120)]]


def test_recordings_that_ask_again_give_way_for_a_while(held):
    batcher = Batcher(8, 3600.0, lambda windows, seconds: None)
    batcher.submit(held, asked(0), 0)
    held.begun.acquire(timeout=30)
    long = batcher.submit(held, asked(1, 1), 8)
    new = [batcher.submit(held, asked(100 + number), 0) for number in range(20)]
    held.go.release(100)
    for future in (long, *new):
        future.result(30)
    batcher.close()
    assert held.batches == [[0], [*range(100, 108)], [*range(108, 116)], [*range(116, 120)], [1, 1]]


class Quick:
    """Answers at once."""

    def answer_windows(self, windows: list[tuple[int, Any]]) -> list[Any]:
        return list(windows)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_long_recording_comes_to_its_end_among_short_and_middling_ones_that_never_cease(threads):
    batcher, quick, over = Batcher(8, 0.001, lambda windows, seconds: None, threads), Quick(), threading.Event()

    def keep_asking(steps: int) -> None:
        while not over.is_set():
            for step in range(steps):
                batcher.submit(quick, asked(step), 2 * step).result(30)

    others = [threading.Thread(target=keep_asking, args=[steps]) for steps in (1, 1, 1, 1, 2)]
    for other in others:
        other.start()
    try:
        for step in range(1, 20):
            assert batcher.submit(quick, asked(step), 1000 + step).result(30)
    finally:
        over.set()
        for other in others:
            other.join()
        batcher.close()


def test_while_a_batch_fills_another_thread_answers_who_asks_again(held):
    batcher = Batcher(8, 3600.0, lambda windows, seconds: None, threads=2)
    batcher.announce()      # one that does not come for long
    first, again = batcher.submit(held, asked(1), 0), batcher.submit(held, asked(2), 8)
    held.go.release(100)
    assert again.result(30) == ["answer 2"] and not first.done()
    batcher.retract()
    assert first.result(30) == ["answer 1"]
    batcher.close()


def test_a_batch_waits_for_those_that_are_announced_and_no_longer_than_it_is_full(held):
    held.go.release(100)
    batcher = Batcher(2, 3600.0, lambda windows, seconds: None)
    assert batcher.submit(held, asked(0), 0).result(30) == ["answer 0"]     # nobody else is on the way
    batcher.announce()
    answers = [batcher.submit(held, asked(number), 0) for number in (1, 2)]
    assert [answer.result(30) for answer in answers] == [["answer 1"], ["answer 2"]]
    gone = batcher.submit(held, asked(3), 0)
    batcher.retract()
    assert gone.result(30) == ["answer 3"]
    batcher.announce()
    last = batcher.submit(held, asked(4), 0)
    batcher.close()     # what waits is answered
    assert last.result(0) == ["answer 4"] and held.batches == [[0], [1, 2], [3], [4]]


def test_no_announcement_holds_a_batch_for_longer_than_it_may_wait(held):
    held.go.release(100)
    batcher = Batcher(2, 0.01, lambda windows, seconds: None)
    batcher.announce()
    assert batcher.submit(held, asked(0), 0).result(30) == ["answer 0"]
    batcher.close()


def test_windows_of_two_models_are_not_answered_together(held, batcher):
    other = Held()
    other.go.release(100)
    batcher.submit(held, asked(0), 0)
    held.begun.acquire(timeout=30)
    answers = [batcher.submit(recogniser, asked(number), 0)
               for number, recogniser in enumerate((held, other, other, held), 1)]
    held.go.release(100)
    for answer in answers:
        answer.result(30)
    assert held.batches == [[0], [1], [4]] and other.batches == [[2, 3]]


def test_a_request_that_is_gone_takes_no_part(held, batcher):
    batcher.submit(held, asked(0), 0)
    held.begun.acquire(timeout=30)
    gone, stays = batcher.submit(held, asked(1), 0), batcher.submit(held, asked(2), 0)
    again = batcher.submit(held, asked(3), 4)
    assert gone.cancel() and again.cancel()
    held.go.release(100)
    assert stays.result(30) == ["answer 2"] and held.batches == [[0], [2]]


def test_a_fault_is_told_to_its_own_batch_alone(held, batcher):
    held.fault = RuntimeError("planted")
    held.go.release(1)
    with pytest.raises(RuntimeError, match="planted"):
        batcher.submit(held, asked(0), 0).result(30)
    held.fault = None
    held.go.release(1)
    assert batcher.submit(held, asked(1), 0).result(30) == ["answer 1"] and batcher.alive


def test_two_threads_answer_two_batches_at_once_and_begin_with_a_quarter(held):
    batcher = Batcher(8, 3600.0, lambda windows, seconds: None, threads=2)
    batcher.announce()      # one that never comes
    first = [batcher.submit(held, asked(number), 0) for number in (1, 2)]
    assert held.begun.acquire(timeout=30)
    second = [batcher.submit(held, asked(number), 0) for number in (3, 4)]
    assert held.begun.acquire(timeout=30), "beside the first, which is not answered yet"
    long = [batcher.submit(held, asked(number), 2) for number in (5, 6)]
    held.go.release(100)
    assert [answer.result(30) for answer in (*first, *second, *long)] == [[f"answer {each}"] for each in range(1, 7)]
    assert sorted(held.batches) == [[1, 2], [3, 4], [5], [6]] and batcher.alive
    batcher.close()
    assert not batcher.alive


def test_one_asks_for_an_eighth_of_a_batch():
    assert [windows_at_a_time(size) for size in (1, 3, 4, 16, 64)] == [1, 1, 1, 2, 8]
