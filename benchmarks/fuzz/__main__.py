"""Damaged files through every door, counted: python -m benchmarks.fuzz --inputs 10000

Run in the project's top folder, on Linux. Damaged recordings go through all routes that take sound; a fifth as many
settings, tables, archives, models and other files through theirs. Ends with 1 when a call ended otherwise than with an
answer or a refusal in one line, or two routes that must agree did not. --only predict:17 makes input 17 of that route
again and calls no more than those.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.fuzz.call import Outcome, Sort
from benchmarks.fuzz.count import Count
from benchmarks.fuzz.pool import Limits, Pool
from benchmarks.fuzz.routes import ready, sorts
from benchmarks.fuzz.worker import Job, make
from ser_ops.errors import UserError
from ser_ops.progress.spreading import progress_bar

_SOUND = "sound"
_OTHERS = 5     # recordings for each other input


def jobs(known: Sequence[Sort], inputs: int, wanted: Sequence[str] | None = None) -> list[Job]:
    """`inputs` recordings, and a fifth as many others in equal parts, each through those of its routes that are wanted.

    Raises UserError for a route that is none.
    """
    names = [route for sort in known for route in sort.routes]
    if strange := set(wanted or ()) - set(names):
        raise UserError(f"{', '.join(sorted(strange))}: no such route: give one of {', '.join(names)}")
    others = -(-inputs // (_OTHERS * max(1, len(known) - 1)))
    return [Job(sort.name, number, routes) for sort in known
            if (routes := tuple(route for route in sort.routes if not wanted or route in wanted))
            for number in range(inputs if sort.name == _SOUND else others)]


def only(known: Sequence[Sort], asked: Sequence[str]) -> list[Job]:
    """Jobs for ROUTE:NUMBER, a dash for a space in a route's name, with the routes that must agree with it.

    Raises UserError for what is no such input.
    """
    jobs = []
    for text in asked:
        route, _, number = text.rpartition(":")
        owners = [(sort, name) for sort in known for name in sort.routes if name.replace(" ", "-") == route]
        if not owners or not number.isdecimal():
            raise UserError(f"--only {text}: is no input: give ROUTE:NUMBER as the list of faults has it")
        jobs += [Job(sort.name, int(number), tuple(each for each in sort.routes if each == name or (
            {each, name} <= sort.agree))) for sort, name in owners]
    return jobs


def kept(outcomes: Iterator[Outcome], known: Sequence[Sort], seed: int, folder: Path) -> Iterator[Outcome]:
    """The same outcomes; the input of each fault is made again in `folder`, under its route and number."""
    for outcome in outcomes:
        if outcome.kind.fault:
            sort = next(sort for sort in known if outcome.route in sort.routes)
            make(sort, outcome.number, seed, folder / outcome.route.replace(" ", "-") / str(outcome.number))
        yield outcome


def main() -> int:
    """Call, count, print; 0 when there was no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1000, help="damaged recordings; others are a fifth as many")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs")
    parser.add_argument("--seconds", type=float, default=10.0, help="that a call may take")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="that a call may take of memory")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    parser.add_argument("--routes", nargs="+", metavar="ROUTE", help="some of them")
    parser.add_argument("--only", nargs="+", metavar="ROUTE:NUMBER", help="these inputs, with tracebacks")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the inputs of faults")
    parser.add_argument("--cases", type=Path, metavar="FOLDER", help="of recordings to damage beside those made here")
    asked = parser.parse_args()
    if asked.cases and not asked.cases.is_dir():
        raise UserError(f"{asked.cases}: no such folder: give one that holds recordings")
    cases = asked.cases and asked.cases.absolute()
    with tempfile.TemporaryDirectory(prefix="ser-ops-fuzz-") as holder:
        scratch = Path(holder)
        known = sorts(scratch / "own", cases)
        work = only(known, asked.only) if asked.only else jobs(known, asked.inputs, asked.routes)
        limits = Limits(asked.seconds, 1000 * asked.gigabytes)
        pool = Pool(partial(ready, cases=cases), scratch, asked.seed, limits, asked.workers)
        outcomes = progress_bar(pool.outcomes(work), "fuzz", sum(len(job.routes) for job in work), "call")
        count = Count().add(kept(outcomes, known, asked.seed, asked.keep) if asked.keep else outcomes)
    print(count.table(), *count.causes(), sep="\n")
    if asked.only:
        print(*(fault.details for fault in count.faults if fault.details), sep="\n")
    return 1 if count.faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
