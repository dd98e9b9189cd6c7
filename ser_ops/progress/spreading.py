"""The one map of every long step: in this process, over this machine's cores, or over a Dask cluster."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from ser_ops.progress.bar import progress
from ser_ops.progress.processes import cores, one_thread, over_processes

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(function: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int = 0,
           unit: str = "utt") -> Iterator[Result]:
    """Map over one process per core, one thread each; results come in the order of `items`.

    Where DASK_SCHEDULER_ADDRESS is set, the processes are those of that cluster, however many it has. One worker
    asked for runs in this process, cluster or not, as does a single item. `function` and its items must be importable
    by a fresh process. Memory stays bounded: results are handed on as they come.
    """
    one_thread()
    number = min(cores(workers), len(items))
    results: Iterator[Result]
    if workers != 1 and len(items) > 1 and os.environ.get("DASK_SCHEDULER_ADDRESS"):
        from ser_ops.progress.cluster import over_cluster
        results = over_cluster(function, items, what)
    elif number > 1:
        results = over_processes(function, items, number, what)
    else:
        results = map(function, items)
    yield from progress(results, what, len(items), unit)
