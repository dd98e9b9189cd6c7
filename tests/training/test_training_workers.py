"""Trainings side by side: order, faults, and processes that die."""

import os
import signal

import pytest

from ser_ops.errors import UserError
from ser_ops.training.world import process_map


def _square(value):
    import torch
    return value**2, torch.get_num_threads()


def _fault(value):
    raise UserError("this: is wrong: mend it")


def _dies(value):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_children")
def test_results_in_order_one_thread_each_faults_pass_and_deaths_are_told():
    with process_map(2) as parallel:
        assert parallel(_square, range(5)) == [(value**2, 1) for value in range(5)]
    with pytest.raises(UserError, match="this: is wrong: mend it"), process_map(2) as parallel:
        parallel(_fault, range(2))
    with pytest.raises(UserError, match="a process was killed"), process_map(2) as parallel:
        parallel(_dies, range(2))


def test_one_process_is_this_one():
    with process_map(1) as parallel:
        assert parallel(lambda value: os.getpid(), [1]) == [os.getpid()]
