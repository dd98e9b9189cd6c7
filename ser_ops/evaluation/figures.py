"""Figures of an evaluation, from the figures in metrics.json alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = 1 / len(EMOTIONS)


def draw_evaluation(metrics: Mapping[str, Any], folder: Path) -> None:
    """Confusion matrix of each model (the first one's is confusion.png) and robustness.png, whole or not at all.

    metrics: the content of metrics.json. Each title says what the figures were made from.
    """
    data = metrics["provenance"]
    synthetic = ", synthetic speech" if data["synthetic"] else ""
    source = (f"{data['test_utterances']} utterances of {data['test_speakers']} speakers, "
              f"protocol {data['protocol']}{synthetic}")
    with replacing(folder) as new:
        new.mkdir()
        for index, (name, own) in enumerate(metrics["models"].items()):
            file = f"confusion_{name}.png" if index else "confusion.png"
            draw_confusion(own, f"{name}, clean: UAR {own['clean']['uar']:.2f}\n{source}", new / file)
        draw_robustness(metrics["models"], f"UAR in noise, mean over {len(data['seeds'])} seeds\n{source}",
                        new / "robustness.png")


def draw_confusion(figures: Mapping[str, Any], title: str, path: Path) -> None:
    """Confusion matrix on clean speech: share of each true class (colour) and count. Writes a PNG.

    figures: one model of metrics.json.
    """
    counts = np.array(figures["confusion"])
    shares = counts / np.where(counts.sum(1, keepdims=True) > 0, counts.sum(1, keepdims=True), np.nan)
    words = [[f"{share:.2f}\n{count}" for share, count in zip(*pair, strict=True)]
             for pair in zip(shares, counts, strict=True)]
    figure, (axes,) = _sheet(6.4, 5.4)
    image = _heat(axes, shares, words, list(EMOTIONS), list(EMOTIONS), 0, 1)
    axes.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=30, ha="right")
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, label="share of the true class")
    _save(figure, path)


def draw_robustness(models: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> None:
    """UAR of each model, clean and over noise x intensity (mean over seeds), one colour scale. Writes a PNG.

    models: those of metrics.json, in the order of the panels.
    """
    panels = []
    for name, figures in models.items():
        cells = {tuple(cell.rsplit("@", 1)): cell_figures["uar"] for cell, cell_figures in figures["cells"].items()}
        noises = list(dict.fromkeys(noise for noise, _ in cells))
        levels = sorted({level for _, level in cells}, key=float)
        grid = np.array([[cells.get((noise, level), np.nan) for level in levels] for noise in noises])
        panels.append((name, figures["clean"]["uar"], grid, noises, levels))
    every = np.concatenate([np.append(grid.ravel(), clean) for _, clean, grid, _, _ in panels])
    low, high = min(CHANCE, float(np.nanmin(every))), float(np.nanmax(every))
    longest = max(len(panel[3]) for panel in panels)
    figure, sheets = _sheet(2.2 + 2.6 * len(panels), 1.6 + 0.5 * (longest + 1), len(panels))
    for axes, (name, clean, grid, noises, levels) in zip(sheets, panels, strict=True):
        shares = np.vstack([np.full((1, len(levels)), clean), grid])  # clean has no intensity: its row is one bar
        words = [[f"{value:.2f}" for value in row] for row in shares]
        words[0] = [f"{clean:.2f}" if index == len(levels) // 2 else "" for index in range(len(levels))]
        image = _heat(axes, shares, words, levels, ["clean", *(noise.replace("_", " ") for noise in noises)], low, high)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("intensity")
    figure.suptitle(title, fontsize=10)
    figure.colorbar(image, ax=sheets, label=f"UAR (chance {CHANCE:.2f})")
    _save(figure, path)


def _sheet(width: float, height: float, axes: int = 1) -> tuple["Figure", list["Axes"]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, axes, sharey=True)))


def _heat(axes: "Axes", shares: np.ndarray, words: list[list[str]], columns: list[str], rows: list[str],
          low: float, high: float) -> Any:
    """A heat map whose cells carry their numbers, dark on light and light on dark."""
    image = axes.imshow(shares, cmap="viridis", vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(shares):
        if np.isfinite(value):
            axes.text(column, row, words[row][column], ha="center", va="center", fontsize=8,
                      color="white" if value < low + 0.6 * (high - low) else "black")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    return image


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
