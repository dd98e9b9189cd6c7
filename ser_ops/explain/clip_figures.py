"""Paper 1's figures 2, 3 and 5 of one clip.

Figures 3a and 3b: the waveform's amplitude on one axis, a method's intensity on the other, aligned in time.

Figure 3c: how much probability the class loses when the moments around a point in time are muted.

Figure 3d: the active regions of an utterance, coloured, against those that are ignored, grey.

Figure 3e: the sound as it was (X), without what was important (Y), and the answer while more and more of it goes.

Figure 5, 'the glowing signal': the waveform lit by what SHAP gives to each frame through equation 29, signed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_ops.config.explaining import Explain
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import CLEAN, Clip
from ser_ops.explain.deletion import Counterfactual, mute_cells
from ser_ops.explain.figures import (
    AGAINST,
    FOR,
    GREY,
    INK,
    PALETTE,
    Sound,
    draw_bars,
    draw_coloured_waveform,
    draw_over_waveform,
    draw_time_axis,
    draw_waveform,
    held_sentences,
    label_padding,
    largest_magnitude,
    new_figure,
    reliability_of,
    save_figure,
    set_heading,
    with_reliability,
)
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace, frame_seconds
from ser_ops.explain.utterance import clip_title
from ser_ops.features.index_map import to_frames
from ser_ops.methods import METHODS, in_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_ALIGNED_CAPTION = (
    "Grey, left axis: the waveform. Coloured, right axis: what each method gives to a moment for '{explained}', in its "
    "own unit; heights of different methods cannot be compared. {signed}{held}Not shown: how sharp a method can see "
    "(its values are smeared over what one step has looked at), and whether a high moment is the cause of the answer: "
    "loud moments and high values may coincide for any reason.")
_ALIGNED_SIGNED = "Below the dashed line a moment speaks against the class. "


def draw_aligned(sound: Sound, traces: Sequence[Trace], explained: str, path: Path,
            believe: Mapping[str, str] | None = None) -> None:
    """One row a trace, all on one time axis; writes a PNG. `believe`: a sentence a method, put below."""
    figure = new_figure(8, 0.7 + 1.35 * len(traces))
    rows = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, trace) in enumerate(zip(rows, traces, strict=True)):
        draw_waveform(axes, sound)
        draw_time_axis(axes, sound, number == len(traces) - 1)
        _draw_intensity(axes, trace)
    label_padding(rows[0], sound)
    set_heading(rows[0], sound.title)
    figure.tight_layout(h_pad=0.6)
    signed = any(METHODS[trace.method].signed for trace in traces)
    said = _ALIGNED_CAPTION.format(explained=explained, signed=_ALIGNED_SIGNED if signed else "", held=held_sentences(traces))
    save_figure(figure, with_reliability(said,
                       reliability_of(believe, traces)), path, 130, within=True)


def _draw_intensity(axes: "Axes", trace: Trace) -> None:
    method, most = METHODS[trace.method], largest_magnitude(trace)
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


_OCCLUSION_CAPTION = (
    "Occlusion sensitivity: {milliseconds:.0f} ms at a time are muted (the bar shows how long that is), and the value "
    "at the middle is the probability that '{explained}' loses by it; orange: muting takes from the class, blue: "
    "muting adds to it. {anew}Not shown: what two moments do together, and what silence itself says to the model: a "
    "hole in the sound is a sound that no recording has.")


def draw_occlusion(sound: Sound, trace: Trace, width: float, explained: str, confidence: float, path: Path,
             anew: bool = True, believe: str = "") -> None:
    """The waveform and below it the signed sensitivity; writes a PNG.

    width: seconds muted at a time. confidence: the class's probability with nothing muted. anew: the features were made
    anew of the muted sound.
    """
    figure = new_figure(8, 3.4)
    wave, curve = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    draw_waveform(wave, sound)
    zero = np.zeros_like(trace.values)
    fine = np.linspace(trace.seconds[0], trace.seconds[-1], 1200)   # so that the colours meet where the sign changes
    drop = trace.over(fine)
    curve.fill_between(fine, 0, np.maximum(drop, 0), color=FOR, alpha=0.75, linewidth=0)
    curve.fill_between(fine, 0, np.minimum(drop, 0), color=AGAINST, alpha=0.75, linewidth=0)
    curve.plot(trace.seconds, trace.values, color=INK, linewidth=0.8)
    curve.plot(trace.seconds, zero, color=INK, linewidth=0.5)
    most = largest_magnitude(trace) or 0.01
    curve.set_ylim(min(1.15 * float(trace.values.min(initial=0.0)), -0.08 * most), 1.35 * most)
    curve.set_ylabel(f"loss of probability\n(of {confidence:.2f})")
    top = 1.22 * most
    curve.plot([0.02, 0.02 + width], [top, top], color=INK, linewidth=2.5, solid_capstyle="butt")
    curve.text(0.035 + width, top, f"{1000 * width:.0f} ms", va="center", fontsize=8)
    for axes in (wave, curve):
        draw_time_axis(axes, sound, axes is curve)
    label_padding(wave, sound)
    set_heading(wave, sound.title)
    figure.tight_layout(h_pad=0.5)
    words = _OCCLUSION_CAPTION.format(milliseconds=1000 * width, explained=explained,
                            anew="Features were made anew of the muted sound. " if anew else "")
    save_figure(figure, with_reliability(words, believe), path, 130, within=True)


_REGIONS_CAPTION = (
    "Coloured: the {share:.0%} of the utterance's time to which a method gives most for '{explained}' (only moments "
    "above 0), and the share of all that speaks for the class that lies there; {share:.0%} would lie there if it were "
    "spread evenly. {held}Not shown: that grey moments are unimportant: the border is drawn by a chosen share, not by "
    "the model.")


def active_moments(values: np.ndarray, share: float) -> np.ndarray:
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


def draw_regions(sound: Sound, traces: Sequence[Trace], share: float, explained: str, path: Path,
            believe: Mapping[str, str] | None = None) -> None:
    """One row a trace: the waveform with its active regions coloured; padding is never active. Writes a PNG."""
    from matplotlib.colors import to_rgb
    figure = new_figure(8, 0.7 + 1.15 * len(traces))
    rows = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    seconds, _, _ = sound.columns()
    heard = seconds < sound.valid_seconds
    for number, (axes, trace) in enumerate(zip(rows, traces, strict=True)):
        values = trace.over(seconds)
        lit = np.zeros(len(seconds), bool)
        lit[heard] = active_moments(values[heard], share)
        method = METHODS[trace.method]
        colour = method.colour
        draw_coloured_waveform(axes, sound, np.where(lit[:, None], to_rgb(colour), to_rgb(GREY)))
        axes.fill_between(seconds, 0, 1, where=lit, step="mid", color=colour, alpha=0.13, linewidth=0, zorder=1,
                          transform=axes.get_xaxis_transform())
        draw_time_axis(axes, sound, number == len(traces) - 1)
        positive = np.maximum(values[heard], 0)
        words = f"{positive[lit[heard]].sum() / positive.sum():.0%} of what\nspeaks for it" if positive.any() else \
            "nothing\nspeaks for it"
        axes.text(1.01, 0.5, f"{method.title}\n{words}", transform=axes.transAxes, va="center", fontsize=8,
                  color=colour)
    label_padding(rows[0], sound)
    set_heading(rows[0], sound.title)
    figure.tight_layout(h_pad=0.5)
    figure.subplots_adjust(right=0.86)      # room for the words beside each row
    save_figure(figure, with_reliability(_REGIONS_CAPTION.format(share=share, explained=explained, held=held_sentences(traces)),
                       reliability_of(believe, traces)), path, 135, within=True)


_MASKED_CAPTION = (
    "Blocks of {milliseconds:.0f} ms are muted in the order that {method} gives them for '{explained}', the most "
    "important first; features are made anew. {found} In random orders: {random}. Not shown: that these moments cause "
    "the answer in natural speech: a muted block is a sound that no recording has, and the model may answer to the "
    "holes.")


def change_in_words(made: Counterfactual) -> str:
    """How much had to go, as a sentence."""
    numbers, total = made.numbers(), float(made.course.muted[-1])
    if numbers["seconds"] is None:
        return f"The answer never changes: silence is called '{numbers['explained']}' too."
    if numbers["seconds"] == 0:
        return f"The whole sound is called '{numbers['to']}' already."
    return (f"After {numbers['seconds']:.2f} s of {total:.2f} s ({numbers['share']:.0%} of the time, "
            f"{numbers['share_of_positive']:.0%} of what speaks for the class) '{numbers['explained']}' gives way to "
            f"'{numbers['to']}'.")


def random_changes_in_words(made: Counterfactual) -> str:
    """What had to go in random orders."""
    tried = made.numbers()["random_seconds"]
    return ", ".join("never" if one is None else f"{one:.2f} s" for one in tried) or "not tried"


def draw_masked(sound: Sound, made: Counterfactual, path: Path, believe: str = "") -> None:
    """Plot X, plot Y and the curves; writes a PNG.

    Where the answer never changes, Y is the last step that still has any sound.
    """
    step = made.course.switch(made.target)
    shown = max(len(made.counts) - 2, 0) if step is None else step
    figure = new_figure(8, 5.0)
    grid = figure.add_gridspec(2, 1, height_ratios=(2.2, 2.6), hspace=0.34, left=0.09, right=0.86, top=0.94, bottom=0.1)
    waves = grid[0].subgridspec(2, 1, hspace=0.12)
    x = figure.add_subplot(waves[0])
    y = figure.add_subplot(waves[1], sharex=x)
    quiet = Sound(mute_cells(sound.samples, made.edges, made.gone(shown)), sound.sample_rate, sound.valid_seconds, "")
    for axes, one, name, at in ((x, sound, "X: as it was", 0), (y, quiet, "Y: with holes", shown)):
        draw_waveform(axes, one, GREY if axes is x else "#56626f")
        axes.set_ylim(-sound.reach, sound.reach)
        _shade_muted(axes, made, shown)
        draw_time_axis(axes, sound, axes is y)
        answer = int(made.course.probabilities[at].argmax())
        axes.text(1.01, 0.5, f"{name}\n{EMOTIONS[answer]}\n{made.course.probabilities[at, answer]:.2f}", va="center",
                  transform=axes.transAxes, fontsize=8.5, color=INK)
    label_padding(x, sound)
    set_heading(x, sound.title)
    _draw_courses(figure.add_subplot(grid[1]), made, step)
    words = _MASKED_CAPTION.format(milliseconds=1000 * np.diff(made.edges).max() / made.sample_rate,
                            method=METHODS[made.method].title, explained=EMOTIONS[made.target],
                            found=change_in_words(made), random=random_changes_in_words(made))
    save_figure(figure, with_reliability(words, believe), path, 135, within=True)


def _shade_muted(axes: "Axes", made: Counterfactual, step: int) -> None:
    for block in made.gone(step):
        axes.axvspan(made.edges[block] / made.sample_rate, made.edges[block + 1] / made.sample_rate, color="#E69F00",
                     alpha=0.28, linewidth=0, zorder=0)


def _draw_courses(axes: "Axes", made: Counterfactual, step: int | None) -> None:
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


_NIGHT = "#0f151d"
_SIGNED = ("#4cc3ff", "#2b6ca3", "#4a5663", "#b06a1f", "#ffb04a")     # against, neither, for: blue to orange
_GLOWING_CAPTION = (
    "The waveform glows with SHAP summed over all features of a frame (equation 29), for '{explained}': orange "
    "moments push its score up, blue ones down, grey ones do neither. {total} {held}Not shown: which features of a "
    "frame speak (they may cancel within it), how long a frame is ({frame:.0f} ms of sound, its value drawn at its "
    "centre), and that a glowing moment is the cause of the answer.")


def draw_glowing(sound: Sound, trace: Trace, explained: str, frame_seconds: float, path: Path, total: str = "",
            believe: str = "") -> None:
    """The glowing waveform and below it the value of each frame, on one scale of colours; writes a PNG.

    trace: signed, a value a frame. frame_seconds: the sound that a frame has looked at. total: a sentence on what the
    values add up to.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    most = float(np.abs(trace.values).max(initial=0.0)) or 1.0
    shade, scale = LinearSegmentedColormap.from_list("signed", _SIGNED), Normalize(-most, most)
    figure = new_figure(8, 3.7)
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
        draw_coloured_waveform(wave, sound, halo, width)
    draw_coloured_waveform(wave, sound, colours)
    step = float(np.diff(trace.seconds).min()) if len(trace.seconds) > 1 else sound.seconds
    draw_bars(bars, trace.seconds, trace.values, step, shade(scale(trace.values)))
    bars.axhline(0, color="#8996a3", linewidth=0.6)
    bars.set_ylabel("SHAP of a frame\n(log odds)")
    bars.set_ylim(-1.1 * most, 1.1 * most)
    for axes in (wave, bars):
        axes.set_facecolor(_NIGHT)
        draw_time_axis(axes, sound, axes is bars, dark=True)
    label_padding(wave, sound, "#9aa5b1")
    set_heading(wave, sound.title)
    figure.colorbar(ScalarMappable(scale, shade), cax=figure.add_subplot(grid[:, 1]),
                    label="against      log odds      for")
    words = _GLOWING_CAPTION.format(explained=explained, frame=1000 * frame_seconds, total=total,
                            held=f"Held: {trace.held}. " if trace.held else "")
    save_figure(figure, with_reliability(words.replace("  ", " "), believe), path, 130, within=True)


FIGURE_KEYS = ("figure_2", "figure_3ab", "figure_3c", "figure_3d", "figure_3e", "figure_5")
_HEAT_CAPTION = ("{method} for '{explained}': the waveform coloured by it, and its value at each time step. {held}Not shown: "
         "what speaks against the class, how sharp the method can see, and that a dark moment is the cause of the "
         "answer.")


def leading_trace(traces: Mapping[str, Trace]) -> Trace:
    """The method that figures of a single one are drawn of: the first of the catalogue. Raises ValueError without any.
    """
    if not traces:
        raise ValueError("no method, no figure: paper_figures needs at least one trace")
    return traces[in_order(traces)[0]]


def draw_paper_figures(subject: Subject, clip: Clip, entry: Mapping[str, Any], traces: Mapping[str, Trace],
                  attribution: Attribution | None, course: Counterfactual | None, settings: Explain,
                  folder: Path, prefix: str, believe: Mapping[str, str] | None = None) -> dict[str, str]:
    """Draw a clip's figures into `folder`; returns the figure's key (KEYS) to `prefix` and the file's name.

    clip: what `explain.clip.told` says of it. traces: of the class that the model answers. attribution: SHAP, for
    figure 5, which else follows traces["shap"]; neither, no figure 5; no trace of occlusion, no figure 3c. course: what
    muting in the order of the leading method does, for figure 3e; None, no figure 3e. believe: how far a method can be
    believed, a sentence each, which stands below its figures.
    """
    said, target = believe or {}, EMOTIONS.index(entry["explained"])
    noise = "" if clip.noise == CLEAN else f" in {clip.noise} at {clip.intensity:g}"
    sound = Sound(clip.window, subject.sample_rate, entry["valid_seconds"], clip_title(entry) + noise)
    first, explained = leading_trace(traces), entry["explained"]
    ordered = [traces[name] for name in in_order(traces)]
    stem, files = re.sub(r"[^A-Za-z0-9.]+", "_", clip.key), {}

    def file(key: str) -> Path:
        files[key] = f"{prefix}{stem}_{key}.png"
        return folder / f"{stem}_{key}.png"

    draw_over_waveform(sound.samples, sound.sample_rate, first.seconds, np.maximum(first.values, 0), sound.title,
                  fill(first.unit.split(" (")[0], 14),
                  with_reliability(_HEAT_CAPTION.format(method=METHODS[first.method].title, explained=explained, held=held_sentences([first])),
                        said.get(first.method, "")), file("figure_2"), sound.valid_seconds)
    draw_aligned(sound, ordered, explained, file("figure_3ab"), said)
    if "occlusion" in traces:
        draw_occlusion(sound, traces["occlusion"], settings.occlusion_seconds, explained, entry["confidence"],
                 file("figure_3c"), subject.model.streams != ("wav2vec",), said.get("occlusion", ""))
    draw_regions(sound, ordered, settings.active_share, explained, file("figure_3d"), said)
    if course is not None:
        draw_masked(sound, course, file("figure_3e"), said.get(first.method, ""))
    shap = _shap_per_frame(subject, traces, attribution, target)
    if shap is not None:
        draw_glowing(sound, shap, explained, subject.features.frame / subject.features.sample_rate, file("figure_5"),
                _shap_total(attribution, target), said.get("shap", ""))
    return files


def _shap_per_frame(subject: Subject, traces: Mapping[str, Trace], attribution: Attribution | None,
               target: int) -> Trace | None:
    if attribution is None:
        return traces.get("shap")
    window = subject.features
    words = traces["shap"].held if "shap" in traces else ""
    return Trace("shap", frame_seconds(window),
                 to_frames(attribution.values[..., target], window), "log odds", words)


def _shap_total(attribution: Attribution | None, target: int) -> str:
    if attribution is None:
        return ""
    moved = attribution.score[target] - attribution.base[target]
    return (f"All frames together move the score by {moved + attribution.gap[target]:+.2f} from that of the "
            f"background; the model moved by {moved:+.2f}, the rest is what sampling missed.")
