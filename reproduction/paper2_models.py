"""Every trained model of paper 2 under every protocol: report, confusion matrix, curves, and Grad-CAM in figures.

The paper shows them for its hybrid alone (figures 3 to 13); those of the other models stand folded away on the page.
"""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reproduction.paper2_figures import grad_cam_table
from reproduction.paper2_tables import (
    FIGURE_3,
    MODEL_NAMES,
    PROTOCOLS,
    Results,
    Scores,
    name_in_sentence,
    protocol_heading,
    report_row,
)
from reproduction.paper_page import format_figure
from ser_ops.emotions import EMOTIONS
from ser_ops.pages import tag

_COLUMNS = {"precision": "share", "recall": "share", "f1": "share", "support": "count"}
REPORT_COLUMNS = ("model", "protocol", "class", *_COLUMNS, *(f"answered_{emotion}" for emotion in EMOTIONS))


def model_sections(results: Results, folder: Path) -> tuple[dict[str, Any], ...]:
    """Sections of the page: the other models' reports and pictures, and Grad-CAM of all; none without a trained model.

    folder: of the page, below which the pictures lie.
    """
    if not results.trained:
        return ()
    sections: list[dict[str, Any]] = []
    if others := [model for model in results.trained if model != results.explained]:
        words = [f"Figures 3 to 6 show {name_in_sentence(results.explained)}; here the others stand as it does there: "
                 "all folds pooled, a line of the curves for each fold. Every figure and count: tables/reports.csv."]
        sections.append({"title": "Reports, confusion and curves of the other models", "words": words, "table": None,
                         "svg": Markup().join(_folded(results, model, folder) for model in others)})
    sections.append({"title": "Grad-CAM of every model", "words": [], "svg": None, "table": grad_cam_table(results)})
    return tuple(sections)


def report_rows(results: Results) -> Iterator[dict[str, Any]]:
    """Rows of tables/reports.csv: figures of each model, protocol and class, and how often each class was answered."""
    for (model, protocol), scores in results.scores.items():
        for name in FIGURE_3:
            counts = scores.confusion[EMOTIONS.index(name)] if name in EMOTIONS else [None] * len(EMOTIONS)
            answered = zip((f"answered_{emotion}" for emotion in EMOTIONS), counts, strict=True)
            figures = {key: value for key, value in report_row(scores, name).items() if key in _COLUMNS}
            yield {"model": model, "protocol": protocol, "class": name} | figures | dict(answered)


def _folded(results: Results, model: str, folder: Path) -> Markup:
    scores = {protocol: own for protocol in PROTOCOLS if (own := results.of(model, protocol))}
    pictures = results.pictures_of(model)
    files = {"confusion matrix": pictures.confusion, "accuracy curve": pictures.curves.get("uar"),
             "loss curve": pictures.curves.get("loss")}
    return tag("details", tag("summary", f"{MODEL_NAMES[model]}: {', '.join(map(protocol_heading, scores))}"),
               *(_picture(folder / file, f"{MODEL_NAMES[model]}: {what}") for what, file in files.items() if file),
               *(_report(own, f"{MODEL_NAMES[model]}, {PROTOCOLS[protocol]}") for protocol, own in scores.items()))


def _picture(path: Path, words: str) -> Markup:
    """A PNG inside the page, or a sentence where it is not there."""
    if not path.is_file():
        return tag("p", f"Not here: the picture {path.name} ({words}).", class_="gap")
    data = base64.b64encode(path.read_bytes()).decode()
    return tag("figure", Markup('<img src="data:image/png;base64,{}" alt="{}">').format(data, words))


def _report(scores: Scores, title: str) -> Markup:
    head = tag("tr", tag("th", "Class", scope="col"),
               *(tag("th", name.capitalize(), scope="col", class_="n") for name in _COLUMNS))
    rows = []
    for name in FIGURE_3:
        figures: Mapping[str, float | None] = report_row(scores, name)
        rows.append(tag("tr", tag("th", name, scope="row"), *(
            tag("td", format_figure(figures.get(column), unit), class_="n") for column, unit in _COLUMNS.items())))
    table = tag("table", tag("caption", f"Classification report: {title}"), tag("thead", head), tag("tbody", *rows),
                class_="plain")
    return tag("div", table, class_="scroll", tabindex=0, role="region", aria_label=f"Classification report: {title}")
