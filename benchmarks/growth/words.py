"""The figures as a table in Markdown."""

from collections.abc import Mapping, Sequence

from benchmarks.growth.stages import Measured
from benchmarks.growth.verdict import Extrapolation, Growth


def table(found: Sequence[Measured], grown: Sequence[Growth], machine: Mapping[str, str]) -> str:
    """A line for each stage: processor seconds and peak MB at each size and, where it is judged, its exponent."""
    sizes = sorted({one.recordings for one in found})
    costs = {(one.stage, one.recordings): one.cost for one in found}
    head = ["stage", *(f"{size:,}: s" for size in sizes), "exponent", "start-up, s",
            *(f"{size:,}: MB" for size in sizes), "holds"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    judged = {one.stage: ["flat" if one.flat else f"{one.curve.exponent:.2f}", f"{one.curve.start:.1f}",
                          "NO" if one.faults else "yes"] for one in grown}
    for stage in dict.fromkeys(one.stage for one in found):
        own = [costs[stage, size] for size in sizes]
        exponent, start, holds = judged.get(stage, ["", "", ""])
        cells = [stage, *(f"{cost.cpu:.1f}" for cost in own), exponent, start,
                 *(f"{cost.peak_mb:.0f}" for cost in own), holds]
        lines.append("| " + " | ".join(cells) + " |")
    told = ", ".join(f"{name} {value}" for name, value in machine.items())
    loads = [one.load for one in found]
    return "\n".join([*lines, "", f"Machine: {told}; load while it ran {min(loads):.1f} to {max(loads):.1f}."])


def sentence(one: Extrapolation, stages: Sequence[str]) -> str:
    """What was predicted, how that was checked, and what the whole would take."""
    return (f"{', '.join(stages)} of {one.checked_at:,} recordings: {one.predicted:.0f} processor seconds predicted "
            f"from the smaller sizes, {one.measured:.0f} measured, {one.error:+.1%}. Of {one.recordings:,} recordings: "
            f"{one.cpu / 60:.1f} minutes of one core predicted, {one.wall / 60:.1f} of wall time at this load.")
