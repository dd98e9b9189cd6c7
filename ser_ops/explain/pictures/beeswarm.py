"""Figure 4b: each utterance a dot, where its SHAP value lies, coloured by how large the feature was. Drawn by shap."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ser_ops.explain.figures import blank, save
from ser_ops.explain.pictures.spread import AXIS, ROW, rows_of
from ser_ops.seeds import derive

_LOW_TO_HIGH = ("#0072B2", "#9fb4c4", "#E69F00")    # blue to orange, told apart with every common colour blindness


def beeswarm(names: Sequence[str], values: np.ndarray, features: np.ndarray, emotion: str, seed: int, caption: str,
             path: Path) -> None:
    """SHAP values (n, k) of n utterances for k features, from the most important; `features` alike, in their own units.

    seed: of what shap draws to keep dots apart; numpy's global generator is left as it was. Writes a PNG.
    """
    import shap
    from matplotlib.colors import LinearSegmentedColormap
    figure = blank(8.5, 1.3 + ROW * len(names))
    axes = figure.subplots()
    state = np.random.get_state()
    try:
        np.random.seed(derive(seed, "beeswarm", emotion) % 2**32)
        shap.plots.beeswarm(
            shap.Explanation(values, data=features, feature_names=list(names)), max_display=len(names), ax=axes,
            order=np.arange(len(names)), color=LinearSegmentedColormap.from_list("low to high", _LOW_TO_HIGH), s=14,
            show=False, plot_size=None, group_remaining_features=False,
            color_bar_label="value of the feature (each from its own low to its high)")
    finally:
        np.random.set_state(state)
    rows_of(axes, names)
    axes.set_xlabel(AXIS.format(emotion=emotion), fontsize=9)
    for one in figure.axes:
        one.tick_params(labelsize=9)
        one.yaxis.label.set_fontsize(8.5)
    figure.tight_layout()
    save(figure, caption, path, 135)
