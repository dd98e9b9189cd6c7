"""Paper 1's figure 4: all explained utterances together, and which features the scores follow.

4a is a bar over all classes, 4b and 4c show each utterance for a class, 4d takes one answer apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ser_ops.config.explaining import Explain
from ser_ops.config.models import Features, MelImage, Stacked, Window
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.figures import (
    AGAINST,
    FOR,
    INK,
    PALE,
    PALETTE,
    draw_shap_bar,
    new_figure,
    save_figure,
    set_heading,
    unheard_stream,
    with_reliability,
)
from ser_ops.explain.methods.shap import Attribution, importance, rank_features
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import describe, feature_at, grid, shape_of, to_grid
from ser_ops.features.paper2 import row_name
from ser_ops.seeds import derive_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR = ("Mean absolute SHAP value over {utterances} test utterances against {background} training utterances "
        "(expected gradients; equation 25 is missed by {error:.3f} on average, {share:.0%} of what is explained). Long "
        "means that the scores follow the feature, not in which direction, and not that it causes the emotion; single "
        "moments differ from one utterance to the next, so the order of so few utterances is a hint.")


def feature_importance(subject: Subject, attributions: Sequence[Attribution], explained: Sequence[str],
                       settings: Explain, background: int, file: Path) -> dict[str, Any]:
    """Rank features by what they do to the scores over all utterances; draw the global bar, figure 4a, into `file`.

    explained: the class of each utterance on which equation 25 is checked. background: the number of training
    utterances behind the attributions. Returns what explanations.json holds under "shap".
    """
    importances = importance(attributions)
    top = rank_features(importances, settings.top)
    shaped = importances.T.reshape(len(EMOTIONS), *shape_of(subject.features))
    kinds = rank_features(to_grid(shaped, subject.features).sum(-1).T, settings.top)
    pairs = list(zip(attributions, [EMOTIONS.index(emotion) for emotion in explained], strict=True))
    error = float(np.mean([abs(attribution.gap[c]) for attribution, c in pairs]))
    reach = float(np.mean([abs(attribution.score[c] - attribution.base[c]) for attribution, c in pairs]))
    names = [describe(feature.index, subject.features) for feature in top]
    share = error / reach if reach else 0.0
    caption = _BAR.format(utterances=len(attributions), background=background, error=error, share=share)
    per_class = {emotion: [float(feature.per_class[c]) for feature in top] for c, emotion in enumerate(EMOTIONS)}
    draw_shap_bar(names, per_class, caption + unheard_stream(subject.model.streams), file)
    return {
        "utterances": len(attributions), "background": background,
        "samples": settings.shap_samples, "score": "logit less the mean of all seven logits",
        "top": [{"feature": name, "index": feature.index, "per_class": _by_emotion(feature.per_class)}
                for name, feature in zip(names, top, strict=True)],
        "kinds": [{"feature": _kind_name(kind.index, subject.features), "per_class": _by_emotion(kind.per_class)}
                  for kind in kinds],
        "base_values": _by_emotion(np.mean([attribution.base for attribution in attributions], axis=0)),
        "additivity_error": error, "additivity_error_share": share,
    }


def _by_emotion(values: np.ndarray) -> dict[str, float]:
    return {emotion: float(value) for emotion, value in zip(EMOTIONS, values, strict=True)}


def _kind_name(channel: int, settings: Window) -> str:
    """A row of the grid in words, without a time."""
    if isinstance(settings, Stacked | MelImage):
        return row_name(channel, settings)
    if not isinstance(settings, Features):
        raise TypeError(f"no features for {type(settings).__name__}")
    feature = feature_at(int(grid(settings)[channel, 0]), settings)
    return feature.kind if feature.coefficient is None else f"{feature.kind} {feature.coefficient}"


@dataclass(frozen=True)
class ShapRow:
    """An utterance that SHAP explained: its features float32 (*shape_of), not standardised.

    explained: the class that the model answered. title: what stands above its waterfall.
    """

    features: np.ndarray
    explained: str
    title: str


_TOP = ("{top} of {features:,} features, those with the largest mean |SHAP value| for '{emotion}' over {utterances} "
        "test utterances of all classes. ")
_BEESWARM = (_TOP + "A dot is an utterance, orange where the feature was high in it, blue where it was low. Not shown: "
             "that the order would stay with other utterances, what features do together, and that a feature causes "
             "the emotion.")
_VIOLIN = (_TOP + "A dot is an utterance, the short line the median; the shaded shape is a smoothed guess at the "
           "spread behind so few dots. Not shown: what the value of the feature was, and that a long tail would come "
           "again.")


def draw_global_figures(subject: Subject, attributions: Sequence[Attribution], rows: Sequence[ShapRow],
                        settings: Explain, folder: Path, prefix: str, reliability: str = "") -> dict[str, str]:
    """Draw figures 4b to 4d into `folder`; returns 'figure_4b_fear' and the like to `prefix` and the file's name.

    attributions and rows belong together, one an utterance. 4b and 4c of every class, 4d of every class that the model
    answered, for the first such row. Features are named by equation 29. reliability: a sentence on how far SHAP can be
    believed.
    """
    if not attributions:
        return {}
    values = np.stack([attribution.values.reshape(-1, len(EMOTIONS)) for attribution in attributions])
    features = np.stack([row.features.reshape(-1) for row in rows])
    unheard = unheard_stream(subject.model.streams)
    files: dict[str, str] = {}

    def file(key: str) -> Path:
        files[key] = f"{prefix}shap_{key}.png"
        return folder / f"shap_{key}.png"

    for c, emotion in enumerate(EMOTIONS):
        top = np.argsort(-np.abs(values[..., c]).mean(0), kind="stable")[:settings.top]
        names = [describe(int(index), subject.features) for index in top]
        counts = {"top": len(top), "features": values.shape[1], "emotion": emotion, "utterances": len(values)}
        draw_beeswarm(names, values[:, top, c], features[:, top], emotion, settings.seed,
                      with_reliability(_BEESWARM.format(**counts) + unheard, reliability), file(f"figure_4b_{emotion}"))
        draw_violins(names, values[:, top, c], emotion,
                     with_reliability(_VIOLIN.format(**counts) + unheard, reliability), file(f"figure_4c_{emotion}"))
        number = next((number for number, row in enumerate(rows) if row.explained == emotion), None)
        if number is not None:
            draw_utterance_waterfall(subject, attributions[number], rows[number], c, settings.top,
                                     file(f"figure_4d_{emotion}"), reliability)
    return files


_ROW = 0.27                                  # inches
_AXIS = "SHAP value for '{emotion}' (log odds: logit less the mean of all seven)"
_LOW_TO_HIGH = ("#0072B2", "#9fb4c4", "#E69F00")    # blue to orange, told apart with every common colour blindness


def draw_beeswarm(names: Sequence[str], values: np.ndarray, features: np.ndarray, emotion: str, seed: int, caption: str,
                  path: Path) -> None:
    """Figure 4b: each utterance a dot at its SHAP value, coloured by how large the feature was; drawn by shap.

    values: (n, k) of n utterances for k features, from the most important. features: (n, k), in their own units. seed:
    of what shap draws to keep dots apart; numpy's global generator is left as it was. Writes a PNG.
    """
    import shap
    from matplotlib.colors import LinearSegmentedColormap
    figure = new_figure(8.5, 1.3 + _ROW * len(names))
    axes = figure.subplots()
    state = np.random.get_state()
    try:
        np.random.seed(derive_seed(seed, "beeswarm", emotion) % 2**32)
        shap.plots.beeswarm(
            shap.Explanation(values, data=features, feature_names=list(names)), max_display=len(names), ax=axes,
            order=np.arange(len(names)), color=LinearSegmentedColormap.from_list("low to high", _LOW_TO_HIGH), s=14,
            show=False, plot_size=None, group_remaining_features=False,
            color_bar_label="value of the feature (each from its own low to its high)")
    finally:
        np.random.set_state(state)
    _label_rows(axes, names)
    axes.set_xlabel(_AXIS.format(emotion=emotion), fontsize=9)
    for panel in figure.axes:
        panel.tick_params(labelsize=9)
        panel.yaxis.label.set_fontsize(8.5)
    figure.tight_layout()
    save_figure(figure, caption, path, 135)


def draw_violins(names: Sequence[str], values: np.ndarray, emotion: str, caption: str, path: Path) -> None:
    """Figure 4c: how SHAP values (n, k) of k features spread over n utterances; every utterance is a dot too.

    names: from the most important. Not shap's own violins: these take a density of every feature, which fails where all
    values are alike, and hide how few utterances there are. Writes a PNG.
    """
    figure = new_figure(8.5, 1.3 + _ROW * len(names))
    axes = figure.subplots()
    rows = np.arange(len(names) - 1, -1, -1)
    axes.axvline(0, color=PALE, linewidth=0.8, zorder=1)
    varied = np.flatnonzero(np.ptp(values, axis=0) > 0)
    if len(varied):
        parts = axes.violinplot(list(values[:, varied].T), rows[varied], orientation="horizontal", widths=0.9,
                                showextrema=False)
        for body in cast(list[Any], parts["bodies"]):
            body.set(facecolor=PALETTE[emotion], edgecolor=PALETTE[emotion], alpha=0.45, linewidth=0.8)
    for column, row in zip(values.T, rows, strict=True):
        axes.scatter(column, np.full(len(column), row), s=7, color=INK, linewidths=0, alpha=0.75, zorder=3)
        axes.plot([np.median(column)] * 2, [row - 0.28, row + 0.28], color=INK, linewidth=1.4, zorder=4)
    _label_rows(axes, names)
    axes.set_xlabel(_AXIS.format(emotion=emotion))
    figure.tight_layout()
    save_figure(figure, caption, path, 135, within=True)


def _label_rows(axes: "Axes", names: Sequence[str]) -> None:
    """One row a feature, the first on top, over a pale grid."""
    axes.set_yticks(range(len(names) - 1, -1, -1), names, fontsize=9)
    axes.tick_params(axis="y", length=0, width=0)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)


_WATERFALL = (
    "Equation 25 for one utterance and '{emotion}': the features that moved the score most, one by one, all others as "
    "one bar, and what sampling missed. Orange pushes up, blue down. Not shown: that the named features decide (look "
    "at how much the others move together), and what would happen if one of them changed.")


def draw_utterance_waterfall(subject: Subject, attribution: Attribution, row: ShapRow, target: int, top: int,
                             path: Path, reliability: str = "") -> None:
    """Draw figure 4d of one utterance for class `target`: its `top` features, all others, and what sampling missed."""
    caption = with_reliability(_WATERFALL.format(emotion=EMOTIONS[target]) + unheard_stream(subject.model.streams),
                               reliability)
    values = attribution.values.reshape(-1, len(attribution.base))[:, target]
    best = np.argsort(-np.abs(values), kind="stable")[:top]
    rest = float(values.sum() - values[best].sum())
    flat = row.features.reshape(-1)
    names = [f"{describe(int(index), subject.features)}  = {flat[index]:.3g}" for index in best]
    draw_waterfall(names, values[best], (len(values) - len(best), rest), float(-attribution.gap[target]),
                   float(attribution.base[target]), float(attribution.score[target]), row.title, caption, path)


def draw_waterfall(names: Sequence[str], values: np.ndarray, others: tuple[int, float], missed: float, base: float,
                   score: float, title: str, caption: str, path: Path) -> None:
    """Figure 4d: one answer taken apart, from the background's mean score `base` to the utterance's own `score`.

    values: (k,) of the named features. others: how many, and their sum. missed: score less base and all contributions,
    so that the steps end at the score (shap's own waterfall ends at the sum and leaves the gap out). Writes a PNG.
    """
    steps = [*map(float, values), others[1], missed]
    labels = [*names, f"{others[0]:,} other features", "missed by sampling"]
    colours = [FOR if step >= 0 else AGAINST for step in steps[:-2]] + ["#8996a3", "#ccd3da"]
    ends = base + np.cumsum(steps)
    starts = np.append(base, ends[:-1])
    rows = range(len(steps), 0, -1)
    figure = new_figure(8.5, 1.4 + 0.3 * (len(steps) + 2))
    axes = figure.subplots()
    for row, start, end, colour in zip(rows, starts, ends, colours, strict=True):
        axes.barh(row, end - start, left=start, height=0.66, color=colour, zorder=3)
        axes.plot([end, end], [row - 1, row], color=PALE, linewidth=0.7, zorder=2)
    low, high = float(min(starts.min(), ends.min())), float(max(starts.max(), ends.max()))
    width = (high - low) or 1.0
    axes.set_xlim(low - 0.12 * width, high + 0.12 * width)
    for row, start, end, step in zip(rows, starts, ends, steps, strict=True):
        right = step >= 0
        axes.text(max(start, end) + 0.012 * width if right else min(start, end) - 0.012 * width, row, f"{step:+.3f}",
                  ha="left" if right else "right", va="center", fontsize=8, color=INK, zorder=4)
    for row, value in ((len(steps) + 1, base), (0, score)):
        axes.plot([value], [row], marker="D", color=INK, markersize=5, zorder=4)
        axes.text(value + 0.02 * width, row, f"{value:.3f}", va="center", fontsize=8.5, fontweight="bold")
    axes.plot([base, base], [len(steps), len(steps) + 1], color=PALE, linewidth=0.7, zorder=2)
    axes.set_yticks(range(len(steps) + 1, -1, -1), ["background's mean score", *labels, "score of this utterance"],
                    fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(steps) + 1.7)
    axes.set_xlabel("score (log odds: logit less the mean of all seven)")
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    set_heading(axes, title)
    figure.tight_layout()
    save_figure(figure, caption, path, 135, within=True)
