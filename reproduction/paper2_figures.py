"""Paper 2's figures 4 to 13: confusion, learning curves and Grad-CAM of the explained model, with its metric tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reproduction import paper2_tables
from reproduction.paper2_tables import (
    MODEL_NAMES,
    PROTOCOLS,
    Results,
    name_in_sentence,
    other_corpus,
    why_no_cam,
    why_no_model,
)
from reproduction.paper_page import Cell, Figure, Table
from ser_ops.emotions import EMOTIONS
from ser_ops.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet


# Okabe and Ito's colours, each fold with a marker of its own: told apart without colour, too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
_MARKERS = "osD^vPX*"


def confusion_matrices(counts: Mapping[str, Sequence[Sequence[int]]], path: Path) -> None:
    """A PNG with a matrix for each protocol: rows true, columns answered, share of the true class and count.

    counts: {protocol: (7, 7) counts}; a class without examples has an empty row.
    """
    figure, axes = _panels(len(counts), 5.6, 5.2)
    for panel, (protocol, rows) in enumerate(counts.items()):
        table = np.asarray(rows, np.int64)
        totals = table.sum(1, keepdims=True)
        shares = np.divide(table, totals, out=np.full(table.shape, np.nan), where=totals > 0)
        axis = axes[panel]
        image = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            if np.isfinite(share):
                axis.text(column, row, f"{share:.2f}\n{table[row, column]}", ha="center", va="center", fontsize=8,
                          color="black" if share > 0.55 else "white")
        axis.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=35, ha="right")
        axis.set_yticks(range(len(EMOTIONS)), EMOTIONS)
        axis.tick_params(length=0)
        axis.set(xlabel="answered", ylabel="" if panel else "true", title=PROTOCOLS.get(protocol, protocol))
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    _save(figure, path)


def curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], what: str, path: Path) -> None:
    """A PNG with a panel for each protocol: `what` ("uar" or "loss") by epoch, a line for each fold.

    histories: {protocol: rows of history.csv with fold, epoch, train_<what>, validation_<what>}; the best epoch is that
    of the highest validation UAR, then the lower loss, then the first, as the training loop chooses it.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator
    figure, axes = _panels(len(histories), 6.2, 4.2)
    folds = sorted({int(row["fold"]) for rows in histories.values() for row in rows})
    for axis, (protocol, rows) in zip(axes, histories.items(), strict=True):
        for fold in folds:
            own = sorted((row for row in rows if int(row["fold"]) == fold), key=lambda row: int(row["epoch"]))
            if own:
                _plot_fold(axis, own, what, (fold - 1) % len(_COLOURS))
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


def _plot_fold(axis: "Axes", rows: Sequence[Mapping[str, Any]], what: str, fold: int) -> None:
    epochs = [int(row["epoch"]) for row in rows]
    train, validation = ([float(row[f"{part}_{what}"]) for row in rows] for part in ("train", "validation"))
    axis.plot(epochs, train, color=_COLOURS[fold], linestyle="--", linewidth=0.9, alpha=0.7)
    axis.plot(epochs, validation, color=_COLOURS[fold], linewidth=1.6)
    best = max(range(len(rows)), key=lambda row: (float(rows[row]["validation_uar"]),
                                                  -float(rows[row]["validation_loss"]), -row))
    axis.plot(epochs[best], validation[best], color=_COLOURS[fold], marker=_MARKERS[fold], markersize=7,
              markeredgecolor="white")


def _panels(panels: int, width: float, height: float) -> tuple["Sheet", list["Axes"]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet  # not pyplot: no window, no global state
    figure = Sheet(figsize=(width * panels, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, panels, sharey=True)))


def _save(figure: "Sheet", path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


_CAM_METRICS = {
    "predicted": ("Recognised as", ""), "confidence": ("Model confidence", "percent"),
    "mean_activation": ("Mean activation", "share"), "max_activation": ("Maximum activation", "share"),
    "activated_area_pct": ("Activated area", "percent"), "entropy": ("Entropy, nats", ""),
    "time_focus_range": ("Time focus, seconds", ""), "freq_focus_range": ("Frequency focus, hertz", ""),
    "confidence_drop": ("Confidence drop after masking, points", "percent")}    # in the order of figures 7 to 13


def grad_cam_table(results: Results) -> Table:
    """The metric tables of figures 7 to 13 for every trained model, a row for each picture."""
    cams = {model: results.pictures_of(model) for model in results.trained}
    rows: list[tuple[Cell | str, ...]] = [
        (MODEL_NAMES[model], str(cam["emotion"]), str(cam["utterance"]), *(
            Cell(_cam_value(cam, name), unit=unit) for name, (_, unit) in _CAM_METRICS.items()))
        for model, pictures in cams.items() for cam in pictures.cams]
    without = [f"{pictures.missing}." for pictures in cams.values() if pictures.missing]
    notes = ("Test utterances of fold 1: of each class those that the model recognised, by a choice that is the same "
             "for all models, else any. A map is of the class that the model answered. Its picture: figures 7 to 13 of "
             "the explained model, models/ beside this page of the others.",
             "Compare within a kind: a transformer's map lies on patches of the image, a convolution's over time alone "
             "and is spread over the mel bands (docs/reference/methods.md).", *without)
    columns = ("Model", "Class", "Utterance", *(label for label, _ in _CAM_METRICS.values()))
    protocols = tuple(dict.fromkeys(pictures.protocol for pictures in cams.values() if pictures.cams))
    return Table("grad_cam", "Grad-CAM metrics of every model", columns, tuple(rows), notes if rows else (),
                 "" if rows else " ".join(without), protocols)


def cam_table(results: Results, emotion: str) -> Table:
    """The metric table of one of figures 7 to 13."""
    paper, marks = paper2_tables.FIGURES_7_TO_13[emotion], paper2_tables.MARKS.get(emotion, {})
    pictures = results.pictures_of(results.explained)
    cams = [cam for cam in pictures.cams if cam["emotion"] == emotion]
    columns = ("Metric", *(["Value"] if len(cams) < 2 else [f"Example {number + 1}" for number in range(len(cams))]))
    claims: Mapping[str, str | None] = paper._asdict() | {
        "predicted": emotion, "time_focus_range": " to ".join(paper.time_focus_range),
        "freq_focus_range": " to ".join(paper.freq_focus_range)}
    rows: list[tuple[Cell | str, ...]] = []
    for name, (label, unit) in _CAM_METRICS.items():
        claim = claims[name]
        rows.append((label, *(Cell(_cam_value(cam, name), claim if not number else None, unit,
                                   mark=marks.get(name, "") if not number else "")
                              for number, cam in enumerate(cams or [{}]))))
    for predicted, claim in zip(EMOTIONS, paper.probabilities, strict=True):
        rows.append((f"Probability of {predicted}", *(
            Cell((cam.get("probabilities") or {}).get(predicted), claim if not number else None, "share")
            for number, cam in enumerate(cams or [{}]))))
    notes = (*filter(None, [other_corpus(results) if cams else ""]), paper2_tables.SOURCES["grad_cam"])
    return Table(f"figure_{paper.figure}", f"Grad-CAM metrics, {emotion}", columns, tuple(rows), notes,
                 "" if cams else why_no_cam(results, emotion), (pictures.protocol,) if cams else ())


def _cam_value(cam: Mapping[str, Any], name: str) -> float | str | None:
    value = cam.get(name)
    if value is None:
        return None
    if name == "confidence":
        return 100 * float(value)
    if name == "time_focus_range":
        return " to ".join(f"{bound:.2f}" for bound in value)
    if name == "freq_focus_range":
        return " to ".join(f"{bound:.1f}" for bound in value)
    return value if isinstance(value, str) else float(value)


def figures(results: Results) -> tuple[Figure, ...]:
    """Figures 4 to 13."""
    pictures, other = results.pictures_of(results.explained), other_corpus(results)
    name, absent = name_in_sentence(results.explained), why_no_model(results, results.explained)
    drawn = [Figure(
        "figure_4", f"Confusion matrix of {name}", (pictures.confusion,) if pictures.confusion else (),
        "All folds pooled: share of the true class (colour) and count. The paper's matrix is a picture whose counts "
        "cannot be read here; figure 3's rows admit 4 errors in 563: two of class 0, one each of classes 3 and "
        f"5. {other}", "" if pictures.confusion else absent)]
    for number, kind, title, caption in (
            (5, "uar", "Accuracy curve", "The training loop records UAR (the mean recall of the seven classes), not "
             "accuracy: with classes of one size, as in TESS, they are the same. "),
            (6, "loss", "Loss curve", "Cross-entropy in nats. ")):
        file = pictures.curves.get(kind, "")
        drawn.append(Figure(
            f"figure_{number}", f"{title} of {name}", (file,) if file else (), caption + "One line for each fold: "
            "dashed over its training utterances, with dropout, whole over its validation utterances; a mark stands at "
            "the epoch whose weights were tested, the best on validation. The paper does not say which fold its curve "
            f"is of. {other}", "" if file else absent))
    return (*drawn, *(_cam_figure(results, emotion) for emotion in emotions_by_figure()))


def _cam_figure(results: Results, emotion: str) -> Figure:
    pictures = results.pictures_of(results.explained)
    cams = [cam for cam in pictures.cams if cam["emotion"] == emotion]
    sentences = []
    for number, cam in enumerate(cams):
        right = cam.get("predicted") == emotion
        sentences.append(f"{f'Example {number + 1}: ' if len(cams) > 1 else ''}{cam.get('utterance', 'an utterance')}, "
                         f"{'recognised' if right else 'taken for ' + str(cam.get('predicted')) + ': no further test '}"
                         f"{'' if right else 'utterance of this class was recognised'}.")
    caption = (f"{' '.join(sentences)} Test utterance of fold 1, {PROTOCOLS.get(pictures.protocol, '')}, model "
               f"{name_in_sentence(results.explained)}. The map is of the class that the model answered."
               if cams else "")
    return Figure(f"figure_{paper2_tables.FIGURES_7_TO_13[emotion].figure}", f"Grad-CAM, {emotion}",
                  tuple(str(cam["figure"]) for cam in cams), caption,
                  "" if cams else why_no_cam(results, emotion))


def emotions_by_figure() -> list[str]:
    """The seven emotions in the order of figures 7 to 13."""
    return sorted(paper2_tables.FIGURES_7_TO_13, key=lambda emotion: paper2_tables.FIGURES_7_TO_13[emotion].figure)
