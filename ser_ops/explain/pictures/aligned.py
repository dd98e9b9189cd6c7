"""Figures 3a and 3b: the waveform's amplitude on one axis, a method's intensity on the other, aligned in time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from ser_ops.explain.figures import blank, save
from ser_ops.explain.pictures.canvas import (
    Sound,
    heading,
    held,
    padding,
    peak,
    sentences,
    time_axis,
    under,
)
from ser_ops.explain.pictures.canvas import waveform as draw_waveform
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION = (
    "Grey, left axis: the waveform. Coloured, right axis: what each method gives to a moment for '{explained}', in its "
    "own unit; heights of different methods cannot be compared. {signed}{held}Not shown: how sharp a method can see "
    "(its values are smeared over what one step has looked at), and whether a high moment is the cause of the answer: "
    "loud moments and high values may coincide for any reason.")
_SIGNED = "Below the dashed line a moment speaks against the class. "


def aligned(sound: Sound, traces: Sequence[Trace], explained: str, path: Path,
            believe: Mapping[str, str] | None = None) -> None:
    """One row a trace, all on one time axis; writes a PNG. `believe`: a sentence a method, put below."""
    figure = blank(8, 0.7 + 1.35 * len(traces))
    rows = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, trace) in enumerate(zip(rows, traces, strict=True)):
        draw_waveform(axes, sound)
        time_axis(axes, sound, number == len(traces) - 1)
        _intensity(axes, trace)
    padding(rows[0], sound)
    heading(rows[0], sound.title)
    figure.tight_layout(h_pad=0.6)
    signed = any(METHODS[trace.method].signed for trace in traces)
    save(figure, under(_CAPTION.format(explained=explained, signed=_SIGNED if signed else "", held=held(traces)),
                       sentences(believe, traces)), path, 130, within=True)


def _intensity(axes: "Axes", trace: Trace) -> None:
    method, most = METHODS[trace.method], peak(trace)
    colour = method.colour
    other = axes.twinx()
    other.spines["right"].set(visible=True, color=colour)
    other.plot(trace.seconds, trace.values, color="white", linewidth=2.6, zorder=3)
    other.plot(trace.seconds, trace.values, color=colour, linewidth=1.3, zorder=4)
    low = -1.12 * (most or 1) if method.signed else 0.0
    other.set_ylim(low, 1.12 * (most or 1))
    if low:
        other.axhline(0, color=colour, linewidth=0.6, linestyle=(0, (4, 3)), zorder=2)
    other.tick_params(axis="y", colors=colour, labelsize=8)
    unit = fill(trace.unit.split(" (")[0], 18)
    other.set_ylabel(f"{method.title}\n{unit}", color=colour, fontsize=8)
    if not np.any(trace.values):
        other.text(0.5, 0.5, "zero everywhere", ha="center", va="center", transform=other.transAxes, fontsize=8,
                   bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8})
