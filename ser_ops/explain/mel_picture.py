"""The picture of paper 2's figures 7 to 13: mel spectrogram, the map over it, and the metric table beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_ops.explain.figures import blank, save
from ser_ops.explain.focus import Focus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_TICKS = (200, 500, 1000, 2000, 4000, 8000, 16000)     # hertz
_HEAT = ("#ffe8a3", "#f5a742", "#d1495b", "#5b1a4a")        # rises in darkness with the map, in grey print too
_FRAME = "#0072B2"
_QUIETEST = -80.0                                           # dB


@dataclass(frozen=True)
class MelSpectrogram:
    """What lies under a map.

    level    (mels, T), dB relative to the loudest value; row 0 the lowest band
    seconds  borders of the frames (T + 1,)
    hertz    borders of the mel bands (mels + 1,), evenly spaced on the mel scale
    valid_seconds  where padding begins
    """

    level: np.ndarray
    seconds: np.ndarray
    hertz: np.ndarray
    valid_seconds: float


def _image(axes: "Axes", mel: MelSpectrogram, values: np.ndarray, **how: Any) -> "AxesImage":
    """Frames as wide as their hops, bands of equal height: the vertical axis is the mel scale itself."""
    step = mel.seconds[2] - mel.seconds[1]      # the first and the last frame may be cut to half by the window
    shown = axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest",
                        extent=(-step / 2, (values.shape[1] - 0.5) * step, 0, len(values)), **how)
    axes.set_xlim(mel.seconds[0], mel.seconds[-1])
    return shown


def _axes(axes: "Axes", mel: MelSpectrogram) -> None:
    """Hertz at their places on the mel scale, and the padding hatched."""
    ticks = [hertz for hertz in _TICKS if mel.hertz[0] <= hertz <= mel.hertz[-1]]
    axes.set_yticks(np.interp(ticks, mel.hertz, np.arange(len(mel.hertz))), [f"{hertz:,}" for hertz in ticks])
    axes.set_ylabel("hertz (mel scale)")
    if mel.valid_seconds < mel.seconds[-1]:
        axes.axvspan(mel.valid_seconds, float(mel.seconds[-1]), facecolor="none", edgecolor="#d3d9e0", hatch="///",
                     linewidth=0, zorder=1)
        axes.axvline(mel.valid_seconds, color="#9aa5b1", linewidth=0.8)


def over_mel(mel: MelSpectrogram, values: np.ndarray, focus: Focus, heading: str, table: Sequence[tuple[str, str]],
             classes: Mapping[str, float], caption: str, path: Path) -> None:
    """Draw a map in [0, 1] over a mel spectrogram, both (mels, T); writes a PNG.

    focus: the map's, framed. table: names and figures, from the top. classes: the probability of each class. A map of
    zeros is said in words.
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure = blank(10, 5.2)
    grid = figure.add_gridspec(2, 3, width_ratios=(6.4, 0.16, 3.2), wspace=0.09, hspace=0.12, left=0.07, right=0.99,
                               top=0.93, bottom=0.1)
    plain = figure.add_subplot(grid[0, 0])
    heated = figure.add_subplot(grid[1, 0], sharex=plain)
    grey = _image(plain, mel, np.maximum(mel.level, _QUIETEST), cmap="gray_r", vmin=_QUIETEST, vmax=0)
    figure.colorbar(grey, cax=figure.add_subplot(grid[0, 1]), label="dB below the loudest")
    # Paler below the map, so that the map is seen; and the map lets it through where it is near 0 itself.
    _image(heated, mel, np.maximum(mel.level, _QUIETEST), cmap="gray_r", vmin=_QUIETEST, vmax=-_QUIETEST)
    warm = LinearSegmentedColormap.from_list("activation", _HEAT)
    shown = _image(heated, mel, values, cmap=warm, vmin=0, vmax=1, alpha=np.clip(2 * values, 0, 0.9), zorder=2)
    bar = figure.colorbar(shown, cax=figure.add_subplot(grid[1, 1]), label="activation")
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.ax.axhline(focus.max_activation / 2, color=_FRAME, linewidth=1.5)
    for axes in (plain, heated):
        _axes(axes, mel)
        _framed(axes, mel, focus)
    plain.tick_params(labelbottom=False)
    plain.set_title(heading, loc="left", fontsize=10, fontweight="bold")
    heated.set_xlabel("seconds from the start of the window")
    if not values.any():
        heated.text(0.5, 0.5, "nothing speaks for this class:\nthe map is zero everywhere", ha="center", va="center",
                    transform=heated.transAxes, bbox={"facecolor": "white", "edgecolor": "#9aa5b1"}, zorder=4)
    _table(figure.add_subplot(grid[:, 2]), table, classes)
    save(figure, caption, path, 165)


def _framed(axes: "Axes", mel: MelSpectrogram, focus: Focus) -> None:
    """The focus ranges as a dashed frame, drawn whole where it coincides with the border of the picture."""
    if focus.time_focus_range is None or focus.freq_focus_range is None:
        return
    (start, end), hertz = focus.time_focus_range, focus.freq_focus_range
    low, high = np.interp(hertz, mel.hertz, np.arange(len(mel.hertz)))
    for colour, style, width in (("white", "-", 2.6), (_FRAME, (0, (4, 2)), 1.4)):
        axes.plot([start, end, end, start, start], [low, low, high, high, low], color=colour, linestyle=style,
                  linewidth=width, clip_on=False, zorder=3)


def _table(axes: "Axes", table: Sequence[tuple[str, str]], classes: Mapping[str, float]) -> None:
    """Names at the left, figures at the right; below them a bar for each class."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    rows = len(table) + len(classes) + 2
    left, step = 0.2, 1 / rows
    for number, (name, figure) in enumerate(table):
        y = 1 - (number + 0.5) * step
        axes.text(left, y, name, va="center", fontsize=8.5, color="#52606d")
        axes.text(1, y, figure, va="center", ha="right", fontsize=8.5)
        axes.axhline(1 - (number + 1) * step, xmin=left, color="#e4e7eb", linewidth=0.7)
    top = 1 - (len(table) + 1.5) * step
    axes.text(left, top, "class probabilities", va="center", fontsize=8.5, fontweight="bold")
    winner = max(classes, key=lambda name: classes[name], default="")
    for number, (name, share) in enumerate(classes.items()):
        y = top - (number + 1) * step
        axes.text(left, y, name, va="center", fontsize=8.5, fontweight="bold" if name == winner else "normal")
        axes.barh(y, 0.34 * share, left=0.46, height=0.55 * step, color="#0072B2" if name == winner else "#9aa5b1")
        axes.text(1, y, f"{share:.4f}", va="center", ha="right", fontsize=8.5)
