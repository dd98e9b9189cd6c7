"""What the pictures of one clip share: the waveform, the time axis under it, padding, and the words below."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser_ops.explain.figures import columns, title_points
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SECONDS = "seconds from the start of the window"
GREY, INK, PALE = "#b8c2cc", "#1f2933", "#9aa5b1"
FOR, AGAINST = "#D55E00", "#0072B2"     # Okabe and Ito's orange and blue: speaks for the class, against it


@dataclass(frozen=True)
class Sound:
    """The window of one clip: samples float32 (n,) with `sample_rate` a second, and what stands above its picture.

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

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `figures.columns`."""
        return columns(self.samples, self.sample_rate)


def waveform(axes: "Axes", sound: Sound, colour: str = GREY) -> None:
    """The waveform as an area, with its amplitude axis."""
    seconds, low, high = sound.columns()
    axes.fill_between(seconds, low, high, color=colour, linewidth=0.4, zorder=1)
    axes.set(ylim=(-sound.reach, sound.reach), ylabel="amplitude")


def coloured(axes: "Axes", sound: Sound, colours: object, width: float = 0.9, alpha: float | None = None) -> None:
    """The waveform with one colour a column, (c, 3) or (c, 4)."""
    from matplotlib.collections import LineCollection
    seconds, low, high = sound.columns()
    lines = np.stack([np.stack([seconds, low], 1), np.stack([seconds, high], 1)], 1)
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=width, alpha=alpha, zorder=2,
                                       capstyle="round"))
    axes.axhline(0, color=PALE, linewidth=0.4, alpha=0.7, zorder=1)     # silence has no height of its own
    axes.set(ylim=(-sound.reach, sound.reach), ylabel="amplitude")


def time_axis(axes: "Axes", sound: Sound, last: bool, dark: bool = False) -> None:
    """The window's seconds, padding hatched and named; `last`: the axis that carries the words."""
    axes.set_xlim(0, sound.seconds)
    axes.tick_params(labelbottom=last)
    if last:
        axes.set_xlabel(SECONDS)
    if sound.valid_seconds < sound.seconds:
        axes.axvspan(sound.valid_seconds, sound.seconds, facecolor="none" if dark else "#f5f7fa",
                     edgecolor="#3a4654" if dark else "#dfe4ea", hatch="///", linewidth=0, zorder=0)


def padding(axes: "Axes", sound: Sound, colour: str = INK) -> None:
    """Names the hatched part, where there is room for the word."""
    if sound.seconds - sound.valid_seconds > 0.08 * sound.seconds:
        axes.text(sound.seconds, 0.97, "padding ", ha="right", va="top", fontsize=8, color=colour,
                  transform=axes.get_xaxis_transform())


def heading(axes: "Axes", words: str) -> None:
    """The bold line above a picture."""
    axes.set_title(words, loc="left", fontsize=title_points(words), fontweight="bold")


def peak(trace: Trace) -> float:
    """The largest |value|, 0 for a trace of nothing."""
    return float(np.abs(trace.values).max(initial=0.0))


def under(caption: str, believe: str = "") -> str:
    """The caption, and after it how far the method can be believed."""
    return f"{caption} {believe}".strip()


def sentences(believe: Mapping[str, str] | None, traces: Sequence[Trace]) -> str:
    """What is said of the methods of these traces, one after another."""
    return " ".join(filter(None, ((believe or {}).get(trace.method, "") for trace in traces)))


def held(traces: Sequence[Trace]) -> str:
    """What methods left as it was, as sentences with a space after them; "" for nothing."""
    words: dict[str, list[str]] = {}
    for trace in traces:
        if trace.held:
            words.setdefault(trace.held, []).append(METHODS[trace.method].title)
    return "".join(f"{' and '.join(names)} held {what}. " for what, names in words.items())


def unheard(streams: Collection[str]) -> str:
    """What a picture of features leaves out of a model with these streams, as a sentence after a space."""
    return " The Wav2Vec 2.0 stream is not in the picture: it kept hearing the whole waveform." \
        if "wav2vec" in streams else ""
