"""Routes that do what no route may do, each in its own way."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from benchmarks.fuzz.call import Route, Sort
from ser_ops.errors import UserError

MEGABYTES = 100     # allowed in the tests that plant a hungry route


def write_number(folder: Path, generator: np.random.Generator) -> Path:
    (folder / "number").write_text(str(generator.integers(1 << 40)))
    return folder / "number"


def answers(path: Path, empty: Path) -> str:
    return ""


def refuses(path: Path, empty: Path) -> str:
    raise UserError(f"{path}: is a number: give a word")


def leaves_out(path: Path, empty: Path) -> str:
    return "left out"


def raises(path: Path, empty: Path) -> str:
    raise ValueError("planted")


def panics(path: Path, empty: Path) -> str:
    raise BaseException("planted")


def exits(path: Path, empty: Path) -> str:
    raise SystemExit(0)


def says_two_lines(path: Path, empty: Path) -> str:
    raise UserError("one\ntwo")


def says_nothing(path: Path, empty: Path) -> str:
    raise UserError("")


def hangs(path: Path, empty: Path) -> str:
    time.sleep(60)
    return ""


def takes_memory(path: Path, empty: Path) -> str:
    np.ones(int(1.5e6 * MEGABYTES) // 8)
    return ""


def grows_for_ever(path: Path, empty: Path) -> str:
    held = []
    while True:
        held.append(np.ones(1_000_000))
        time.sleep(0.01)


def kills_itself(path: Path, empty: Path) -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return ""


def ends_the_process(path: Path, empty: Path) -> str:
    os._exit(3)


def fills_its_folder(path: Path, empty: Path) -> str:
    assert not list(empty.iterdir()), "the folder is not empty"
    (empty / "left").touch()
    return ""


PLANTED: tuple[Route, ...] = (
    answers, refuses, leaves_out, raises, panics, exits, says_two_lines, says_nothing, hangs, takes_memory,
    grows_for_ever, kills_itself, ends_the_process, fills_its_folder)


def sorts(folder: Path) -> list[Sort]:
    """All in one sort, so that each must leave the rest of the job to be done."""
    return [Sort("planted", write_number, {route.__name__: route for route in PLANTED})]


def divided(folder: Path) -> list[Sort]:
    """Three that must agree, of which one does not."""
    three = {route.__name__: route for route in (answers, fills_its_folder, refuses)}
    return [Sort("divided", write_number, three, frozenset(three))]


def unmade(folder: Path) -> list[Sort]:
    """Inputs whose making ends the process, or fails: faults of the fuzzer."""
    def ends(folder: Path, generator: np.random.Generator) -> Path:
        os._exit(3)

    def fails(folder: Path, generator: np.random.Generator) -> Path:
        raise ValueError("cannot be made")
    return [Sort("ends", ends, {"answers": answers}), Sort("fails", fails, {"answers": answers})]
