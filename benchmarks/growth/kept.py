"""What a run measured, kept size by size, so that one that is stopped goes on."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.growth.cost import Cost
from benchmarks.growth.stages import Measured
from ser_ops.documents import read_json
from ser_ops.files import write_json


def write(file: Path, run: dict[str, str], points: Sequence[Measured]) -> None:
    """Keep costs under what they were measured with."""
    write_json(file, {"run": run, "costs": [asdict(point) for point in points]})


def read(file: Path, run: dict[str, str]) -> list[Measured]:
    """The costs of the same run, none of another: code that is not committed is never the same."""
    if not file.exists() or run["commit"].endswith("-dirty"):
        return []
    content = read_json(file)
    if content["run"] != run:
        return []
    return [Measured(**entry | {"cost": Cost(**entry["cost"])}) for entry in content["costs"]]
