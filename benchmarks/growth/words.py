"""The figures as a table in Markdown."""

from collections.abc import Mapping, Sequence

from benchmarks.growth.stages import Measured
from benchmarks.growth.verdict import Extrapolation, Growth


def table(points: Sequence[Measured], grown: Sequence[Growth], machine: Mapping[str, str]) -> str:
    """A line for each stage: processor seconds and peak MB at each size and, where it is judged, its exponent."""
    sizes = sorted({point.recordings for point in points})
    costs = {(point.stage, point.recordings): point.cost for point in points}
    head = ["stage", *(f"{size:,}: s" for size in sizes), "exponent", "start-up, s",
            *(f"{size:,}: MB" for size in sizes), "holds"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    judged = {growth.stage: ["flat" if growth.flat else f"{growth.curve.exponent:.2f}", f"{growth.curve.start:.1f}",
                             "NO" if growth.faults else "yes"] for growth in grown}
    for stage in dict.fromkeys(point.stage for point in points):
        own = [costs[stage, size] for size in sizes]
        exponent, start, holds = judged.get(stage, ["", "", ""])
        cells = [stage, *(f"{cost.cpu:.1f}" for cost in own), exponent, start,
                 *(f"{cost.peak_mb:.0f}" for cost in own), holds]
        lines.append("| " + " | ".join(cells) + " |")
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    loads = [point.load for point in points]
    return "\n".join([*lines, "", f"Machine: {described}; load while it ran {min(loads):.1f} to {max(loads):.1f}."])


def sentence(extrapolation: Extrapolation, stages: Sequence[str]) -> str:
    """What was predicted, how that was checked, and what the whole would take."""
    return (f"{', '.join(stages)} of {extrapolation.checked_at:,} recordings: {extrapolation.predicted:.0f} processor "
            f"seconds predicted from the smaller sizes, {extrapolation.measured:.0f} measured, "
            f"{extrapolation.error:+.1%}. Of {extrapolation.recordings:,} recordings: {extrapolation.cpu / 60:.1f} "
            f"minutes of one core predicted, {extrapolation.wall / 60:.1f} of wall time at this load.")
