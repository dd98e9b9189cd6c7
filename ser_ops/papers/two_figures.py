"""Paper 2's figures 4 to 6 as pictures: confusion matrices, and learning curves with a line for each fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.files import replacing
from ser_ops.papers.two_results import PROTOCOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, each fold with a marker of its own: told apart without colour, too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
_MARKERS = "osD^vPX*"


def confusion_matrices(counts: Mapping[str, Sequence[Sequence[int]]], path: Path) -> None:
    """A PNG with a matrix for each protocol: rows true, columns answered, share of the true class and count.

    counts: {protocol: (7, 7) counts}; a class without examples has an empty row.
    """
    figure, axes = _sheet(len(counts), 5.6, 5.2)
    for place, (protocol, rows) in enumerate(counts.items()):
        table = np.asarray(rows, np.int64)
        totals = table.sum(1, keepdims=True)
        shares = np.divide(table, totals, out=np.full(table.shape, np.nan), where=totals > 0)
        axis = axes[place]
        image = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            if np.isfinite(share):
                axis.text(column, row, f"{share:.2f}\n{table[row, column]}", ha="center", va="center", fontsize=8,
                          color="black" if share > 0.55 else "white")
        axis.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=35, ha="right")
        axis.set_yticks(range(len(EMOTIONS)), EMOTIONS)
        axis.tick_params(length=0)
        axis.set(xlabel="answered", ylabel="" if place else "true", title=PROTOCOLS.get(protocol, protocol))
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    _save(figure, path)


def curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], what: str, path: Path) -> None:
    """A PNG with a panel for each protocol: `what` ("uar" or "loss") by epoch, a line for each fold.

    histories: {protocol: rows of history.csv with fold, epoch, train_<what>, validation_<what>}; the best epoch is that
    of the highest validation UAR, then the lower loss, then the first, as the training loop chooses it.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator
    figure, axes = _sheet(len(histories), 6.2, 4.2)
    folds = sorted({int(row["fold"]) for rows in histories.values() for row in rows})
    for axis, (protocol, rows) in zip(axes, histories.items(), strict=True):
        for fold in folds:
            own = sorted((row for row in rows if int(row["fold"]) == fold), key=lambda row: int(row["epoch"]))
            if own:
                _lines(axis, own, what, (fold - 1) % len(_COLOURS))
        axis.set(xlabel="epoch", title=PROTOCOLS.get(protocol, protocol))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if what == "uar":
            axis.axhline(1 / len(EMOTIONS), color="black", linewidth=0.8, linestyle=":")
            axis.set_ylim(0, 1.02)
    axes[0].set_ylabel("UAR (dotted: chance)" if what == "uar" else "loss, nats")
    lines = [Line2D([], [], color="grey", linestyle="--", linewidth=1, label="training, with dropout"),
             Line2D([], [], color="grey", linewidth=1.8, label="validation")]
    lines += [Line2D([], [], color=_COLOURS[(fold - 1) % len(_COLOURS)], marker=_MARKERS[(fold - 1) % len(_MARKERS)],
                     label=f"fold {fold}") for fold in folds]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(len(lines), 7), fontsize="small", frameon=False)
    _save(figure, path)


def _lines(axis: "Axes", rows: Sequence[Mapping[str, Any]], what: str, place: int) -> None:
    epochs = [int(row["epoch"]) for row in rows]
    train, validation = ([float(row[f"{part}_{what}"]) for row in rows] for part in ("train", "validation"))
    axis.plot(epochs, train, color=_COLOURS[place], linestyle="--", linewidth=0.9, alpha=0.7)
    axis.plot(epochs, validation, color=_COLOURS[place], linewidth=1.6)
    best = max(range(len(rows)), key=lambda one: (float(rows[one]["validation_uar"]),
                                                  -float(rows[one]["validation_loss"]), -one))
    axis.plot(epochs[best], validation[best], color=_COLOURS[place], marker=_MARKERS[place], markersize=7,
              markeredgecolor="white")


def _sheet(panels: int, width: float, height: float) -> tuple["Figure", list["Axes"]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no window, no global state
    figure = Figure(figsize=(width * panels, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, panels, sharey=True)))


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
