"""reports/paper2: paper 2's tables and figures in its own shape, ours beside the printed ones."""

from typing import Any

from ser_ops.papers import published_two as printed
from ser_ops.papers.facts import facts, warnings
from ser_ops.papers.table import Page, Table
from ser_ops.papers.two_explained import by_figure, cam_table, figures
from ser_ops.papers.two_glance import finding, glance
from ser_ops.papers.two_results import PROTOCOLS, Layer, Pictures, Results, Scores
from ser_ops.papers.two_tables import accuracy_table, classification_report, layer_table, quality_table

__all__ = ["PROTOCOLS", "Layer", "Pictures", "Results", "Scores", "page", "sections", "tables"]

TITLE = "Paper 2: hybrid CNN-LSTM and image transformers"
STACKED: tuple[str, ...] = ("cnn", "lstm", "cnn_lstm")
IMAGES: tuple[str, ...] = ("vit", "beit")


def page(results: Results) -> Page:
    """reports/paper2: tables 1 to 4, figures 1 to 13, and what each stands on."""
    backbones = {str(one["model"]): one.get("backbone") for one in results.groups}
    runs = {f"{one['model']}, {one['protocol']}": one.get("run_id") for one in results.groups}
    seconds = sum(one.get("seconds") or 0 for one in results.groups)
    basis = facts(results.provenance, results.protocols, backbones, runs)
    basis += (("Explained model", f"{results.explained} (figures 3 to 13)"),
              ("Training, all folds", f"{seconds / 60:.1f} minutes of one process"))
    return Page("paper2", TITLE, printed.REFERENCE, warnings(results.provenance, backbones.values()), basis,
                tables(results), figures(results), sections(results))


def tables(results: Results) -> tuple[Table, ...]:
    """Tables 1 to 4, figure 3 as a table for each protocol, figures 1 and 2 as layers, and those of figures 7 to 13."""
    reports = tuple(classification_report(results, protocol) for protocol in results.protocols or ("random",))
    return (
        accuracy_table(results, "table_1", "Accuracy of the CNN, the LSTM and their hybrid", STACKED, printed.TABLE_1),
        quality_table(results, "table_2", "Precision, recall and F1-score of the CNN, the LSTM and their hybrid",
                      STACKED, printed.TABLE_2),
        accuracy_table(results, "table_3", "Accuracy of ViT and BEiT", IMAGES, printed.TABLE_3),
        quality_table(results, "table_4", "Precision, recall and F1-score of ViT and BEiT", IMAGES, printed.TABLE_4),
        layer_table(results, "figure_1", "Steps of the CNN, the LSTM and their hybrid", STACKED),
        layer_table(results, "figure_2", "Architecture of the hybrid of CNN and LSTM", ("cnn_lstm",)),
        *reports, *(cam_table(results, emotion) for emotion in by_figure()))


def sections(results: Results) -> tuple[dict[str, Any], ...]:
    """At a glance, first; and what the paper says that cannot be right, beside the footnotes."""
    shown = [model for model in (*STACKED, *IMAGES) if any(results.of(model, name) for name in PROTOCOLS)]
    first: tuple[dict[str, Any], ...] = ()
    if shown:
        first = ({"title": "At a glance", "first": True, "words": [finding(results, shown)],
                  "svg": glance(results, shown), "table": None},)
    return (*first, {"title": "What else in the paper cannot be right", "words": list(printed.ELSEWHERE), "svg": None,
                     "table": None})
