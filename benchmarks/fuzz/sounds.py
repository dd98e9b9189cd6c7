"""Damaged sound recordings: every admitted format and many that are not, whole files here and there."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz.clips import ADMITTED, REFUSED, clip
from benchmarks.fuzz.containers import known
from benchmarks.fuzz.damage import damaged, nothing, odd_name, special, spliced
from ser_ops.audio.admission import FORMATS

_FAULTS = (0, 1, 1, 1, 1, 2)    # how many, one of these
_SUFFIXES = (*FORMATS, ".WAV", ".raw", ".caf", ".txt", "")


@cache
def _cases(folder: Path) -> tuple[Path, ...]:
    """Recordings that lie in a folder, to be damaged too."""
    return tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMATS and path.is_file()))


def _whole(cases: Sequence[Path], generator: np.random.Generator) -> tuple[bytes, str]:
    if cases and generator.integers(5) == 0:
        path = cases[int(generator.integers(len(cases)))]
        return path.read_bytes(), path.suffix
    return clip(REFUSED if generator.integers(8) == 0 else ADMITTED, generator)


def recording(folder: Path, generator: np.random.Generator, cases: Path | None = None) -> Path:
    """Write a damaged recording into `folder`; now and then one that is whole, or no file.

    cases: a folder of recordings that are damaged beside those that are made here.
    """
    known_cases = _cases(cases) if cases else ()
    data, suffix = _whole(known_cases, generator)
    for _ in range(int(generator.choice(_FAULTS))):
        structure = known(data, suffix)
        fault = generator.integers(12)
        if fault == 0:
            data = spliced(data, _whole(known_cases, generator)[0], generator)
        elif structure and fault < 7:
            data = structure(data, generator)
        else:
            data = damaged(data, generator)
    if generator.integers(30) == 0:
        data = nothing(generator)
    if generator.integers(20) == 0:
        suffix = _SUFFIXES[generator.integers(len(_SUFFIXES))]
    path = folder / (odd_name(suffix, generator) if generator.integers(25) == 0 else f"sound{suffix}")
    if generator.integers(100) == 0:
        return special(path, generator)
    path.write_bytes(data)
    return path
