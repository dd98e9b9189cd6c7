"""Grad-CAM of one utterance as paper 2 shows it (figures 7 to 13): mel spectrogram, the map over it, a metric table.

The table says where the map lies and what its area is worth. Definitions are this project's where the paper gives none;
docs/reference/methods.md compares them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ser_ops.config.explaining import Explain
from ser_ops.config.models import MelImage, Stacked, Window
from ser_ops.dataset.examples import Examples
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import class_probabilities, make_clip, waveform_contexts
from ser_ops.explain.figures import new_figure, save_figure
from ser_ops.explain.map_axes import MapAxis
from ser_ops.explain.methods.gradcam import Heat, heat_of, mel_window
from ser_ops.explain.question import Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import blur_seconds
from ser_ops.explain.utterance import answer_entry, clip_title
from ser_ops.features.paper2 import mel_edges_hertz, mel_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

PAPER_ORDER = ("angry", "fear", "disgust", "happy", "sad", "surprise", "neutral")   # figures 7 to 13


@dataclass(frozen=True)
class Focus:
    """Figures of one map, under the paper's names.

    mean_activation     over all cells of the map, in [0, 1]
    max_activation      after upsampling; below 1 where the peak lies between two cells
    activated_area_pct  per cent of all cells that reach half of the maximum
    entropy             in nats, of the map scaled to sum 1; at most the logarithm of the number of cells
    time_focus_range    seconds from the start of the window: where the first activated frame's hop begins, where the
                        last one's ends. Frame t is centred on t hops and answers for half a hop on each side
    freq_focus_range    hertz: lower border of the lowest activated mel band, upper border of the highest

    Ranges and entropy are None where the map is zero everywhere. A range is an extent: what lies within it need not be
    activated.
    """

    mean_activation: float
    max_activation: float
    activated_area_pct: float
    entropy: float | None
    time_focus_range: tuple[float, float] | None
    freq_focus_range: tuple[float, float] | None


@dataclass(frozen=True)
class MelSpectrogram:
    """What lies under a map.

    level          (mels, T), dB relative to the loudest value; row 0 the lowest band
    seconds        borders of the frames (T + 1,)
    hertz          borders of the mel bands (mels + 1,), evenly spaced on the mel scale
    valid_seconds  where padding begins
    """

    level: np.ndarray
    seconds: np.ndarray
    hertz: np.ndarray
    valid_seconds: float


def grad_cam_figures(subject: Subject, examples: Examples, positions: Sequence[int], settings: Explain,
                     folder: Path, prefix: str) -> list[dict[str, Any]]:
    """Grad-CAM of the examples at `positions`, one picture each in `folder`: gradcam_<emotion>_<n>.png.

    Returns what explanations.json holds of each, in the order of paper 2's figures 7 to 13 by the labelled emotion;
    `prefix` stands before the file's name under "figure". Raises ValueError for a model that admits no Grad-CAM (its
    cam_layer() says why).
    """
    subject.model.cam_layer()
    entries, number = [], Counter[str]()
    for position in sorted(positions, key=lambda position: PAPER_ORDER.index(examples.rows[position].emotion)):
        row = examples.rows[position]
        clip = make_clip(subject, row, examples.stores.waveform(row))
        context = waveform_contexts(subject, [clip], 1)
        (probabilities,) = class_probabilities(subject, [clip], context)
        target = int(probabilities.argmax())
        question = Question(subject, clip, target, settings, context=context)
        entry = answer_entry(subject, clip, probabilities, target)
        number[entry["emotion"]] += 1
        file = folder / f"gradcam_{entry['emotion']}_{number[entry['emotion']]}.png"
        picture = grad_cam_picture(question, heat_of(question), entry, file)
        figure = f"{prefix}{file.name}"
        entries.append(entry | {"gradcam": picture | {"figure": figure}, "figure": figure})
    return entries


def grad_cam_picture(question: Question, heat: Heat, entry: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Draw Grad-CAM of a clip for `entry["explained"]` into `file`; what explanations.json holds of it.

    Figures bear the paper's names: confidence (share), those of `Focus`, confidence_drop (percentage points, above 0
    where masking takes from the answer; None for an empty map), probabilities. Further: times and values, the strongest
    band of each frame; peak (of the map, in units of the logit), empty, share_in_padding, share_without_band, map (at
    its own resolution, peak 1).
    """
    subject, features, target = question.subject, question.clip.batch.features, question.target
    window = mel_window(subject)
    picture = _spectrogram(window, features, entry["valid_seconds"])
    times = np.arange(heat.values.shape[1]) * window.hop / window.sample_rate
    valid, area = times <= entry["valid_seconds"], activated_area(heat.values)
    with torch.no_grad():
        both = torch.cat([features, _mask_features(window, features, area, valid)])
        before, after = question.classify_features(both).double().softmax(1).cpu().numpy()
    focus = measure_focus(heat.values, picture.seconds, picture.hertz)
    report = {
        "confidence": float(before[target]), **_rounded(focus),
        "confidence_drop": 100 * float(before[target] - after[target]) if area.any() else None,
        "probabilities": {emotion: float(share) for emotion, share in zip(EMOTIONS, before, strict=True)},
        "times": np.round(times, 4).tolist(), "values": np.round(heat.values.max(0), 5).tolist(), "peak": heat.peak,
        "empty": not area.any(), "share_in_padding": float(heat.values[:, ~valid].sum() / (heat.values.sum() or 1)),
        "share_without_band": heat.bandless, "map": np.round(heat.own / (heat.own.max() or 1), 4).tolist()}
    draw_over_mel(picture, heat.values, focus, clip_title(entry), _metric_table(entry, report), report["probabilities"],
                  _caption(window, subject.map_axes, entry["predicted"]), file)
    return report


def _rounded(focus: Focus) -> dict[str, Any]:
    """As explanations.json holds them: ranges as lists, seconds to 0.1 ms and hertz to 0.1."""
    rounded = asdict(focus)
    for name, digits in (("time_focus_range", 4), ("freq_focus_range", 1)):
        rounded[name] = None if rounded[name] is None else [round(value, digits) for value in rounded[name]]
    return rounded


def _metric_table(entry: Mapping[str, Any], report: Mapping[str, Any]) -> list[tuple[str, str]]:
    time, hertz = report["time_focus_range"], report["freq_focus_range"]
    return [("confidence", f"{100 * report['confidence']:.2f} % ({entry['explained']})"),
            ("mean activation", _formatted(report["mean_activation"], 4)),
            ("max activation", _formatted(report["max_activation"], 4)),
            ("activated area", _formatted(report["activated_area_pct"], 2, " %")),
            ("entropy", _formatted(report["entropy"], 3, " nats")),
            ("time focus range", f"{time[0]:.2f} to {time[1]:.2f} s" if time else "none"),
            ("freq. focus range", f"{hertz[0]:,.0f} to {hertz[1]:,.0f} Hz" if hertz else "none"),
            ("confidence drop", _formatted(report["confidence_drop"], 2, " points", "+")),
            ("map on padding", _formatted(100 * report["share_in_padding"], 1, " %"))]


def _formatted(value: float | None, digits: int, unit: str = "", sign: str = "") -> str:
    return "none" if value is None else f"{value:{sign}.{digits}f}{unit}"


_OVER_TIME = (
    "Grad-CAM on the last convolution, which runs over time alone; each of its steps has seen {seen:.2f} s of sound. "
    "Within a frame the map is spread over the mel bands by the positive part of gradient times standardised input: "
    "bands are those that the answer '{predicted}' leans on there, not what a filter has looked at. MFCC, chroma and "
    "contrast are not in the picture, and masking leaves them as they are.")
_OVER_IMAGE = (
    "Grad-CAM on {rows} x {columns} cells of the image, each {seconds:.2f} s long and {bands:.0f} mel bands high, "
    "smoothed between their centres. In a transformer cells attend to one another: one may speak for what it has taken "
    "from elsewhere.")
_NOT_SHOWN = (
    " Dashed: the focus range, from the first to the last cell at or above half of the maximum (the line on the colour "
    "bar); what lies within need not be activated. Confidence drop: what masking the activated area with the "
    "utterance's mean level takes from '{predicted}'. Not shown: what speaks against '{predicted}', and whether the "
    "area is the cause of the answer.")


def _caption(window: Window, axes: Sequence[MapAxis], predicted: str) -> str:
    if len(axes) == 1:
        caption = _OVER_TIME.format(seen=blur_seconds(axes[0].field, window), predicted=predicted)
    else:
        bands, time = axes
        caption = _OVER_IMAGE.format(rows=len(bands.centres), columns=len(time.centres),
                                     seconds=time.step * window.hop / window.sample_rate, bands=bands.step)
    return caption + _NOT_SHOWN.format(predicted=predicted)


def _spectrogram(window: Stacked | MelImage, features: Tensor, valid_seconds: float) -> MelSpectrogram:
    mel = features[0, mel_rows(window)].double().cpu().numpy()
    if isinstance(window, Stacked) and window.mel_scale == "power":
        mel = 10 * np.log10(np.maximum(mel, 1e-10))
    borders = frame_borders(mel.shape[1], window.hop / window.sample_rate, window.seconds)
    return MelSpectrogram(mel - mel.max(), borders, mel_edges_hertz(window), valid_seconds)


def frame_borders(frames: int, hop_seconds: float, seconds: float) -> np.ndarray:
    """Where each frame's hop begins and the last one's ends, in seconds: (frames + 1,), within the window.

    >>> frame_borders(3, 0.5, 1.0)
    array([0.  , 0.25, 0.75, 1.  ])
    """
    return np.clip((np.arange(frames + 1) - 0.5) * hop_seconds, 0, seconds)


def _mask_features(window: Stacked | MelImage, features: Tensor, area: np.ndarray, valid: np.ndarray) -> Tensor:
    """Features (1, rows, T) with the utterance's mean level in the area: an image's one mean, a stack's of each row."""
    rows, masked = mel_rows(window), features.clone()
    mel = features[0, rows].cpu().numpy()
    masked[0, rows] = torch.from_numpy(mask_area(mel, area, valid, isinstance(window, Stacked))).to(features)
    return masked


def mask_area(mel: np.ndarray, area: np.ndarray, valid: np.ndarray, each_band: bool) -> np.ndarray:
    """A mel spectrogram (mels, T) with the utterance's mean level in the cells of `area` (bool, alike).

    valid: bool (T,), the frames that are no padding; the mean is taken over those. each_band: the mean of each band, so
    that a masked cell is as loud as its band is on average; else one mean for all, the grey of an image.
    """
    counted = mel[:, valid] if valid.any() else mel
    level = counted.mean(1, keepdims=True) if each_band else counted.mean(keepdims=True)
    return np.where(area, level, mel).astype(mel.dtype)


def measure_focus(values: np.ndarray, seconds: np.ndarray, hertz: np.ndarray) -> Focus:
    """The table's figures of a map (mels, T), at least 0.

    seconds: borders of the frames (T + 1,); hertz: borders of the mel bands (mels + 1,); both rising.
    """
    area = activated_area(values)
    bands, frames = np.flatnonzero(area.any(1)), np.flatnonzero(area.any(0))
    any_active = bool(len(bands))
    return Focus(float(values.mean()), float(values.max(initial=0.0)), 100 * float(area.mean()), entropy(values),
                 (float(seconds[frames[0]]), float(seconds[frames[-1] + 1])) if any_active else None,
                 (float(hertz[bands[0]]), float(hertz[bands[-1] + 1])) if any_active else None)


_HALF = 0.5     # of the maximum: what reaches it is the activated area


def activated_area(values: np.ndarray) -> np.ndarray:
    """The cells that reach half of the map's maximum: bool like `values`, all False for a map of zeros.

    >>> activated_area(np.array([[0.0, 0.4], [0.5, 1.0]])).tolist()
    [[False, False], [True, True]]
    """
    peak = values.max(initial=0.0)
    return (values >= _HALF * peak) & (peak > 0)


def entropy(values: np.ndarray) -> float | None:
    """Entropy in nats of a map (at least 0) scaled to sum 1; None for zeros.

    >>> round(entropy(np.ones((2, 4))), 4)      # ln 8
    2.0794
    """
    total = values.sum()
    if not total > 0:
        return None
    shares = values[values > 0] / total
    return max(0.0, float(-(shares * np.log(shares)).sum()))


_TICKS = (200, 500, 1000, 2000, 4000, 8000, 16000)     # hertz
_HEAT = ("#ffe8a3", "#f5a742", "#d1495b", "#5b1a4a")        # rises in darkness with the map, in grey print too
_FRAME = "#0072B2"
_QUIETEST = -80.0                                           # dB


def draw_over_mel(mel: MelSpectrogram, values: np.ndarray, focus: Focus, heading: str, table: Sequence[tuple[str, str]],
                  classes: Mapping[str, float], caption: str, path: Path) -> None:
    """Draw a map in [0, 1] over a mel spectrogram, both (mels, T), with the metric table beside them; writes a PNG.

    focus: the map's, framed. table: names and figures, from the top. classes: the probability of each class. A map of
    zeros is said in words.
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure = new_figure(10, 5.2)
    grid = figure.add_gridspec(2, 3, width_ratios=(6.4, 0.16, 3.2), wspace=0.09, hspace=0.12, left=0.07, right=0.99,
                               top=0.93, bottom=0.1)
    plain = figure.add_subplot(grid[0, 0])
    heated = figure.add_subplot(grid[1, 0], sharex=plain)
    grey = _draw_image(plain, mel, np.maximum(mel.level, _QUIETEST), cmap="gray_r", vmin=_QUIETEST, vmax=0)
    figure.colorbar(grey, cax=figure.add_subplot(grid[0, 1]), label="dB below the loudest")
    # Paler below the map, so that the map is seen; and the map lets it through where it is near 0 itself.
    _draw_image(heated, mel, np.maximum(mel.level, _QUIETEST), cmap="gray_r", vmin=_QUIETEST, vmax=-_QUIETEST)
    warm = LinearSegmentedColormap.from_list("activation", _HEAT)
    activation = _draw_image(heated, mel, values, cmap=warm, vmin=0, vmax=1, alpha=np.clip(2 * values, 0, 0.9),
                             zorder=2)
    bar = figure.colorbar(activation, cax=figure.add_subplot(grid[1, 1]), label="activation")
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.ax.axhline(focus.max_activation / 2, color=_FRAME, linewidth=1.5)
    for axes in (plain, heated):
        _label_axes(axes, mel)
        _draw_frame(axes, mel, focus)
    plain.tick_params(labelbottom=False)
    plain.set_title(heading, loc="left", fontsize=10, fontweight="bold")
    heated.set_xlabel("seconds from the start of the window")
    if not values.any():
        heated.text(0.5, 0.5, "nothing speaks for this class:\nthe map is zero everywhere", ha="center", va="center",
                    transform=heated.transAxes, bbox={"facecolor": "white", "edgecolor": "#9aa5b1"}, zorder=4)
    _draw_table(figure.add_subplot(grid[:, 2]), table, classes)
    save_figure(figure, caption, path, 165)


def _draw_image(axes: "Axes", mel: MelSpectrogram, values: np.ndarray, **options: Any) -> "AxesImage":
    """Frames as wide as their hops, bands of equal height: the vertical axis is the mel scale itself."""
    step = mel.seconds[2] - mel.seconds[1]      # the first and the last frame may be cut to half by the window
    image = axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest",
                        extent=(-step / 2, (values.shape[1] - 0.5) * step, 0, len(values)), **options)
    axes.set_xlim(mel.seconds[0], mel.seconds[-1])
    return image


def _label_axes(axes: "Axes", mel: MelSpectrogram) -> None:
    """Hertz along the mel scale, and the padding hatched."""
    ticks = [hertz for hertz in _TICKS if mel.hertz[0] <= hertz <= mel.hertz[-1]]
    axes.set_yticks(np.interp(ticks, mel.hertz, np.arange(len(mel.hertz))), [f"{hertz:,}" for hertz in ticks])
    axes.set_ylabel("hertz (mel scale)")
    if mel.valid_seconds < mel.seconds[-1]:
        axes.axvspan(mel.valid_seconds, float(mel.seconds[-1]), facecolor="none", edgecolor="#d3d9e0", hatch="///",
                     linewidth=0, zorder=1)
        axes.axvline(mel.valid_seconds, color="#9aa5b1", linewidth=0.8)


def _draw_frame(axes: "Axes", mel: MelSpectrogram, focus: Focus) -> None:
    """The focus ranges as a dashed frame, drawn whole where it coincides with the border of the picture."""
    if focus.time_focus_range is None or focus.freq_focus_range is None:
        return
    (start, end), hertz = focus.time_focus_range, focus.freq_focus_range
    low, high = np.interp(hertz, mel.hertz, np.arange(len(mel.hertz)))
    for colour, style, width in (("white", "-", 2.6), (_FRAME, (0, (4, 2)), 1.4)):
        axes.plot([start, end, end, start, start], [low, low, high, high, low], color=colour, linestyle=style,
                  linewidth=width, clip_on=False, zorder=3)


def _draw_table(axes: "Axes", table: Sequence[tuple[str, str]], classes: Mapping[str, float]) -> None:
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
