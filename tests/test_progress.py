import os
import signal

import pytest

from ser_ops.errors import UserError
from ser_ops.progress import cores, spread


def double(number: int) -> int:
    return 2 * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_whatever_the_workers(workers):
    assert list(spread(double, list(range(9)), "doubling", workers)) == [2 * n for n in range(9)]


def test_a_killed_worker_is_one_line_and_no_hang():
    with pytest.raises(UserError, match="a worker process was killed"):
        list(spread(die, [1, 2], "dying", 2))


def test_as_many_processes_as_cores_unless_told():
    assert cores(3) == 3 and cores(0) == len(os.sched_getaffinity(0))
