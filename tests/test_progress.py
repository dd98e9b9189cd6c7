import os
import platform
import signal
import subprocess
import sys

import pytest

from ser_ops.errors import UserError
from ser_ops.progress.spreading import parallel_map, worker_count


def double(number: int) -> int:
    return 2 * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_whatever_the_workers(workers):
    assert list(parallel_map(double, list(range(9)), "doubling", workers)) == [2 * n for n in range(9)]


def test_a_killed_worker_is_one_line_and_no_hang():
    with pytest.raises(UserError, match="a worker process was killed"):
        list(parallel_map(die, [1, 2], "dying", 2))


def test_as_many_processes_as_cores_unless_told():
    assert worker_count(3) == 3 and worker_count(0) == len(os.sched_getaffinity(0))


REUSE = """
import resource
import sys
import numpy as np
from ser_ops.progress.spreading import keep_freed_memory

def batch():
    [np.ones(500_000) for _ in range(4)]

if sys.argv[1] == "keep":
    keep_freed_memory()
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_of_one_batch_serves_the_next():
    faults = {way: int(subprocess.check_output([sys.executable, "-c", REUSE, way])) for way in ("keep", "leave")}
    assert faults["keep"] < 100 < 10_000 < faults["leave"]
