"""Figure 3c: how much probability the class loses when the moments around a point in time are muted."""

from pathlib import Path

import numpy as np

from ser_ops.explain.figures import blank, save
from ser_ops.explain.pictures.canvas import AGAINST, FOR, INK, Sound, heading, padding, peak, time_axis, under, waveform
from ser_ops.explain.trace import Trace

_CAPTION = (
    "Occlusion sensitivity: {milliseconds:.0f} ms at a time are muted (the bar shows how long that is), and the value "
    "at the middle is the probability that '{explained}' loses by it; orange: muting takes from the class, blue: "
    "muting adds to it. {anew}Not shown: what two moments do together, and what silence itself says to the model: a "
    "hole in the sound is a sound that no recording has.")


def occluded(sound: Sound, trace: Trace, width: float, explained: str, confidence: float, path: Path,
             anew: bool = True, believe: str = "") -> None:
    """The waveform and below it the signed sensitivity; writes a PNG.

    width: seconds muted at a time. confidence: the class's probability with nothing muted. anew: the features were made
    anew of the muted sound.
    """
    figure = blank(8, 3.4)
    wave, curve = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    waveform(wave, sound)
    zero = np.zeros_like(trace.values)
    fine = np.linspace(trace.seconds[0], trace.seconds[-1], 1200)   # so that the colours meet where the sign changes
    drop = trace.over(fine)
    curve.fill_between(fine, 0, np.maximum(drop, 0), color=FOR, alpha=0.75, linewidth=0)
    curve.fill_between(fine, 0, np.minimum(drop, 0), color=AGAINST, alpha=0.75, linewidth=0)
    curve.plot(trace.seconds, trace.values, color=INK, linewidth=0.8)
    curve.plot(trace.seconds, zero, color=INK, linewidth=0.5)
    most = peak(trace) or 0.01
    curve.set_ylim(min(1.15 * float(trace.values.min(initial=0.0)), -0.08 * most), 1.35 * most)
    curve.set_ylabel(f"loss of probability\n(of {confidence:.2f})")
    top = 1.22 * most
    curve.plot([0.02, 0.02 + width], [top, top], color=INK, linewidth=2.5, solid_capstyle="butt")
    curve.text(0.035 + width, top, f"{1000 * width:.0f} ms", va="center", fontsize=8)
    for axes in (wave, curve):
        time_axis(axes, sound, axes is curve)
    padding(wave, sound)
    heading(wave, sound.title)
    figure.tight_layout(h_pad=0.5)
    words = _CAPTION.format(milliseconds=1000 * width, explained=explained,
                            anew="Features were made anew of the muted sound. " if anew else "")
    save(figure, under(words, believe), path, 130, within=True)
