"""A Dask cluster for the stages of a flow, through prefect-dask.

A flow's tasks call dvc and stay in the flow's workspace. What goes to the cluster is what their stages map: decoding
and measuring recordings, augmentation, features, the evaluation grid, explanations in noise.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.context import FlowRunContext
from prefect.task_runners import TaskRunner

from ser_ops.errors import UserError

_NAME = "DASK_SCHEDULER_ADDRESS"


def task_runner() -> TaskRunner[Any] | None:
    """The task runner of a flow: prefect-dask's at DASK_SCHEDULER_ADDRESS, or None for Prefect's own."""
    if address := os.environ.get(_NAME):
        from prefect_dask import DaskTaskRunner
        return DaskTaskRunner(address=address)
    return None


@contextmanager
def shared_with_stages() -> Iterator[None]:
    """Let commands that the block starts map over the cluster of this flow's task runner, where it is prefect-dask's.

    That may be a cluster made for this flow alone: `flow.with_options(task_runner=DaskTaskRunner(cluster_class=...))`.
    Raises UserError where its scheduler does not answer.
    """
    context, before = FlowRunContext.get(), os.environ.get(_NAME)
    if context is None or not hasattr(type(context.task_runner), "client"):
        yield
        return
    try:
        dask_runner: Any = context.task_runner
        address = dask_runner.client.scheduler_info()["address"]
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {before or 'the address of this flow'} ({error}): start it "
                        f"with `dask scheduler`, or unset {_NAME} to work on this machine alone") from error
    os.environ[_NAME] = address
    try:
        yield
    finally:
        os.environ.pop(_NAME)
        if before is not None:
            os.environ[_NAME] = before
