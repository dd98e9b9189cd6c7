"""Figure 4d: one answer taken apart, from the background's mean score to the utterance's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ser_ops.explain.figures import blank, save
from ser_ops.explain.pictures.canvas import AGAINST, FOR, INK, heading

_ROW = 0.3
_REST, _MISSED = "#8996a3", "#ccd3da"


def waterfall(names: Sequence[str], values: np.ndarray, others: tuple[int, float], missed: float, base: float,
              score: float, title: str, caption: str, path: Path) -> None:
    """From `base` by `values` (k,) of the named features, the sum of all others and what sampling missed to `score`.

    others: how many, and their sum. missed: score less base and all contributions, so that the steps end at the score
    (shap's own waterfall ends at the sum and leaves the gap out). Writes a PNG.
    """
    steps = [*map(float, values), others[1], missed]
    labels = [*names, f"{others[0]:,} other features", "missed by sampling"]
    ends = base + np.cumsum(steps)
    starts = np.append(base, ends[:-1])
    rows = range(len(steps), 0, -1)
    figure = blank(8.5, 1.4 + _ROW * (len(steps) + 2))
    axes = figure.subplots()
    for row, start, end, step, place in zip(rows, starts, ends, steps, range(len(steps)), strict=True):
        colour = FOR if step >= 0 else AGAINST
        plain = {len(steps) - 2: _REST, len(steps) - 1: _MISSED}.get(place)
        axes.barh(row, end - start, left=start, height=0.66, color=plain or colour, zorder=3)
        axes.plot([end, end], [row - 1, row], color="#9aa5b1", linewidth=0.7, zorder=2)
    low, high = float(min(starts.min(), ends.min())), float(max(starts.max(), ends.max()))
    wide = (high - low) or 1.0
    axes.set_xlim(low - 0.12 * wide, high + 0.12 * wide)
    for row, start, end, step in zip(rows, starts, ends, steps, strict=True):
        right = step >= 0
        axes.text(max(start, end) + 0.012 * wide if right else min(start, end) - 0.012 * wide, row, f"{step:+.3f}",
                  ha="left" if right else "right", va="center", fontsize=8, color=INK, zorder=4)
    for row, at in ((len(steps) + 1, base), (0, score)):
        axes.plot([at], [row], marker="D", color=INK, markersize=5, zorder=4)
        axes.text(at + 0.02 * wide, row, f"{at:.3f}", va="center", fontsize=8.5, fontweight="bold")
    axes.plot([base, base], [len(steps), len(steps) + 1], color="#9aa5b1", linewidth=0.7, zorder=2)
    axes.set_yticks(range(len(steps) + 1, -1, -1), ["background's mean score", *labels, "score of this utterance"],
                    fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(steps) + 1.7)
    axes.set_xlabel("score (log odds: logit less the mean of all seven)")
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    heading(axes, title)
    figure.tight_layout()
    save(figure, caption, path, 135, within=True)
