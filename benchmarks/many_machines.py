"""What it costs to spread work: over Dask, over a search that machines share, over processes that train one model.

    python -m benchmarks.many_machines [dask] [tuning] [training]

Everything is on this machine, so that what remains is the cost of the way itself; a network's comes on top. Each figure
is the least of several repetitions, which a busy machine disturbs least. `tuning` needs PostgreSQL. Prints a line each.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ser_ops.config.params import load_params
from ser_ops.progress.spreading import parallel_map

PROJECT = Path(__file__).resolve().parents[1]


def least(what: Callable[[], object], repetitions: int) -> float:
    """Seconds of the quickest repetition."""
    durations = []
    for _ in range(repetitions):
        began = time.perf_counter()
        what()
        durations.append(time.perf_counter() - began)
    return min(durations)


def dask() -> None:
    """From the call to the first result, and each further item, with items that cost nothing themselves."""
    many = 2000

    def both(name: str, repetitions: int = 3) -> None:
        start = least(lambda: list(parallel_map(math.sqrt, [1.0, 4.0], name, 2)), repetitions)
        further = (least(lambda: list(parallel_map(math.sqrt, range(many), name, 2)), repetitions) - start) / many
        print(f"{name}: start {start:.2f} s, each further item {1000 * further:.2f} ms", flush=True)

    both("2 processes of this machine")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        shared = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
        with (Path(folder) / "log").open("w") as log:
            began = time.perf_counter()
            services = [subprocess.Popen(["dask", *command, *shared], stdout=log, stderr=log, cwd=folder,
                                         env=os.environ | {"PYTHONPATH": str(PROJECT)})
                        for command in (("scheduler", "--port", "0"), ("worker", "--nthreads", "2"))]
        try:
            from distributed import Client
            while not file.exists() or not file.read_text():
                time.sleep(0.05)
            with Client(scheduler_file=str(file)) as client:
                client.wait_for_workers(1)
                print(f"a scheduler and a worker from nothing: {time.perf_counter() - began:.2f} s", flush=True)
                os.environ["DASK_SCHEDULER_ADDRESS"] = client.scheduler_info()["address"]
            both("2 threads of a Dask worker")
        finally:
            del os.environ["DASK_SCHEDULER_ADDRESS"]
            for service in reversed(services):
                service.terminate()
                service.wait()


class Nothing:
    """A trial that costs nothing."""

    def __call__(self, trial: Any, report: Any) -> None:
        from ser_ops.training.history import Epoch
        report(Epoch(1, 1.0, 0.5, 1.0, 0.5 + trial.values["learning_rate"], 0.1, 1.0))


def tuning() -> None:
    """Seconds for each trial that does nothing, in a search of this process alone and in one kept in PostgreSQL."""
    from infra.stack import Stack
    from ser_ops.training.shared_search import search_shared
    from ser_ops.training.study_store import StudyStore
    from ser_ops.training.tuning import search
    from ser_ops.training.world import process_map

    params = load_params()
    settings = params.tune.model_copy(update={"trials": 16})
    with (tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(prefix="stack-") as postgres,
          ExitStack() as held):
        Path(postgres).chmod(0o755)     # PostgreSQL's own account enters it
        stack = held.enter_context(Stack(Path(postgres), ("postgres",)))
        os.environ.update(stack.environment)
        numbers = iter(range(100))

        def alone() -> None:
            with process_map(1) as parallel:
                search(settings, Nothing(), Path(folder) / str(next(numbers)), parallel)

        def shared() -> None:
            number = next(numbers)
            StudyStore(f"benchmark-{number}", params.compute).create()
            with process_map(1) as parallel:
                search_shared(settings, Nothing(), Path(folder) / str(number), f"benchmark-{number}", params.compute,
                              parallel, 1)

        for name, way in (("alone", alone), ("shared in PostgreSQL", shared)):
            print(f"a trial of a search {name}: {1000 * least(way, 3) / settings.trials:.0f} ms", flush=True)


def training() -> None:
    """Summing the gradients of the main model over two processes, beside the step that makes them."""
    import torch
    from torch.nn.functional import cross_entropy

    from ser_ops.features.index_map import shape_of
    from ser_ops.models.architectures import build, count
    from ser_ops.training.world import run_process_group

    torch.set_num_threads(1)
    params = load_params()
    for name in ("fusion", "spectral"):
        model = build(name, params.chosen)
        length = round(params.chosen.features.seconds * params.data.sample_rate)

        def step(size: int, model: Any = model, length: int = length) -> None:
            answer = model(torch.randn(size, length), torch.full((size,), length),
                           torch.randn(size, *shape_of(params.chosen.features)))
            cross_entropy(answer, torch.zeros(size, dtype=torch.long)).backward()

        size = params.train.batch_size
        print(f"{name}, {count(model) / 1e6:.2f} million parameters, a step of {size}: "
              f"{least(partial(step, size), 5):.3f} s, of {size // 2}: {least(partial(step, size // 2), 5):.3f} s",
              flush=True)
        run_process_group(partial(_summing, count(model)), 2)


def _summing(parameters: int, meeting: Path) -> None:
    import torch

    from ser_ops.training.world import process_group, process_rank, summed

    torch.set_num_threads(1)
    with process_group(torch.device("cpu"), meeting):
        values = torch.ones(parameters)
        seconds = least(lambda: summed(values), 30)
        if process_rank() == 0:
            print(f"  its gradients summed over 2 processes (gloo): {1000 * seconds:.1f} ms", flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ("dask", "tuning", "training"):
        {"dask": dask, "tuning": tuning, "training": training}[chosen]()
