"""Figure 4c: how SHAP values spread over utterances, a violin a feature; and the axes that it shares with figure 4b."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ser_ops.explain.figures import PALETTE, blank, save
from ser_ops.explain.pictures.canvas import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.27                                  # inches
AXIS = "SHAP value for '{emotion}' (log odds: logit less the mean of all seven)"


def rows_of(axes: "Axes", names: Sequence[str]) -> None:
    """One row a name, the first on top, and a line at zero."""
    axes.set_yticks(range(len(names) - 1, -1, -1), names, fontsize=9)
    axes.tick_params(axis="y", length=0, width=0)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)


def violins(names: Sequence[str], values: np.ndarray, emotion: str, caption: str, path: Path) -> None:
    """SHAP values (n, k) of n utterances for k features, from the most important; every utterance is a dot too.

    Not shap's own violins: these take a density of every feature, which fails where all values are alike, and hide how
    few utterances there are. Writes a PNG.
    """
    figure = blank(8.5, 1.3 + ROW * len(names))
    axes = figure.subplots()
    rows = np.arange(len(names) - 1, -1, -1)
    axes.axvline(0, color="#9aa5b1", linewidth=0.8, zorder=1)
    varied = [place for place in range(len(names)) if np.ptp(values[:, place]) > 0]
    if varied:
        parts = axes.violinplot([values[:, place] for place in varied], rows[varied], orientation="horizontal",
                                widths=0.9, showextrema=False)
        for body in cast(list[Any], parts["bodies"]):
            body.set(facecolor=PALETTE[emotion], edgecolor=PALETTE[emotion], alpha=0.45, linewidth=0.8)
    for place, row in enumerate(rows):
        axes.scatter(values[:, place], np.full(len(values), row), s=7, color=INK, linewidths=0, alpha=0.75,
                     zorder=3)
        axes.plot([np.median(values[:, place])] * 2, [row - 0.28, row + 0.28], color=INK, linewidth=1.4, zorder=4)
    rows_of(axes, names)
    axes.set_xlabel(AXIS.format(emotion=emotion))
    figure.tight_layout()
    save(figure, caption, path, 135, within=True)
