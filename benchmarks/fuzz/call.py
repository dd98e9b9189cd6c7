"""One input through one route: how it ended, in what time, with what memory."""

import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from ser_ops.errors import UserError

LONGEST_LINE = 600  # characters of a refusal, the file's own name left aside: more than four lines of a terminal
_RESET_PEAK = "5"   # what Linux takes in clear_refs for "the peak begins anew"


class Kind(StrEnum):
    """How a call ended; all but the first two are faults."""

    ANSWERED = "answered"
    REFUSED = "refused in one line"
    UNTIDY = "not one line"
    DIVIDED = "admitted by one route alone"
    TRACEBACK = "tracebacks"
    HANG = "hangs"
    MEMORY = "over memory"
    CRASH = "native crashes"

    @property
    def fault(self) -> bool:
        """Whether no user should ever meet it."""
        return self not in (Kind.ANSWERED, Kind.REFUSED)


# Takes the input and an empty folder; gives "" for an answer, or why the input was left out.
Route = Callable[[Path, Path], str]
# Writes the input into an empty folder, all of it from the generator, and gives its path.
Make = Callable[[Path, np.random.Generator], Path]


@dataclass(frozen=True)
class Sort:
    """Inputs of one sort, and the routes, by name, that take them; those of `agree` answer and refuse the same."""

    name: str
    make: Make
    routes: Mapping[str, Route]
    agree: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Outcome:
    """What became of input `number` on a route; megabytes: what the call's peak added to the process.

    cause: why it was refused, or what went wrong, in one line; details: the traceback, where there is one.
    """

    route: str
    number: int
    kind: Kind
    seconds: float
    megabytes: float
    cause: str = ""
    details: str = ""


def resident(process: int | str = "self", peak: bool = False) -> float:
    """Megabytes of memory that a process holds, or held at most since `measured` began (Linux).

    >>> 1 < resident() < resident(peak=True) * 1.5
    True
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    match = re.search(rf"^Vm{'HWM' if peak else 'RSS'}:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) / 1000 if match else 0.0


def measured(name: str, number: int, route: Route, made: Path, empty: Path, megabytes: float) -> Outcome:
    """Call a route. Whatever it raises is counted, a crash of the process aside.

    Args: name: of the route; made: the input; empty: a folder for what the route writes; megabytes: more is a fault.
    """
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="utf-8")
    before, began, details = resident(), time.monotonic(), ""
    try:
        cause = route(made, empty)
        kind = _judged(cause, made) if cause else Kind.ANSWERED
    except UserError as error:
        cause = str(error)
        kind = _judged(cause, made)
    except BaseException as error:  # a panic of a Rust library is no Exception
        kind, cause, details = Kind.TRACEBACK, _cause(error), "".join(traceback.format_exception(error))
    seconds, added = time.monotonic() - began, resident(peak=True) - before
    if added > megabytes:
        kind, cause = Kind.MEMORY, f"{added:.0f} MB; {cause}"
    for folder in (made.parent, empty):     # what is left is the same wherever the scratch folder lies
        cause = cause.replace(f"{folder}/", "")
    return Outcome(name, number, kind, seconds, max(0.0, added), cause, details)


def compared(outcome: Outcome, earlier: Outcome) -> Outcome:
    """The outcome of a route that must agree with an earlier one; a fault where one refuses what the other answers.

    >>> refused = Outcome("predict", 1, Kind.REFUSED, 0.1, 1.0, "too short")
    >>> compared(Outcome("ingest", 1, Kind.ANSWERED, 0.1, 1.0), refused).cause
    'predict refused: too short; ingest answered'
    """
    if outcome.kind.fault or earlier.kind.fault or outcome.kind == earlier.kind:
        return outcome
    said = [f"{each.route} {f'refused: {each.cause}' if each.cause else 'answered'}" for each in (earlier, outcome)]
    return replace(outcome, kind=Kind.DIVIDED, cause="; ".join(said))


def _judged(text: str, made: Path) -> Kind:
    """Whether a refusal is one line that a terminal can show.

    >>> made = Path("a.wav")
    >>> [str(_judged(text, made)) for text in ("a.wav: is empty: record it again", "two\\nlines", "", "a" * 1000)]
    ['refused in one line', 'not one line', 'not one line', 'not one line']
    """
    own = text.replace(f"{made.parent}/", "").replace(made.name, "")
    tidy = own.strip() and own.isprintable() and len(own) <= LONGEST_LINE
    return Kind.REFUSED if tidy else Kind.UNTIDY


def _cause(error: BaseException) -> str:
    """An exception in one line, with the last line of ser_ops that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = next((frame for frame in reversed(frames) if "ser_ops" in Path(frame.filename).parts), frames[-1])
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text} ({'/'.join(Path(own.filename).parts[-2:])}:{own.lineno})"
