"""In which noises models are tried: every kind at every intensity with every seed (table V of paper 1)."""

from collections.abc import Iterable, Mapping

from ser_ops.config import Evaluate
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import CLEAN, Condition


def categories(noise_rows: Iterable[Mapping[str, str]]) -> tuple[list[str], list[str]]:
    """Noise categories with a recording in the test partition, and those without, both sorted."""
    rows = list(noise_rows)
    every = {row["category"] for row in rows}
    tested = {row["category"] for row in rows if row["partition"] == "test"}
    return sorted(tested), sorted(every - tested)


def grid(noise_rows: Iterable[Mapping[str, str]], settings: Evaluate) -> list[Condition]:
    """Every noisy condition: categories with test recordings, then the stationary kinds, by intensity and seed.

    Raises UserError for a category whose name means something else here, and when there is no condition at all.
    """
    recorded, _ = categories(noise_rows)
    if not (recorded or settings.stationary) or not settings.intensities:
        raise UserError("evaluate: no noise to listen in: bring recordings in with `ser-ops noise add`, or name "
                        "evaluate.stationary and evaluate.intensities")
    for name in recorded:
        if name == CLEAN.noise or name in ("white", "pink", "brown"):
            raise UserError(f"noise category {name!r}: that name is taken: rename its folder")
    return [Condition(noise, intensity, seed) for noise in [*recorded, *settings.stationary]
            for intensity in settings.intensities for seed in settings.seeds]
