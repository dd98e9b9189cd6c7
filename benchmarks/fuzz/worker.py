"""A process that makes inputs and calls routes, one after another, until it is told to stop or dies of one."""

import os
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import RLock

from tqdm import tqdm

from benchmarks.fuzz.call import Outcome, Sort, compared, measured, resident
from ser_ops.seeds import generator

# Gives the sorts of inputs; the folder is the process's own and stays as long as it does.
Sorts = Callable[[Path], Sequence[Sort]]


@dataclass(frozen=True)
class Job:
    """Input `number` of a sort, and the routes that it is to take."""

    sort: str
    number: int
    routes: tuple[str, ...]


@dataclass(frozen=True)
class Began:
    """A route was entered, by a process that held so many megabytes."""

    route: str
    megabytes: float


def make(sort: Sort, number: int, seed: int, folder: Path) -> Path:
    """Write input `number` of a sort into `folder`, made anew; the same bytes for the same seed on every machine."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return sort.make(folder, generator(seed, sort.name, number))


def serve(pipe: Connection, sorts: Sorts, folder: Path, seed: int, megabytes: float) -> None:
    """Take jobs from `pipe`; for each route send `Began`, then its Outcome, and None when the job is done.

    What goes wrong outside a route is sent as text.
    """
    for stream in (1, 2):   # decoders in C print what they think of a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    tqdm.set_lock(RLock())  # its own is shared by processes, and a killed one would leave it
    try:
        _served(pipe, {sort.name: sort for sort in sorts(folder / "own")}, folder, seed, megabytes)
    except Exception:
        pipe.send(traceback.format_exc())


def _served(pipe: Connection, known: Mapping[str, Sort], folder: Path, seed: int, megabytes: float) -> None:
    for job in iter(pipe.recv, None):
        sort, agreed = known[job.sort], list[Outcome]()
        made = make(sort, job.number, seed, folder / "input")
        for name in job.routes:
            empty = folder / "empty"
            shutil.rmtree(empty, ignore_errors=True)
            empty.mkdir()
            pipe.send(Began(name, resident()))
            outcome = measured(name, job.number, sort.routes[name], made, empty, megabytes)
            pipe.send(compared(outcome, agreed[0]) if agreed and name in sort.agree else outcome)
            agreed += [outcome] if name in sort.agree else []
        pipe.send(None)
