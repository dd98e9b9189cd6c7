"""What the pictures of attributions share: one clip's waveform and time axis, the global bar, and the caption below.

Drawn from arrays alone. Each picture says in its caption what it does not show.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.explain.trace import Trace
from ser_ops.files import replacing
from ser_ops.methods import METHODS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common kind of colour blindness.
PALETTE: dict[str, str] = dict(zip(EMOTIONS, ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7F7F7F", "#0072B2",
                                              "#56B4E9"), strict=True))
FOR, AGAINST = "#D55E00", "#0072B2"     # its orange and blue: speaks for the class, against it
GREY, INK, PALE = "#b8c2cc", "#1f2933", "#9aa5b1"
_PALE_TO_DARK = ("#bcc8d4", "#eea24b", "#c8391f", "#5a0818")  # darker means more, in grey print too
_CAPTION_POINTS = 7.5


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure in inches, in this project's type and colours."""
    import matplotlib
    from matplotlib.figure import Figure
    matplotlib.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": PALE,
                                "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                                "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
                                "text.parse_math": False})  # a name may hold dollars
    return Figure(figsize=(width, height), dpi=130)


def save_figure(figure: "Figure", caption: str, path: Path, columns: int, within: bool = False) -> None:
    """Write a PNG with the caption under the picture, wrapped at `columns` characters.

    No time or version is in the file, so the same figure gives the same bytes. within: nothing but the caption reaches
    beyond the figure, so that it need not be drawn twice to find its borders.
    """
    from matplotlib.transforms import Bbox
    words = fill(caption, columns)
    text = figure.text(0.01, 0.0, words, va="top", fontsize=_CAPTION_POINTS, color="#52606d")
    beside = [artist for axes in figure.axes for artist in (axes.get_legend(), *axes.texts) if artist is not None]
    width, height = figure.get_size_inches()
    below = 0.1 + (words.count("\n") + 1) * 1.25 * _CAPTION_POINTS / 72
    borders = {"bbox_inches": Bbox([[0, -below], [width, height]])} if within else \
        {"bbox_inches": "tight", "pad_inches": 0.15, "bbox_extra_artists": [text, *beside]}
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None}, **borders)


@dataclass(frozen=True)
class Sound:
    """The window of one clip: samples float32 (n,) with `sample_rate` a second, and the title of its picture.

    valid_seconds: where padding begins.
    """

    samples: np.ndarray
    sample_rate: int
    valid_seconds: float
    title: str

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return len(self.samples) / self.sample_rate

    @property
    def reach(self) -> float:
        """Half the height of an axis that holds the waveform."""
        return 1.1 * max(float(np.abs(self.samples).max(initial=0.0)), 1e-3)

    def columns(self, number: int = 1200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The waveform as a picture shows it, in `number` columns of pixels or n: their centres in seconds, lowest and
        highest sample, (c,) each; neighbours touch.
        """
        starts = np.unique(np.linspace(0, len(self.samples), number + 1).astype(int)[:-1])
        low, high = np.minimum.reduceat(self.samples, starts), np.maximum.reduceat(self.samples, starts)
        ends = np.append(starts[1:], len(self.samples))
        return (starts + ends) / 2 / self.sample_rate, np.minimum(low, np.append(high[:1], high[:-1])), \
            np.maximum(high, np.append(low[:1], low[:-1]))


def draw_over_waveform(sound: Sound, seconds: np.ndarray, values: np.ndarray, unit: str, caption: str,
                       path: Path) -> None:
    """The waveform coloured by importance, and under it the importance of each time step.

    values: (t,) at `seconds` (t,), at least 0. All-zero values are said in words. Writes a PNG.
    """
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    peak = float(values.max(initial=0.0))
    figure = new_figure(8, 3.3)
    wave, steps = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    scale, shade = Normalize(0, peak or 1), LinearSegmentedColormap.from_list("importance", _PALE_TO_DARK)
    draw_coloured_waveform(wave, sound, shade(scale(np.interp(sound.columns()[0], seconds, values))))
    set_heading(wave, sound.title)
    width = float(np.diff(seconds).min()) if len(seconds) > 1 else sound.seconds
    draw_bars(steps, seconds, values, width, shade(scale(values)))
    steps.set(ylabel=unit, ylim=(0, (peak or 1) * 1.08))
    if peak == 0:
        steps.text(0.5, 0.5, "nothing speaks for this class: the map is zero everywhere", ha="center", va="center",
                   transform=steps.transAxes)
    for axes in (wave, steps):
        draw_time_axis(axes, sound, axes is steps)
    if sound.valid_seconds < sound.seconds:
        wave.text(sound.seconds, sound.reach * 0.95, "padding ", ha="right", va="top", fontsize=8, color=INK)
    figure.subplots_adjust(left=0.09, right=0.98, top=0.91, bottom=0.14, hspace=0.12)
    save_figure(figure, caption, path, 130, within=True)


def draw_waveform(axes: "Axes", sound: Sound, colour: str = GREY) -> None:
    """The waveform as an area, with its amplitude axis."""
    seconds, low, high = sound.columns()
    axes.fill_between(seconds, low, high, color=colour, linewidth=0.4, zorder=1)
    axes.set(ylim=(-sound.reach, sound.reach), ylabel="amplitude")


def draw_coloured_waveform(axes: "Axes", sound: Sound, colours: object, width: float = 0.9) -> None:
    """The waveform with one colour a column, (c, 3) or (c, 4)."""
    from matplotlib.collections import LineCollection
    seconds, low, high = sound.columns()
    lines = np.stack([np.stack([seconds, low], 1), np.stack([seconds, high], 1)], 1)
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=width, zorder=2, capstyle="round"))
    axes.axhline(0, color=PALE, linewidth=0.4, alpha=0.7, zorder=1)     # silence has no height of its own
    axes.set(ylim=(-sound.reach, sound.reach), ylabel="amplitude")


def draw_bars(axes: "Axes", seconds: np.ndarray, values: np.ndarray, width: float, colours: np.ndarray) -> None:
    """A bar of each value (t,) at its moment, in its colour (t, 4): one shape in the place of hundreds."""
    from matplotlib.collections import PolyCollection
    left, right, zero = seconds - width / 2, seconds + width / 2, np.zeros_like(values)
    corners = np.stack([np.stack([left, zero], 1), np.stack([left, values], 1), np.stack([right, values], 1),
                        np.stack([right, zero], 1)], 1)
    axes.add_collection(PolyCollection(list(corners), facecolors=colours, linewidths=0))


def draw_time_axis(axes: "Axes", sound: Sound, last: bool, dark: bool = False) -> None:
    """The window's seconds, with padding hatched; `last`: the axis that carries the words."""
    axes.set_xlim(0, sound.seconds)
    axes.tick_params(labelbottom=last)
    if last:
        axes.set_xlabel("seconds from the start of the window")
    if sound.valid_seconds < sound.seconds:
        axes.axvspan(sound.valid_seconds, sound.seconds, facecolor="none" if dark else "#f5f7fa",
                     edgecolor="#3a4654" if dark else "#dfe4ea", hatch="///", linewidth=0, zorder=0)


def label_padding(axes: "Axes", sound: Sound, colour: str = INK) -> None:
    """Names the hatched part, where there is room for the word."""
    if sound.seconds - sound.valid_seconds > 0.08 * sound.seconds:
        axes.text(sound.seconds, 0.97, "padding ", ha="right", va="top", fontsize=8, color=colour,
                  transform=axes.get_xaxis_transform())


def set_heading(axes: "Axes", words: str) -> None:
    """The bold line above a picture."""
    axes.set_title(words, loc="left", fontsize=title_points(words), fontweight="bold")


def title_points(words: str) -> float:
    """Size of a title of these words above a picture of 8 inches, so that it ends within it.

    >>> title_points("fear, recognised (0.71)"), title_points("x" * 150)
    (10.0, 5.0)
    """
    return min(10.0, 750 / max(len(words), 1))


def largest_magnitude(trace: Trace) -> float:
    """The largest |value|, 0 for a trace of nothing."""
    return float(np.abs(trace.values).max(initial=0.0))


def with_reliability(caption: str, reliability: str = "") -> str:
    """The caption, and after it how far the method can be believed."""
    return f"{caption} {reliability}".strip()


def reliability_of(reliability: Mapping[str, str] | None, traces: Sequence[Trace]) -> str:
    """How far the methods of these traces can be believed, one sentence after another."""
    return " ".join(filter(None, ((reliability or {}).get(trace.method, "") for trace in traces)))


def held_sentences(traces: Sequence[Trace]) -> str:
    """What methods left as it was, as sentences with a space after them; "" for nothing."""
    titles: dict[str, list[str]] = {}
    for trace in traces:
        if trace.held:
            titles.setdefault(trace.held, []).append(METHODS[trace.method].title)
    return "".join(f"{' and '.join(names)} held {held}. " for held, names in titles.items())


def unheard_stream(streams: Collection[str]) -> str:
    """What a picture of features leaves out of a model with these streams, as a sentence after a space."""
    return " The stream over the waveform is not in the picture: it kept hearing the whole waveform." \
        if "wav2vec" in streams else ""


def draw_shap_bar(names: Sequence[str], per_class: Mapping[str, Sequence[float]], caption: str, path: Path) -> None:
    """Global bar: one bar a feature, stacked by class; mean |SHAP value| in units of the score (natural log odds).

    `names` from the most important down; `per_class` holds one value a name for each class. Writes a PNG.
    """
    figure = new_figure(8.5, 1.3 + 0.27 * len(names))
    axes = figure.subplots()
    left, rows = np.zeros(len(names)), np.arange(len(names))
    for emotion, values in per_class.items():
        axes.barh(rows, values, left=left, color=PALETTE[emotion], label=emotion, height=0.72, edgecolor="white",
                  linewidth=0.4)
        left += np.asarray(values)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("mean |SHAP value|, summed over the classes (score: logit less the mean of all seven)")
    axes.legend(title="pushes the score of", ncols=1, frameon=False, loc="lower left", bbox_to_anchor=(1.0, 0.0))
    figure.tight_layout()
    save_figure(figure, caption, path, 130)
