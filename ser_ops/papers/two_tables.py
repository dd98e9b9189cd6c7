"""Paper 2's tables 1 to 4, its classification report, and its layers, ours beside the printed ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.papers import published_two as printed
from ser_ops.papers.table import Cell, Table
from ser_ops.papers.two_results import (
    PROTOCOLS,
    Layer,
    Results,
    Scores,
    lacking,
    named,
    no_model,
    not_run,
    other_corpus,
)

_QUALITIES = {"precision": "Precision", "recall": "Recall", "f1": "F1-score"}


def accuracy_table(results: Results, key: str, title: str, models: Sequence[str],
                   paper: Mapping[str, printed.Accuracy]) -> Table:
    """Table 1 or 3: a column of accuracy for each protocol."""
    marks, layered = printed.MARKS.get(key, {}), any(row["layers"] for row in paper.values())
    rows = []
    for model in models:
        rate = results.settings.get(model, {}).get("learning_rate")
        row: list[Cell | str] = [printed.NAMES[model]]
        if layered:
            row.append(Cell(_kinds(results.layers.get(model, ())), paper[model]["layers"]))
        row.append(Cell(None if rate is None else f"{rate:g}", paper[model]["learning_rate"]))
        row += [_scored(results.of(model, protocol), "accuracy", paper[model]["accuracy"],
                        marks.get(f"{model}.accuracy", "")) for protocol in PROTOCOLS]
        rows.append(tuple(row))
    columns = ("Model", *(["Layers"] if layered else []), "Learning rate",
               *(f"Accuracy, {words.partition(',')[0]}" for words in PROTOCOLS.values()))
    return Table(key, title, columns, tuple(rows), (*_notes(results, models), printed.SOURCES[key]),
                 lacking(results, models), results.protocols)


def quality_table(results: Results, key: str, title: str, models: Sequence[str],
                  paper: Mapping[str, printed.Quality]) -> Table:
    """Table 2 or 4: columns of precision, recall and F1 for each protocol, macro averages."""
    marks = printed.MARKS.get(key, {})
    rows: list[tuple[Cell | str, ...]] = []
    for model in models:
        claims: Mapping[str, Any] = paper[model]
        rows.append((printed.NAMES[model], *(
            _scored(results.of(model, protocol), name, claims[name], marks.get(f"{model}.{name}", ""))
            for protocol in PROTOCOLS for name in _QUALITIES)))
    columns = ("Model", *(f"{name}, {words.partition(',')[0]}" for words in PROTOCOLS.values()
                          for name in _QUALITIES.values()))
    note = ("Ours are macro averages: the mean over the classes, each counting the same. The paper's are weighted by "
            "class size where it says anything (figure 3); ours weighted stand in figure 3's table.")
    return Table(key, title, columns, tuple(rows), (*_notes(results, models), note, printed.SOURCES[key]),
                 lacking(results, models), results.protocols)


def classification_report(results: Results, protocol: str) -> Table:
    """Figure 3 for one protocol: precision, recall, F1 and support of each class, pooled over folds."""
    scores, marks = results.of(results.explained, protocol), printed.MARKS["figure_3"]
    rows: list[tuple[Cell | str, ...]] = []
    for name, row in printed.FIGURE_3.items():
        ours = {} if scores is None else _report_row(scores, name)
        rows.append((name, *(
            Cell(ours.get(column), getattr(row, column), "count" if column == "support" else "share",
                 mark=marks.get(f"{name}.{column}", "")) for column in ("precision", "recall", "f1", "support"))))
    notes = [] if scores is None else [
        other_corpus(results),
        f"Ours: all {scores.folds} folds pooled, each utterance once, as the test utterance of its fold."]
    notes += ["The paper numbers its classes 0 to 6; they are taken in the order of its probability lists. The row "
              "'accuracy' shows one figure under F1, as the paper does.", printed.SOURCES["figure_3"]]
    return Table(f"figure_3_{protocol}", f"Classification report of {named(results.explained)}, {PROTOCOLS[protocol]}",
                 ("Class", "Precision", "Recall", "F1-score", "Support"), tuple(rows), tuple(filter(None, notes)),
                 "" if scores else not_run(results, results.explained, protocol), (protocol,))


def _report_row(scores: Scores, name: str) -> Mapping[str, float | None]:
    if name in scores.per_class:
        return scores.per_class[name]
    if name == "accuracy":
        return {"f1": scores.pooled["accuracy"], "support": scores.utterances}
    figures = scores.pooled if name == "macro average" else scores.weighted
    return {column: figures[column] for column in _QUALITIES} | {"support": scores.utterances}


def layer_table(results: Results, key: str, title: str, models: Sequence[str]) -> Table:
    """The layers of the built models, in place of a block diagram."""
    rows = tuple((printed.NAMES[model], Cell(layer.settings), Cell(layer.output), Cell(layer.parameters, unit="count"))
                 for model in models for layer in results.layers.get(model, ()))
    gone = [model for model in models if not results.layers.get(model)]
    notes = ["The paper's block diagram is replaced by the layers of the model as it was built and trained; shapes are "
             "those for one utterance.", *(printed.PRINTED_LAYERS[model] for model in models)]
    return Table(key, title, ("Model", "Layer", "Output", "Parameters"), rows, tuple(notes),
                 " ".join(no_model(model) for model in gone))


def _scored(scores: Scores | None, name: str, paper: str, mark: str) -> Cell:
    if scores is None:
        return Cell(None, paper, "percent", mark=mark)
    deviation = scores.deviation.get(name)
    return Cell(100 * scores.mean[name], paper, "percent", 100 * scores.low[name], 100 * scores.high[name],
                None if deviation is None else 100 * deviation, mark)


def _kinds(layers: Sequence[Layer]) -> str | None:
    """The kinds of layers in their order, without their settings."""
    kinds = [layer.settings.partition("(")[0] for layer in layers]
    return ", ".join(kinds) or None


def _notes(results: Results, models: Sequence[str]) -> list[str]:
    found = [one for model in models for protocol in PROTOCOLS if (one := results.of(model, protocol))]
    if not found:
        return []
    corpora = ", ".join(results.provenance.get("corpora") or ["corpora not named"])
    rates = ", ".join(f"{printed.NAMES[model]} {epochs}" for model in models
                      if (epochs := results.settings.get(model, {}).get("epochs")))
    share = results.provenance.get("confidence")
    return [f"Ours, on {corpora}: mean ± sample deviation over {max(one.folds for one in found)} folds of "
            f"{max(one.utterances for one in found):,} utterances of {max(one.speakers for one in found)} speakers, "
            f"each tested once; in brackets the {f'{share:.0%} ' if share else ''}bootstrap interval over the pooled "
            "test utterances, which is one about the pooled figure.",
            *([f"Epochs at most: {rates}; which one is tested is chosen on validation data, never on test."]
              if rates else [])]
