"""The learning rate over a training: linear warm-up, then half a cosine down to zero."""

import math


def factor(step: int, steps: int, warmup: float) -> float:
    """Share of the full learning rate at `step` (from 0) of `steps`; `warmup` is the share of steps that it rises.

    A function of the step alone, so that a resumed training needs nothing else to go on.

    >>> [round(factor(step, 10, 0.2), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
