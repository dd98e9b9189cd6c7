"""Paper 1's figures 2, 3a to 3e and 5 of one clip."""

import re
from collections.abc import Collection, Mapping, Sequence
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


FIGURE_KEYS = ("figure_2", "figure_3ab", "figure_3c", "figure_3d", "figure_3e", "figure_5")


def draw_paper_figures(subject: Subject, clip: Clip, entry: Mapping[str, Any], traces: Mapping[str, Trace],
                       attribution: Attribution | None, counterfactual: Counterfactual | None, settings: Explain,
                       folder: Path, prefix: str, reliability: Mapping[str, str] | None = None) -> dict[str, str]:
    """Draw a clip's figures into `folder`; returns the figure's key (FIGURE_KEYS) to `prefix` and the file's name.

    entry           what `explain.utterance.answer_entry` says of the clip
    traces          of the class that the model answers; without one of occlusion there is no figure 3c
    attribution     SHAP, for figure 5, which else follows traces["shap"]; with neither there is no figure 5
    counterfactual  what muting in the order of the leading method does, for figure 3e; None: no figure 3e
    reliability     how far each method can be believed, a sentence each, which stands below its figures
    """
    sentences, target = reliability or {}, EMOTIONS.index(entry["explained"])
    noise = "" if clip.noise == CLEAN else f" in {clip.noise} at {clip.intensity:g}"
    sound = Sound(clip.window, subject.sample_rate, entry["valid_seconds"], clip_title(entry) + noise)
    first, explained = leading_trace(traces), entry["explained"]
    ordered = [traces[name] for name in in_order(traces)]
    stem, files = re.sub(r"[^A-Za-z0-9.]+", "_", clip.key), {}

    def file(key: str) -> Path:
        files[key] = f"{prefix}{stem}_{key}.png"
        return folder / f"{stem}_{key}.png"

    heat_caption = _HEAT_CAPTION.format(method=METHODS[first.method].title, explained=explained,
                                        held=held_sentences([first]))
    draw_over_waveform(sound, first.seconds, np.maximum(first.values, 0), fill(first.unit.split(" (")[0], 14),
                       with_reliability(heat_caption, sentences.get(first.method, "")), file("figure_2"))
    draw_aligned(sound, ordered, explained, file("figure_3ab"), sentences)
    if "occlusion" in traces:
        draw_occlusion(sound, traces["occlusion"], settings.occlusion_seconds, explained, entry["confidence"],
                       file("figure_3c"), subject.model.streams != ("wav2vec",), sentences.get("occlusion", ""))
    draw_regions(sound, ordered, settings.active_share, explained, file("figure_3d"), sentences)
    if counterfactual is not None:
        draw_masked(sound, counterfactual, file("figure_3e"), sentences.get(first.method, ""))
    shap = _shap_per_frame(subject, traces, attribution, target)
    if shap is not None:
        draw_glowing(sound, shap, explained, subject.features.frame / subject.features.sample_rate, file("figure_5"),
                     _shap_total(attribution, target), sentences.get("shap", ""))
    return files


_HEAT_CAPTION = (
    "{method} for '{explained}': the waveform coloured by it, and its value at each time step. {held}Not shown: "
    "what speaks against the class, how sharp the method can see, and that a dark moment is the cause of the answer.")


def leading_trace(traces: Mapping[str, Trace]) -> Trace:
    """The trace of the first method of the catalogue, for figures of one method. Raises ValueError without a trace."""
    if not traces:
        raise ValueError("no method, no figure: draw_paper_figures needs at least one trace")
    return traces[in_order(traces)[0]]


_ALIGNED_CAPTION = (
    "Grey, left axis: the waveform. Coloured, right axis: what each method gives to a moment for '{explained}', in its "
    "own unit; heights of different methods cannot be compared. {signed}{held}Not shown: how sharp a method can see "
    "(its values are smeared over what one step has looked at), and whether a high moment is the cause of the answer: "
    "loud moments and high values may coincide for any reason.")
_ALIGNED_SIGNED = "Below the dashed line a moment speaks against the class. "


def draw_aligned(sound: Sound, traces: Sequence[Trace], explained: str, path: Path,
                 reliability: Mapping[str, str] | None = None) -> None:
    """Figures 3a and 3b: the waveform's amplitude on one axis, a method's intensity on the other; writes a PNG.

    One row a trace, all on one time axis. reliability: a sentence a method, which stands below.
    """
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
    caption = _ALIGNED_CAPTION.format(explained=explained, signed=_ALIGNED_SIGNED if signed else "",
                                      held=held_sentences(traces))
    save_figure(figure, with_reliability(caption, reliability_of(reliability, traces)), path, 130, within=True)


def _draw_intensity(axes: "Axes", trace: Trace) -> None:
    """The trace in its method's colour, on an axis of its own at the right."""
    method, peak = METHODS[trace.method], largest_magnitude(trace) or 1
    colour = method.colour
    other = axes.twinx()
    other.spines["right"].set(visible=True, color=colour)
    other.plot(trace.seconds, trace.values, color="white", linewidth=2.6, zorder=3)
    other.plot(trace.seconds, trace.values, color=colour, linewidth=1.3, zorder=4)
    low = -1.12 * peak if method.signed else 0.0
    other.set_ylim(low, 1.12 * peak)
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
    "muting adds to it. {source}Not shown: what two moments do together, and what silence itself says to the model: a "
    "hole in the sound is a sound that no recording has.")


def draw_occlusion(sound: Sound, trace: Trace, width: float, explained: str, confidence: float, path: Path,
                   recomputed: bool = True, reliability: str = "") -> None:
    """Figure 3c: what the class loses when the moments around a point in time are muted, signed; writes a PNG.

    width: seconds muted at a time. confidence: the class's probability with nothing muted. recomputed: features were
    computed from the muted sound.
    """
    figure = new_figure(8, 3.4)
    wave, curve = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    draw_waveform(wave, sound)
    fine = np.linspace(trace.seconds[0], trace.seconds[-1], 1200)   # so that the colours meet where the sign changes
    drop = trace.over(fine)
    curve.fill_between(fine, 0, np.maximum(drop, 0), color=FOR, alpha=0.75, linewidth=0)
    curve.fill_between(fine, 0, np.minimum(drop, 0), color=AGAINST, alpha=0.75, linewidth=0)
    curve.plot(trace.seconds, trace.values, color=INK, linewidth=0.8)
    curve.plot(trace.seconds, np.zeros_like(trace.values), color=INK, linewidth=0.5)
    peak = largest_magnitude(trace) or 0.01
    curve.set_ylim(min(1.15 * float(trace.values.min(initial=0.0)), -0.08 * peak), 1.35 * peak)
    curve.set_ylabel(f"loss of probability\n(of {confidence:.2f})")
    top = 1.22 * peak
    curve.plot([0.02, 0.02 + width], [top, top], color=INK, linewidth=2.5, solid_capstyle="butt")
    curve.text(0.035 + width, top, f"{1000 * width:.0f} ms", va="center", fontsize=8)
    for axes in (wave, curve):
        draw_time_axis(axes, sound, axes is curve)
    label_padding(wave, sound)
    set_heading(wave, sound.title)
    figure.tight_layout(h_pad=0.5)
    caption = _OCCLUSION_CAPTION.format(milliseconds=1000 * width, explained=explained,
                                        source="Features were computed from the muted sound. " if recomputed else "")
    save_figure(figure, with_reliability(caption, reliability), path, 130, within=True)


_REGIONS_CAPTION = (
    "Coloured: the {share:.0%} of the utterance's time to which a method gives most for '{explained}' (only moments "
    "above 0), and the share of all that speaks for the class that lies there; {share:.0%} would lie there if it were "
    "spread evenly. {held}Not shown: that grey moments are unimportant: the border is drawn by a chosen share, not by "
    "the model.")


def draw_regions(sound: Sound, traces: Sequence[Trace], share: float, explained: str, path: Path,
                 reliability: Mapping[str, str] | None = None) -> None:
    """Figure 3d: the active regions of an utterance, coloured, against those that are ignored, grey; writes a PNG.

    One row a trace. share: of the utterance's time that is active, 0 to 1; padding is never active.
    """
    from matplotlib.colors import to_rgb
    figure = new_figure(8, 0.7 + 1.15 * len(traces))
    rows = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    seconds, _, _ = sound.columns()
    valid = seconds < sound.valid_seconds
    for number, (axes, trace) in enumerate(zip(rows, traces, strict=True)):
        values = trace.over(seconds)
        active = np.zeros(len(seconds), bool)
        active[valid] = active_moments(values[valid], share)
        method = METHODS[trace.method]
        colour = method.colour
        draw_coloured_waveform(axes, sound, np.where(active[:, None], to_rgb(colour), to_rgb(GREY)))
        axes.fill_between(seconds, 0, 1, where=active, step="mid", color=colour, alpha=0.13, linewidth=0, zorder=1,
                          transform=axes.get_xaxis_transform())
        draw_time_axis(axes, sound, number == len(traces) - 1)
        positive = np.maximum(values[valid], 0)
        words = f"{positive[active[valid]].sum() / positive.sum():.0%} of what\nspeaks for it" if positive.any() else \
            "nothing\nspeaks for it"
        axes.text(1.01, 0.5, f"{method.title}\n{words}", transform=axes.transAxes, va="center", fontsize=8,
                  color=colour)
    label_padding(rows[0], sound)
    set_heading(rows[0], sound.title)
    figure.tight_layout(h_pad=0.5)
    figure.subplots_adjust(right=0.86)      # room for the words beside each row
    caption = _REGIONS_CAPTION.format(share=share, explained=explained, held=held_sentences(traces))
    save_figure(figure, with_reliability(caption, reliability_of(reliability, traces)), path, 135, within=True)


def active_moments(values: np.ndarray, share: float) -> np.ndarray:
    """The largest `share` of the values, at least one of them, among those above 0: bool (n,); ties fall to the first.

    >>> active_moments(np.array([0.1, 3.0, -5.0, 2.0]), 0.5).tolist()
    [False, True, False, True]
    >>> active_moments(np.array([0.1, -3.0, -5.0, -2.0]), 0.5).tolist()
    [True, False, False, False]
    """
    chosen = np.zeros(len(values), bool)
    if len(values):
        chosen[np.argsort(-values, kind="stable")[:max(1, round(share * len(values)))]] = True
    return chosen & (values > 0)


_MASKED_CAPTION = (
    "Blocks of {milliseconds:.0f} ms are muted in the order that {method} gives them for '{explained}', the most "
    "important first; features are computed again. {change} In random orders: {random}. Not shown: that these moments "
    "cause the answer in natural speech: a muted block is a sound that no recording has, and the model may answer to "
    "the holes.")


def draw_masked(sound: Sound, counterfactual: Counterfactual, path: Path, reliability: str = "") -> None:
    """Figure 3e: the sound as it was (X), without what was important (Y), and the answer while more of it is muted.

    Where the answer never changes, Y is the last step that still has any sound. Writes a PNG.
    """
    course, step = counterfactual.course, counterfactual.course.switch(counterfactual.target)
    shown = max(len(counterfactual.counts) - 2, 0) if step is None else step
    figure = new_figure(8, 5.0)
    grid = figure.add_gridspec(2, 1, height_ratios=(2.2, 2.6), hspace=0.34, left=0.09, right=0.86, top=0.94, bottom=0.1)
    waves = grid[0].subgridspec(2, 1, hspace=0.12)
    x = figure.add_subplot(waves[0])
    y = figure.add_subplot(waves[1], sharex=x)
    muted = Sound(mute_cells(sound.samples, counterfactual.edges, counterfactual.muted_cells(shown)), sound.sample_rate,
                  sound.valid_seconds, "")
    for axes, samples, name, at_step in ((x, sound, "X: as it was", 0), (y, muted, "Y: with holes", shown)):
        draw_waveform(axes, samples, GREY if axes is x else "#56626f")
        axes.set_ylim(-sound.reach, sound.reach)
        _shade_muted(axes, counterfactual, shown)
        draw_time_axis(axes, sound, axes is y)
        answer = int(course.probabilities[at_step].argmax())
        axes.text(1.01, 0.5, f"{name}\n{EMOTIONS[answer]}\n{course.probabilities[at_step, answer]:.2f}", va="center",
                  transform=axes.transAxes, fontsize=8.5, color=INK)
    label_padding(x, sound)
    set_heading(x, sound.title)
    _draw_courses(figure.add_subplot(grid[1]), counterfactual, step)
    caption = _MASKED_CAPTION.format(
        milliseconds=1000 * np.diff(counterfactual.edges).max() / counterfactual.sample_rate,
        method=METHODS[counterfactual.method].title, explained=EMOTIONS[counterfactual.target],
        change=change_in_words(counterfactual), random=random_changes_in_words(counterfactual))
    save_figure(figure, with_reliability(caption, reliability), path, 135, within=True)


def change_in_words(counterfactual: Counterfactual) -> str:
    """How much had to go, as a sentence."""
    numbers, total = counterfactual.numbers(), float(counterfactual.course.muted[-1])
    if numbers["seconds"] is None:
        return f"The answer never changes: silence is called '{numbers['explained']}' too."
    if numbers["seconds"] == 0:
        return f"The whole sound is called '{numbers['to']}' already."
    return (f"After {numbers['seconds']:.2f} s of {total:.2f} s ({numbers['share']:.0%} of the time, "
            f"{numbers['share_of_positive']:.0%} of what speaks for the class) '{numbers['explained']}' gives way to "
            f"'{numbers['to']}'.")


def random_changes_in_words(counterfactual: Counterfactual) -> str:
    """What had to go in random orders."""
    tried = counterfactual.numbers()["random_seconds"]
    return ", ".join("never" if seconds is None else f"{seconds:.2f} s" for seconds in tried) or "not tried"


def _shade_muted(axes: "Axes", counterfactual: Counterfactual, step: int) -> None:
    edges = counterfactual.edges / counterfactual.sample_rate
    for cell in counterfactual.muted_cells(step):
        axes.axvspan(edges[cell], edges[cell + 1], color="#E69F00", alpha=0.28, linewidth=0, zorder=0)


def _draw_courses(axes: "Axes", counterfactual: Counterfactual, step: int | None) -> None:
    """The probability of each class along the way, and that of the explained class in random orders."""
    target, course = counterfactual.target, counterfactual.course
    share = course.muted / (course.muted[-1] or 1)
    strong = (target, None if step is None else int(course.probabilities[step].argmax()))
    dashed: dict[str, Any] = {"color": PALETTE[EMOTIONS[target]], "linewidth": 0.8, "linestyle": (0, (2, 2))}
    for other in counterfactual.random:
        axes.plot(other.muted / (other.muted[-1] or 1), other.probabilities[:, target], alpha=0.8, zorder=2, **dashed)
    for c, emotion in enumerate(EMOTIONS):
        axes.plot(share, course.probabilities[:, c], color=PALETTE[emotion], linewidth=2.2 if c in strong else 1.0,
                  zorder=4 if c in strong else 3, marker="o" if c in strong else None, markersize=2.6)
    _name_classes(axes, course.probabilities[-1], strong)
    if step is not None:
        axes.axvline(float(share[step]), color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        right = share[step] > 0.6
        axes.text(float(share[step]) + (-0.01 if right else 0.01), 1.0,
                  f"the answer changes: {course.muted[step]:.2f} s muted", fontsize=8, va="top",
                  ha="right" if right else "left",
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1})
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="share of the utterance's time that is muted", ylabel="probability")
    axes.plot([], [], label=f"{EMOTIONS[target]}, blocks in random orders", **dashed)
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 0.98),
                borderaxespad=0)


def _name_classes(axes: "Axes", ends: np.ndarray, strong: Collection[int | None]) -> None:
    """Each class's name at the right end of its line (7,), 0.075 apart, in the order of the ends."""
    heights, last = np.empty(len(EMOTIONS)), -1.0
    for c in np.argsort(ends, kind="stable"):
        last = heights[c] = max(float(ends[c]), last + 0.075)
    heights -= max(0.0, last - 1.0)
    for c, emotion in enumerate(EMOTIONS):
        axes.annotate(emotion, (1, ends[c]), (1.012, heights[c]), fontsize=8, va="center", color=PALETTE[emotion],
                      fontweight="bold" if c in strong else "normal", annotation_clip=False)


_NIGHT = "#0f151d"
_SIGNED = ("#4cc3ff", "#2b6ca3", "#4a5663", "#b06a1f", "#ffb04a")     # against, neither, for: blue to orange
_GLOWING_CAPTION = (
    "The waveform glows with SHAP summed over all features of a frame (equation 29), for '{explained}': orange "
    "moments push its score up, blue ones down, grey ones do neither. {total} {held}Not shown: which features of a "
    "frame speak (they may cancel within it), how long a frame is ({frame:.0f} ms of sound, its value drawn at its "
    "centre), and that a glowing moment is the cause of the answer.")


def draw_glowing(sound: Sound, trace: Trace, explained: str, frame_seconds: float, path: Path, total: str = "",
                 reliability: str = "") -> None:
    """Figure 5: the waveform lit by what SHAP gives to each frame, and below it these values; writes a PNG.

    trace: signed, a value a frame. frame_seconds: the sound that a frame has looked at. total: a sentence on what the
    values add up to.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    peak = largest_magnitude(trace) or 1.0
    shade, scale = LinearSegmentedColormap.from_list("signed", _SIGNED), Normalize(-peak, peak)
    figure = new_figure(8, 3.7)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2), width_ratios=(1, 0.017), hspace=0.1, wspace=0.03, left=0.09,
                               right=0.92, top=0.92, bottom=0.12)
    wave = figure.add_subplot(grid[0, 0])
    bars = figure.add_subplot(grid[1, 0], sharex=wave)
    seconds, _, _ = sound.columns()
    values = trace.over(seconds)
    colours, strength = shade(scale(values)), np.abs(values) / peak
    for width, alpha in ((9.0, 0.05), (5.0, 0.10), (2.6, 0.22)):      # wide and faint first: a halo around the line
        halo = colours.copy()
        halo[:, 3] = alpha * strength
        draw_coloured_waveform(wave, sound, halo, width)
    draw_coloured_waveform(wave, sound, colours)
    step = float(np.diff(trace.seconds).min()) if len(trace.seconds) > 1 else sound.seconds
    draw_bars(bars, trace.seconds, trace.values, step, shade(scale(trace.values)))
    bars.axhline(0, color="#8996a3", linewidth=0.6)
    bars.set_ylabel("SHAP of a frame\n(log odds)")
    bars.set_ylim(-1.1 * peak, 1.1 * peak)
    for axes in (wave, bars):
        axes.set_facecolor(_NIGHT)
        draw_time_axis(axes, sound, axes is bars, dark=True)
    label_padding(wave, sound, "#9aa5b1")
    set_heading(wave, sound.title)
    figure.colorbar(ScalarMappable(scale, shade), cax=figure.add_subplot(grid[:, 1]),
                    label="against      log odds      for")
    caption = _GLOWING_CAPTION.format(explained=explained, frame=1000 * frame_seconds, total=total,
                                      held=f"Held: {trace.held}. " if trace.held else "")
    save_figure(figure, with_reliability(caption.replace("  ", " "), reliability), path, 130, within=True)


def _shap_per_frame(subject: Subject, traces: Mapping[str, Trace], attribution: Attribution | None,
                    target: int) -> Trace | None:
    if attribution is None:
        return traces.get("shap")
    held = traces["shap"].held if "shap" in traces else ""
    return Trace("shap", frame_seconds(subject.features),
                 to_frames(attribution.values[..., target], subject.features), "log odds", held)


def _shap_total(attribution: Attribution | None, target: int) -> str:
    if attribution is None:
        return ""
    moved = attribution.score[target] - attribution.base[target]
    return (f"All frames together move the score by {moved + attribution.gap[target]:+.2f} from that of the "
            f"background; the model moved by {moved:+.2f}, the rest is what sampling missed.")
