"""Figure 3e: the sound as it was (X), without what was important (Y), and the answer while more and more of it goes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.explain.counterfactual import Counterfactual, muted
from ser_ops.explain.figures import PALETTE, blank, save
from ser_ops.explain.pictures.canvas import GREY, INK, Sound, heading, padding, time_axis, under, waveform
from ser_ops.methods import METHODS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION = (
    "Blocks of {milliseconds:.0f} ms are muted in the order that {method} gives them for '{explained}', the most "
    "important first; features are made anew. {found} In random orders: {random}. Not shown: that these moments cause "
    "the answer in natural speech: a muted block is a sound that no recording has, and the model may answer to the "
    "holes.")


def found_in_words(made: Counterfactual) -> str:
    """How much had to go, as a sentence."""
    numbers, total = made.numbers(), float(made.course.muted[-1])
    if numbers["seconds"] is None:
        return f"The answer never changes: silence is called '{numbers['explained']}' too."
    if numbers["seconds"] == 0:
        return f"The whole sound is called '{numbers['to']}' already."
    return (f"After {numbers['seconds']:.2f} s of {total:.2f} s ({numbers['share']:.0%} of the time, "
            f"{numbers['share_of_positive']:.0%} of what speaks for the class) '{numbers['explained']}' gives way to "
            f"'{numbers['to']}'.")


def random_in_words(made: Counterfactual) -> str:
    """What had to go in random orders."""
    tried = made.numbers()["random_seconds"]
    return ", ".join("never" if one is None else f"{one:.2f} s" for one in tried) or "not tried"


def masked(sound: Sound, made: Counterfactual, path: Path, believe: str = "") -> None:
    """Plot X, plot Y and the curves; writes a PNG.

    Where the answer never changes, Y is the last step that still has any sound.
    """
    step = made.course.switch(made.target)
    shown = max(len(made.counts) - 2, 0) if step is None else step
    figure = blank(8, 5.0)
    grid = figure.add_gridspec(2, 1, height_ratios=(2.2, 2.6), hspace=0.34, left=0.09, right=0.86, top=0.94, bottom=0.1)
    waves = grid[0].subgridspec(2, 1, hspace=0.12)
    x = figure.add_subplot(waves[0])
    y = figure.add_subplot(waves[1], sharex=x)
    quiet = Sound(muted(sound.samples, made.edges, made.gone(shown)), sound.sample_rate, sound.valid_seconds, "")
    for axes, one, name, at in ((x, sound, "X: as it was", 0), (y, quiet, "Y: with holes", shown)):
        waveform(axes, one, GREY if axes is x else "#56626f")
        axes.set_ylim(-sound.reach, sound.reach)
        _holes(axes, made, shown)
        time_axis(axes, sound, axes is y)
        answer = int(made.course.probabilities[at].argmax())
        axes.text(1.01, 0.5, f"{name}\n{EMOTIONS[answer]}\n{made.course.probabilities[at, answer]:.2f}", va="center",
                  transform=axes.transAxes, fontsize=8.5, color=INK)
    padding(x, sound)
    heading(x, sound.title)
    _curves(figure.add_subplot(grid[1]), made, step)
    words = _CAPTION.format(milliseconds=1000 * np.diff(made.edges).max() / made.sample_rate,
                            method=METHODS[made.method].title, explained=EMOTIONS[made.target],
                            found=found_in_words(made), random=random_in_words(made))
    save(figure, under(words, believe), path, 135, within=True)


def _holes(axes: "Axes", made: Counterfactual, step: int) -> None:
    for block in made.gone(step):
        axes.axvspan(made.edges[block] / made.sample_rate, made.edges[block + 1] / made.sample_rate, color="#E69F00",
                     alpha=0.28, linewidth=0, zorder=0)


def _curves(axes: "Axes", made: Counterfactual, step: int | None) -> None:
    """The probability of each class along the way, named at its end in the order of the ends."""
    share = made.course.muted / (made.course.muted[-1] or 1)
    after = None if step is None else int(made.course.probabilities[step].argmax())
    for course in made.random:
        axes.plot(course.muted / (course.muted[-1] or 1), course.probabilities[:, made.target], color=PALETTE[
            EMOTIONS[made.target]], linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.8, zorder=2)
    for number, emotion in enumerate(EMOTIONS):
        strong = number in (made.target, after)
        axes.plot(share, made.course.probabilities[:, number], color=PALETTE[emotion], linewidth=2.2 if strong else 1.0,
                  zorder=4 if strong else 3, marker="o" if strong else None, markersize=2.6)
    ends = made.course.probabilities[-1]
    at = np.empty(len(EMOTIONS))
    last = -1.0
    for number in np.argsort(ends, kind="stable"):      # from the lowest up, 0.075 apart
        last = at[number] = max(float(ends[number]), last + 0.075)
    at -= max(0.0, last - 1.0)
    for number, emotion in enumerate(EMOTIONS):
        axes.annotate(emotion, (1, ends[number]), (1.012, at[number]), fontsize=8, va="center", color=PALETTE[emotion],
                      fontweight="bold" if number in (made.target, after) else "normal", annotation_clip=False)
    if step is not None:
        axes.axvline(float(share[step]), color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        right = share[step] > 0.6
        axes.text(float(share[step]) + (-0.01 if right else 0.01), 1.0,
                  f"the answer changes: {made.course.muted[step]:.2f} s muted", fontsize=8, va="top",
                  ha="right" if right else "left",
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1})
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="share of the utterance's time that is muted", ylabel="probability")
    axes.plot([], [], color=PALETTE[EMOTIONS[made.target]], linewidth=0.8, linestyle=(0, (2, 2)),
              label=f"{EMOTIONS[made.target]}, blocks in random orders")
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 0.98),
                borderaxespad=0)
