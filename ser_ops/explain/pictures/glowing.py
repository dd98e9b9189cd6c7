"""Figure 5, 'the glowing signal': the waveform lit by what SHAP gives to each frame through equation 29, signed."""

from pathlib import Path

import numpy as np

from ser_ops.explain.figures import bars as draw_bars
from ser_ops.explain.figures import blank, save
from ser_ops.explain.pictures.canvas import Sound, coloured, heading, padding, time_axis, under
from ser_ops.explain.trace import Trace

_NIGHT = "#0f151d"
_SIGNED = ("#4cc3ff", "#2b6ca3", "#4a5663", "#b06a1f", "#ffb04a")     # against, neither, for: blue to orange
_CAPTION = (
    "The waveform glows with SHAP summed over all features of a frame (equation 29), for '{explained}': orange "
    "moments push its score up, blue ones down, grey ones do neither. {total} {held}Not shown: which features of a "
    "frame speak (they may cancel within it), how long a frame is ({frame:.0f} ms of sound, its value drawn at its "
    "centre), and that a glowing moment is the cause of the answer.")


def glowing(sound: Sound, trace: Trace, explained: str, frame_seconds: float, path: Path, total: str = "",
            believe: str = "") -> None:
    """The glowing waveform and below it the value of each frame, on one scale of colours; writes a PNG.

    trace: signed, a value a frame. frame_seconds: the sound that a frame has looked at. total: a sentence on what the
    values add up to.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    most = float(np.abs(trace.values).max(initial=0.0)) or 1.0
    shade, scale = LinearSegmentedColormap.from_list("signed", _SIGNED), Normalize(-most, most)
    figure = blank(8, 3.7)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2), width_ratios=(1, 0.017), hspace=0.1, wspace=0.03, left=0.09,
                               right=0.92, top=0.92, bottom=0.12)
    wave = figure.add_subplot(grid[0, 0])
    bars = figure.add_subplot(grid[1, 0], sharex=wave)
    seconds, _, _ = sound.columns()
    values = trace.over(seconds)
    colours, strength = shade(scale(values)), np.abs(values) / most
    for width, alpha in ((9.0, 0.05), (5.0, 0.10), (2.6, 0.22)):      # wide and faint first: a halo around the line
        halo = colours.copy()
        halo[:, 3] = alpha * strength
        coloured(wave, sound, halo, width)
    coloured(wave, sound, colours)
    step = float(np.diff(trace.seconds).min()) if len(trace.seconds) > 1 else sound.seconds
    draw_bars(bars, trace.seconds, trace.values, step, shade(scale(trace.values)))
    bars.axhline(0, color="#8996a3", linewidth=0.6)
    bars.set_ylabel("SHAP of a frame\n(log odds)")
    bars.set_ylim(-1.1 * most, 1.1 * most)
    for axes in (wave, bars):
        axes.set_facecolor(_NIGHT)
        time_axis(axes, sound, axes is bars, dark=True)
    padding(wave, sound, "#9aa5b1")
    heading(wave, sound.title)
    figure.colorbar(ScalarMappable(scale, shade), cax=figure.add_subplot(grid[:, 1]),
                    label="against      log odds      for")
    words = _CAPTION.format(explained=explained, frame=1000 * frame_seconds, total=total,
                            held=f"Held: {trace.held}. " if trace.held else "")
    save(figure, under(words.replace("  ", " "), believe), path, 130, within=True)
