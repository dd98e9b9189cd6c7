"""Figure 3d: the active regions of an utterance, coloured, against those that are ignored, grey."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ser_ops.explain.figures import blank, save
from ser_ops.explain.pictures.canvas import (
    GREY,
    Sound,
    coloured,
    heading,
    held,
    padding,
    sentences,
    time_axis,
    under,
)
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS

_CAPTION = (
    "Coloured: the {share:.0%} of the utterance's time to which a method gives most for '{explained}' (only moments "
    "above 0), and the share of all that speaks for the class that lies there; {share:.0%} would lie there if it were "
    "spread evenly. {held}Not shown: that grey moments are unimportant: the border is drawn by a chosen share, not by "
    "the model.")


def active(values: np.ndarray, share: float) -> np.ndarray:
    """The largest `share` of the values, at least one of them, among those above 0: bool (n,); ties fall to the first.

    >>> active(np.array([0.1, 3.0, -5.0, 2.0]), 0.5).tolist()
    [False, True, False, True]
    >>> active(np.array([0.1, -3.0, -5.0, -2.0]), 0.5).tolist()
    [True, False, False, False]
    """
    chosen = np.zeros(len(values), bool)
    if len(values):
        chosen[np.argsort(-values, kind="stable")[:max(1, round(share * len(values)))]] = True
    return chosen & (values > 0)


def regions(sound: Sound, traces: Sequence[Trace], share: float, explained: str, path: Path,
            believe: Mapping[str, str] | None = None) -> None:
    """One row a trace: the waveform with its active regions coloured; padding is never active. Writes a PNG."""
    from matplotlib.colors import to_rgb
    figure = blank(8, 0.7 + 1.15 * len(traces))
    rows = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    seconds, _, _ = sound.columns()
    heard = seconds < sound.valid_seconds
    for number, (axes, trace) in enumerate(zip(rows, traces, strict=True)):
        values = trace.over(seconds)
        lit = np.zeros(len(seconds), bool)
        lit[heard] = active(values[heard], share)
        method = METHODS[trace.method]
        colour = method.colour
        coloured(axes, sound, np.where(lit[:, None], to_rgb(colour), to_rgb(GREY)))
        axes.fill_between(seconds, 0, 1, where=lit, step="mid", color=colour, alpha=0.13, linewidth=0, zorder=1,
                          transform=axes.get_xaxis_transform())
        time_axis(axes, sound, number == len(traces) - 1)
        positive = np.maximum(values[heard], 0)
        words = f"{positive[lit[heard]].sum() / positive.sum():.0%} of what\nspeaks for it" if positive.any() else \
            "nothing\nspeaks for it"
        axes.text(1.01, 0.5, f"{method.title}\n{words}", transform=axes.transAxes, va="center", fontsize=8,
                  color=colour)
    padding(rows[0], sound)
    heading(rows[0], sound.title)
    figure.tight_layout(h_pad=0.5)
    figure.subplots_adjust(right=0.86)      # room for the words beside each row
    save(figure, under(_CAPTION.format(share=share, explained=explained, held=held(traces)),
                       sentences(believe, traces)), path, 135, within=True)
