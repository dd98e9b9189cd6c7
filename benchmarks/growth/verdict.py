"""What the costs say: exponents, memory, what of it breaks a limit, and what a larger corpus would take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.growth.choices import Limits
from benchmarks.growth.curve import Curve, best, fitted
from benchmarks.growth.stages import Measured


@dataclass(frozen=True)
class Growth:
    """Of one stage: its best curve of processor seconds, MB of peak from the smallest to the largest size, faults.

    flat: its times are one within noise, start-up all of them, so that its exponent says nothing.
    """

    stage: str
    curve: Curve
    flat: bool
    smallest_mb: float
    largest_mb: float
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Extrapolation:
    """Seconds of some stages together for `recordings`, by a line through all sizes; and the check of such a line.

    checked_at: the size whose seconds were predicted from the smaller sizes alone. error: predicted less measured, as
    a share of measured.
    """

    recordings: int
    cpu: float
    wall: float
    checked_at: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """In [-1, infinity)."""
        return self.predicted / self.measured - 1


def growth(stage: str, points: Sequence[Measured], limits: Limits) -> Growth:
    """Judge one stage by its costs at three sizes or more.

    Faster than the data: the best exponent is above the limit, and a curve of the limit misses a measured time by more
    than noise. Holds the data: the peak at the largest size is above that at the smallest by more than is allowed.
    """
    sizes, seconds = [point.recordings for point in points], [point.cost.cpu for point in points]
    curve = best(sizes, seconds)
    small, large = (pick(points, key=lambda point: point.recordings) for pick in (min, max))
    allowed = limits.megabytes + limits.kilobytes_per_recording * (large.recordings - small.recordings) / 1000
    grown = large.cost.peak_mb - small.cost.peak_mb
    faults = []
    if curve.exponent > limits.exponent and fitted(sizes, seconds, limits.exponent).misfit > limits.noise:
        faults.append(f"{stage}: its time grows with the power {curve.exponent:g} of the corpus, "
                      f"{limits.exponent:g} is allowed")
    if grown > allowed:
        faults.append(f"{stage}: its memory grows by {grown:.0f} MB from {small.recordings} to {large.recordings} "
                      f"recordings, {allowed:.0f} are allowed")
    flat = max(seconds) <= (1 + limits.noise) * (min(seconds) + max(seconds)) / 2
    return Growth(stage, curve, flat, small.cost.peak_mb, large.cost.peak_mb, tuple(faults))


def together(points: Sequence[Measured], stages: Sequence[str]) -> Mapping[int, tuple[float, float]]:
    """Processor and wall seconds of these stages together, by number of recordings."""
    totals: dict[int, tuple[float, float]] = {}
    for point in sorted(points, key=lambda point: point.recordings):
        if point.stage in stages:
            cpu, wall = totals.get(point.recordings, (0.0, 0.0))
            totals[point.recordings] = cpu + point.cost.cpu, wall + point.cost.wall
    return totals


def extrapolated(points: Sequence[Measured], stages: Sequence[str], recordings: int, check: int) -> Extrapolation:
    """What `recordings` would take, and how well smaller sizes foretell the size `check`.

    Raises ValueError when fewer than two sizes below `check`, or `check` itself, were not measured.
    """
    totals = together(points, stages)
    below = [size for size in totals if size < check]
    if check not in totals or len(below) < 2:
        raise ValueError(f"{check} recordings and two smaller sizes must be measured")
    predicted = fitted(below, [totals[size][0] for size in below]).at(check)
    sizes = list(totals)
    cpu, wall = (fitted(sizes, [totals[size][which] for size in sizes]).at(recordings) for which in (0, 1))
    return Extrapolation(recordings, cpu, wall, check, predicted, totals[check][0])
