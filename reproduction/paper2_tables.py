"""Paper 2's tables 1 to 4, classification report and layers, ours beside the printed figures.

First what the paper prints, words and digits as it has them ("98%", "95.30%", "0.07643380"): what cannot be right is
printed all the same and carries a mark that says why. Then `Results`, what the page is made of, and the tables.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

from markupsafe import Markup

from reproduction.paper_page import Cell, Table, availability, how_to_get
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import bootstrap
from ser_ops.pages import CHANCE, diamond, dot, drawing, line, percent, rect, scale, text

REFERENCE = ("H.M.L.S. Kumari, H.M.N.S. Kumari and U.M.M.P.K. Nawarathne: Speech Emotion Recognition with Hybrid "
             "CNN-LSTM and Transformers Models: Evaluating the Hybrid Model Using Grad-CAM")
MODEL_NAMES: dict[str, str] = {"cnn": "CNN", "lstm": "LSTM", "cnn_lstm": "Hybrid of CNN and LSTM", "vit": "ViT",
                               "beit": "BEiT"}
PROTOCOLS: dict[str, str] = {"random": "random split, as the paper's", "word": "by word", "speaker": "by speaker"}


class Accuracy(TypedDict):
    """A row of table 1 or 3; table 3 names no layers."""

    layers: str | None
    learning_rate: str
    accuracy: str


class Quality(TypedDict):
    """A row of table 2 or 4."""

    precision: str
    recall: str
    f1: str


class ReportRow(NamedTuple):
    """A row of figure 3; None where nothing is printed."""

    precision: str | None
    recall: str | None
    f1: str | None
    support: int


class GradCam(NamedTuple):
    """The metric table of one of figures 7 to 13; None where it cannot be read. Ranges in seconds and in hertz."""

    figure: int
    confidence: str
    mean_activation: str | None
    max_activation: str
    activated_area_pct: str
    entropy: str
    time_focus_range: tuple[str, str]
    freq_focus_range: tuple[str, str]
    confidence_drop: str | None
    probabilities: tuple[str, ...]          # in the order of ser_ops.emotions, which is the paper's too


TABLE_1: dict[str, Accuracy] = {
    "cnn": {"layers": "Conv1D layer, max pooling layer, flatten layer, dropout layer, dense layer",
            "learning_rate": "0.001", "accuracy": "95.37%"},
    "lstm": {"layers": "LSTM layer, dropout layer, dense layer", "learning_rate": "0.001", "accuracy": "98.57%"},
    "cnn_lstm": {"layers": "Conv1D layer, max pooling layer, dropout layer, LSTM layer", "learning_rate": "0.001",
                 "accuracy": "99.01%"},
}
TABLE_2: dict[str, Quality] = {
    "cnn": {"precision": "95.30%", "recall": "95.30%", "f1": "95.37%"},
    "lstm": {"precision": "98.55%", "recall": "98.56%", "f1": "98.57%"},
    "cnn_lstm": {"precision": "99.30%", "recall": "99.29%", "f1": "99.29%"},
}
TABLE_3: dict[str, Accuracy] = {
    "vit": {"layers": None, "learning_rate": "0.0001", "accuracy": "98%"},
    "beit": {"layers": None, "learning_rate": "0.001", "accuracy": "98.3%"},
}
TABLE_4: dict[str, Quality] = {
    "vit": {"precision": "98.00%", "recall": "98.00%", "f1": "98.00%"},
    "beit": {"precision": "98.31%", "recall": "98.30%", "f1": "98.30%"},
}
# The paper numbers the classes 0 to 6; they stand here in the order of its probability lists in figures 7 to 13.
FIGURE_3: dict[str, ReportRow] = dict(zip(EMOTIONS, (
    ReportRow("1.00", "0.98", "0.99", 82), ReportRow("0.99", "1.00", "0.99", 80),
    ReportRow("0.99", "1.00", "0.99", 80), ReportRow("1.00", "0.99", "0.99", 80),
    ReportRow("0.99", "1.00", "0.99", 81), ReportRow("1.00", "0.99", "0.99", 80),
    ReportRow("0.99", "1.00", "0.99", 80)), strict=True)) | {
    "accuracy": ReportRow(None, None, "0.99", 563),
    "macro average": ReportRow("0.99", "0.99", "0.99", 563),
    "weighted average": ReportRow("0.9930", "0.9929", "0.9929", 563),
}
_WHOLE_RANGE = (("0.0", "2.97"), ("0.0", "7926.6"))
FIGURES_7_TO_13: dict[str, GradCam] = {
    "angry": GradCam(7, "77.49%", "0.07643380", "0.95776683", "1.74%", "8.311", ("0.22", "2.59"), ("367.0", "6899.1"),
                     "-0.54%", ("0.7749", "0.0581", "0.0383", "0.0150", "0.0417", "0.0208", "0.0511")),
    "fear": GradCam(8, "54.73%", "0.44908139", "0.98126942", "44.20%", "9.310", *_WHOLE_RANGE,
                    "19.66%", ("0.0625", "0.0671", "0.5473", "0.1223", "0.0554", "0.0178", "0.1277")),
    "disgust": GradCam(9, "52.23%", "0.00008228", "0.52723080", "0.01%", "1.018", ("1.05", "1.05"),
                       ("6091.7", "6091.7"), "0.00%",
                       ("0.0208", "0.5223", "0.0502", "0.1162", "0.0984", "0.0924", "0.0996")),
    "happy": GradCam(10, "71.81%", None, "0.93679237", "1.62%", "8.858", ("0.17", "2.72"), ("293.6", "7559.6"),
                     None, ("0.0179", "0.0326", "0.0432", "0.7181", "0.0663", "0.0266", "0.0953")),
    "sad": GradCam(11, "71.87%", "0.08298303", "0.91536552", "3.64%", "7.960", ("0.25", "2.37"), ("733.9", "6678.9"),
                   "3.09%", ("0.0119", "0.0536", "0.0152", "0.0407", "0.1308", "0.7187", "0.0291")),
    "surprise": GradCam(12, "79.13%", "0.41372573", "0.98044980", "51.18%", "9.080", *_WHOLE_RANGE,
                        "55.17%", ("0.0091", "0.0315", "0.0158", "0.0541", "0.0767", "0.0214", "0.7913")),
    "neutral": GradCam(13, "91.82%", "0.46167940", "0.93491471", "51.21%", "9.281", *_WHOLE_RANGE,
                       "74.96%", ("0.0064", "0.0086", "0.0047", "0.0113", "0.9182", "0.0213", "0.0296")),
}
AXIS_CELLS = 109        # of figures 7 to 13, in both directions, over 3 s and 8,000 Hz
SOURCES: dict[str, str] = {
    "table_1": "Table 1, section IV. Accuracy: equation (2).",
    "table_2": "Table 2, section IV. Precision, recall and F1: equations (3) to (5).",
    "table_3": "Table 3, section IV. Accuracy: equation (2).",
    "table_4": "Table 4, section IV. Precision, recall and F1: equations (3) to (5).",
    "figure_3": "Figure 3: the printed classification report, and the three weighted averages that stand under it.",
    "grad_cam": "The figure's own metric table, section IV.",
}
PRINTED_LAYERS: dict[str, str] = {
    "cnn": "Section III-C names, in this order: Conv1D 32 (kernel 3), max pooling 2, flatten, dense 128 with ReLU, "
           "dropout 0.2, dense 64 with dropout, Conv1D 32 (kernel 3).",
    "lstm": "Section III-C: LSTM 128 that returns sequences, LSTM 64, dense 64 with ReLU, dropout 0.3, dense output "
            "with softmax.",
    "cnn_lstm": "Section III-C names, in this order: Conv1D 64 (kernel 3) with ReLU, LSTM 128, max pooling 2, dropout "
                "0.2, dense output with softmax; table 1 puts the LSTM last, which alone can be built with 'return "
                "sequences false'.",
}
HYBRID = ("accuracy 99.01 against a weighted recall of 99.29 (table 2, figure 3): they are one number by definition; "
          "figure 3's class rows admit exactly 4 errors in 563, which is 99.29")
ABOVE_BOTH = ("F1 above both precision and recall, between which it must lie; it is table 1's accuracy, while the "
              "recall beside it differs from that")
TEST_FILES = ("563 test files, where a fifth of 2,800 is 560; with 400 recordings of each emotion a stratified fold "
              "holds 80 of each, not 82 or 81")
UNREADABLE = "not legible in the text of the paper that was at hand"
MACRO = "the row is damaged in the text that was at hand; the class rows give this"
TEXT_FEAR = "the text under figure 8 says 54.78%, the figure 54.73%"
TEXT_FEAR_AREA = "the text under figure 8 says 42.20%, the figure 44.20%; the text calls it a small region"
DROP = "negative: confidence rose; the text says that it decreased by 0.54% and takes that as a confirmation"
ONE_CELL = (f"one cell of the figure's {AXIS_CELLS} x {AXIS_CELLS}, where the other figures show 1.6 to 51 per cent")
AXES = (f"all printed ranges are multiples of 3 s / {AXIS_CELLS} and 8,000 Hz / {AXIS_CELLS}: a linear axis, where "
        "a mel axis is not, and none of the 128 bands and 128 frames that section III-C names")
VERY_HIGH = "the text calls the confidence of figures 8, 12 and 13 very high; figure 8's is the second lowest of seven"
MARKS: dict[str, dict[str, str]] = {
    "table_1": {"cnn_lstm.accuracy": HYBRID},
    "table_2": {"cnn.f1": ABOVE_BOTH, "lstm.f1": ABOVE_BOTH, "cnn_lstm.recall": HYBRID},
    "figure_3": {"angry.support": TEST_FILES, "neutral.support": TEST_FILES, "accuracy.support": TEST_FILES,
                 "macro average.support": TEST_FILES, "weighted average.support": TEST_FILES,
                 "macro average.precision": MACRO, "macro average.recall": MACRO, "macro average.f1": MACRO,
                 "weighted average.recall": HYBRID},
    "angry": {"confidence_drop": DROP, "freq_focus_range": AXES},
    "fear": {"confidence": f"{TEXT_FEAR}; {VERY_HIGH}", "activated_area_pct": TEXT_FEAR_AREA,
             "freq_focus_range": AXES},
    "disgust": {"activated_area_pct": ONE_CELL, "freq_focus_range": AXES},
    "happy": {"mean_activation": UNREADABLE, "confidence_drop": UNREADABLE, "freq_focus_range": AXES},
    **{emotion: {"freq_focus_range": AXES} for emotion in ("sad", "surprise", "neutral")},
}
ELSEWHERE: tuple[str, ...] = (
    "Section IV speaks of 28000 recordings, section III-A of 2,800, which TESS has.",
    "Equation (1) divides the frequency by 100; the mel scale that it means divides by 700, as ours does.",
    "The paper announces stratified 5-fold cross-validation, yet prints one figure without a deviation for each model "
    "and one classification report of 563 files; it does not say whether a figure is a mean over folds. TESS has two "
    "speakers: whichever way such folds fall, both are trained on and tested on.",
    "Table 2's row of the hybrid repeats the weighted averages under figure 3, so the paper's precision, recall and F1 "
    "are weighted averages there; of the other rows it does not say.",
)


def printed_number(printed: str) -> float:
    """A printed figure as a number, per cent as 0 to 100.

    >>> printed_number("98.3%"), printed_number("-0.54%"), printed_number("0.9929")
    (98.3, -0.54, 0.9929)
    """
    return float(printed.removesuffix("%"))


@dataclass(frozen=True)
class Scores:
    """Scores of a model under a protocol, in [0, 1]: accuracy, and macro averages of precision, recall and f1.

    Args:
        folds: number of folds.
        utterances: number of test utterances of all folds.
        speakers: number of speakers of those.
        mean: over folds.
        deviation: sample deviation over folds; None with a single fold.
        low: lower end of the bootstrap interval about the pooled figure; by speaker over speakers, and empty where
            these are too few; else over utterances.
        high: its upper end.
        lowest: accuracy of the worst fold.
        highest: of the best fold.
        pooled: over all test utterances at once.
        weighted: pooled {precision, recall, f1}, classes weighted by their size.
        per_class: pooled {emotion: {precision, recall, f1, support}}.
        confusion: pooled counts (7, 7), rows true, columns answered.
        tested: {speaker: {"accuracy", "recall"}} of each fold, where each tests one speaker alone; else empty.
    """

    model: str
    protocol: str
    folds: int
    utterances: int
    speakers: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None]
    low: Mapping[str, float]
    high: Mapping[str, float]
    lowest: float
    highest: float
    pooled: Mapping[str, float]
    weighted: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    confusion: Sequence[Sequence[int]]
    tested: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A layer of a built model: its settings, the shape of what it gives for one utterance, its parameters."""

    settings: str
    output: str
    parameters: int


@dataclass(frozen=True)
class Pictures:
    """What was drawn of a model; files below the page's folder.

    Args:
        confusion: the file of its confusion matrices.
        curves: "uar" and "loss" to a file.
        cams: what `explain.grad_cam_figures` says of each picture of Grad-CAM.
        protocol: whose fold 1 those are of.
        missing: why there are none.
    """

    confusion: str = ""
    curves: Mapping[str, str] = field(default_factory=dict)
    cams: Sequence[Mapping[str, Any]] = ()
    protocol: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Results:
    """All that the page is made of.

    Args:
        scores: by (model, protocol).
        groups: of runs.json, one for each model and protocol.
        provenance: of runs.json; its preset says where ViT and BEiT get a checkpoint.
        settings: {model: {"learning_rate", "epochs", ...}} as each model was trained.
        explained: the model that figures 3 to 13 show.
        layers: of each model on stacked features, in the order in which they answer.
        pictures: what was drawn of each trained model.
        small: models whose transformer is narrower or has fewer layers than in preset paper.
    """

    scores: Mapping[tuple[str, str], Scores]
    groups: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    explained: str
    layers: Mapping[str, Sequence[Layer]]
    pictures: Mapping[str, Pictures]
    small: Collection[str] = ()

    @property
    def trained(self) -> tuple[str, ...]:
        """Paper 2's models that there are scores of, in its order."""
        return tuple(name for name in MODEL_NAMES if any(self.of(name, protocol) for protocol in PROTOCOLS))

    def pictures_of(self, model: str) -> Pictures:
        """What was drawn of a model; nothing of one that was not trained."""
        return self.pictures.get(model, Pictures())

    def of(self, model: str, protocol: str) -> Scores | None:
        """Scores of a model under a protocol; None where it was not trained under it."""
        return self.scores.get((model, protocol))

    @property
    def admitted(self) -> tuple[str, ...]:
        """The protocols that the corpora admit, which have columns; by word needs a corpus of enough known words."""
        counts = self.provenance.get("counts") or {}
        return tuple(name for name in PROTOCOLS if counts.get(name) != 0)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those that there are figures of, the paper's first."""
        present = {protocol for _, protocol in self.scores}
        return tuple(name for name in PROTOCOLS if name in present)


_QUALITIES = {"precision": "Precision", "recall": "Recall", "f1": "F1-score"}


def accuracy_table(results: Results, key: str, title: str, models: Sequence[str],
                   paper: Mapping[str, Accuracy]) -> Table:
    """Table 1 or 3: a column of accuracy for each protocol."""
    marks, layered = MARKS.get(key, {}), any(row["layers"] for row in paper.values())
    rows = []
    for model in models:
        rate = results.settings.get(model, {}).get("learning_rate")
        row: list[Cell | str] = [MODEL_NAMES[model]]
        if layered:
            row.append(Cell(_layer_kinds(results.layers.get(model, ())), paper[model]["layers"]))
        row.append(Cell(None if rate is None else f"{rate:g}", paper[model]["learning_rate"]))
        row += [_score_cell(results.of(model, protocol), "accuracy", paper[model]["accuracy"],
                            marks.get(f"{model}.accuracy", "")) for protocol in results.admitted]
        rows.append(tuple(row))
    columns = ("Model", *(["Layers"] if layered else []), "Learning rate",
               *(f"Accuracy, {protocol_heading(name)}" for name in results.admitted))
    return Table(key, title, columns, tuple(rows), (*_notes(results, models), SOURCES[key]),
                 why_not_as_printed(results, models), results.protocols)


def quality_table(results: Results, key: str, title: str, models: Sequence[str],
                  paper: Mapping[str, Quality]) -> Table:
    """Table 2 or 4: columns of precision, recall and F1 for each protocol, macro averages."""
    marks = MARKS.get(key, {})
    rows: list[tuple[Cell | str, ...]] = []
    for model in models:
        claims: Mapping[str, Any] = paper[model]
        rows.append((MODEL_NAMES[model], *(
            _score_cell(results.of(model, protocol), name, claims[name], marks.get(f"{model}.{name}", ""))
            for protocol in results.admitted for name in _QUALITIES)))
    columns = ("Model", *(f"{name}, {protocol_heading(protocol)}" for protocol in results.admitted
                          for name in _QUALITIES.values()))
    note = ("Ours are macro averages: the mean over the classes, each counting the same. The paper's are weighted by "
            "class size where it says anything (figure 3); ours weighted stand in figure 3's table.")
    return Table(key, title, columns, tuple(rows), (*_notes(results, models), note, SOURCES[key]),
                 why_not_as_printed(results, models), results.protocols)


def protocol_heading(protocol: str) -> str:
    """A protocol above a column, in two words.

    >>> protocol_heading("random")
    'random split'
    """
    return PROTOCOLS[protocol].partition(",")[0]


def _score_cell(scores: Scores | None, name: str, paper: str, mark: str) -> Cell:
    if scores is None:
        return Cell(None, paper, "percent", mark=mark)
    low, high, deviation = (None if bound is None else 100 * bound for bound in (
        scores.low.get(name), scores.high.get(name), scores.deviation.get(name)))
    return Cell(100 * scores.mean[name], paper, "percent", low, high, deviation, mark)


def _layer_kinds(layers: Sequence[Layer]) -> str | None:
    """The kinds of layers in their order, without their settings."""
    kinds = [layer.settings.partition("(")[0] for layer in layers]
    return ", ".join(kinds) or None


def _notes(results: Results, models: Sequence[str]) -> list[str]:
    scored = [scores for model in models for protocol in PROTOCOLS if (scores := results.of(model, protocol))]
    if not scored:
        return []
    corpora = ", ".join(results.provenance.get("corpora") or ["corpora not named"])
    rates = ", ".join(f"{MODEL_NAMES[model]} {epochs}" for model in models
                      if (epochs := results.settings.get(model, {}).get("epochs")))
    share = results.provenance.get("confidence")
    utterances, speakers = (max(getattr(scores, name) for scores in scored) for name in ("utterances", "speakers"))
    over_speakers = any(scores.low for scores in scored if scores.protocol == "speaker")
    most = {protocol: max((scores.folds for scores in scored if scores.protocol == protocol), default=0)
            for protocol in PROTOCOLS}
    folds = ", ".join(f"{count} {protocol_heading(protocol)}" for protocol, count in most.items() if count)
    return [f"Ours, on {corpora}: mean ± sample deviation over folds ({folds}) of {utterances:,} utterances of "
            f"{speakers} speakers, each tested once under each protocol; in brackets the "
            f"{f'{percent(share)} ' if share else ''}bootstrap interval about the pooled figure, over "
            f"{'speakers where the split is by speaker, else over utterances' if over_speakers else 'utterances'}.",
            *_within_speakers(results, models, speakers),
            *([f"Epochs at most: {rates}; which one is tested is chosen on validation data, never on test."]
              if rates else [])]


def _within_speakers(results: Results, models: Sequence[str], speakers: int) -> list[str]:
    """What a few speakers admit, in words."""
    notes = []
    if "word" in results.protocols:
        notes.append("By word: the test words are new, their speakers are trained on: no figure for new people.")
    if "speaker" in results.protocols and speakers < bootstrap.LEAST_SPEAKERS:
        named = [f"{MODEL_NAMES[model]} {_by_name(scores.tested)}" for model in models
                 if (scores := results.of(model, "speaker")) and scores.tested]
        accuracies = f": accuracy of {'; '.join(named)}" if named else ""
        notes.append(f"By speaker: {speakers} speakers, each tested once by models that heard the other alone"
                     f"{accuracies}. Two people make no interval and say nothing of a third.")
    return notes


def _by_name(tested: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(f"{percent(scores['accuracy'], 1)} on {speaker}" for speaker, scores in tested.items())


def speakers_table(results: Results, models: Sequence[str]) -> Table | None:
    """Each fold by speaker under the name of the one speaker that it tests; None where folds test several."""
    rows: list[tuple[Cell | str, ...]] = []
    for model in models:
        tested = scores.tested if (scores := results.of(model, "speaker")) else {}
        rows += [(MODEL_NAMES[model], speaker, Cell(100 * figures["accuracy"], unit="percent"),
                  Cell(100 * figures["recall"], unit="percent"),
                  Cell(", ".join(other for other in tested if other != speaker)))
                 for speaker, figures in tested.items()]
    if not rows:
        return None
    note = ("By speaker each fold tests one speaker, whose voice its model has not heard. UAR: the mean recall of the "
            "classes. A figure of one person has no interval.")
    columns = ("Model", "Tested speaker", "Accuracy", "UAR", "Trained and validated on")
    return Table("tested_speakers", "Each tested speaker", columns, tuple(rows), (note,), "", ("speaker",))


def intervals_and_seeds(provenance: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the intervals are and where chance came from, as facts of the page.

    provenance: of runs.json, with "bootstrap_seed" and "partition_seed" as in params.yaml.
    """
    return (("What intervals are of", f"the figure pooled over folds (bootstrap seed {provenance['bootstrap_seed']}): "
             f"by speaker over speakers, none with fewer than {bootstrap.LEAST_SPEAKERS}; else over utterances"),
            ("Seed of the trainings", f"{provenance['seed']} (seed in reproduction/params.yaml), from which model, "
             "protocol and fold derive a seed for each training"),
            ("Seed of the folds", f"{provenance['partition_seed']} (partitions.seed in params.yaml)"))


def classification_report(results: Results, protocol: str) -> Table:
    """Figure 3 for one protocol: precision, recall, F1 and support of each class, pooled over folds."""
    scores, marks = results.of(results.explained, protocol), MARKS["figure_3"]
    rows: list[tuple[Cell | str, ...]] = []
    for name, row in FIGURE_3.items():
        ours = {} if scores is None else report_row(scores, name)
        rows.append((name, *(
            Cell(ours.get(column), getattr(row, column), "count" if column == "support" else "share",
                 mark=marks.get(f"{name}.{column}", "")) for column in ("precision", "recall", "f1", "support"))))
    notes = [] if scores is None else [
        other_corpus(results),
        f"Ours: all {scores.folds} folds pooled, each utterance once, as the test utterance of its fold."]
    notes += ["The paper numbers its classes 0 to 6; they are taken in the order of its probability lists. The row "
              "'accuracy' shows one figure under F1, as the paper does.", SOURCES["figure_3"]]
    return Table(f"figure_3_{protocol}",
                 f"Classification report of {name_in_sentence(results.explained)}, {PROTOCOLS[protocol]}",
                 ("Class", "Precision", "Recall", "F1-score", "Support"), tuple(rows), tuple(filter(None, notes)),
                 "" if scores else why_no_scores(results, results.explained, protocol), (protocol,))


def report_row(scores: Scores, name: str) -> Mapping[str, float | None]:
    """A row of a classification report, pooled over folds: of a class, "accuracy", or one of the two averages."""
    if name in scores.per_class:
        return scores.per_class[name]
    if name == "accuracy":
        return {"f1": scores.pooled["accuracy"], "support": scores.utterances}
    figures = scores.pooled if name == "macro average" else scores.weighted
    return {column: figures[column] for column in _QUALITIES} | {"support": scores.utterances}


def layer_table(results: Results, key: str, title: str, models: Sequence[str]) -> Table:
    """The layers of the built models, in place of a block diagram."""
    rows = tuple((MODEL_NAMES[model], Cell(layer.settings), Cell(layer.output), Cell(layer.parameters, unit="count"))
                 for model in models for layer in results.layers.get(model, ()))
    untrained = [model for model in models if not results.layers.get(model)]
    notes = ["The paper's block diagram is replaced by the layers of the model as it was built and trained; shapes are "
             "those for one utterance.", *(PRINTED_LAYERS[model] for model in models)]
    return Table(key, title, ("Model", "Layer", "Output", "Parameters"), rows, tuple(notes),
                 " ".join(why_no_model(results, model) for model in untrained))


_WITHOUT = {"random": "when utterances are dealt out at random, as in the paper",
            "word": "by word, where test words are new and voices known",
            "speaker": "for speakers who were not trained on"}


def finding(results: Results, models: Sequence[str]) -> str:
    """What a known voice is worth, in a sentence: means over the models that have every protocol shown."""
    shown = [name for name in results.protocols if any(results.of(model, name) for model in models)]
    complete = [model for model in models if all(results.of(model, name) for name in shown)]
    if not complete or "random" not in shown or "speaker" not in shown:
        return "Accuracy over folds; the paper's figures stand beside ours for orientation."
    accuracies = {name: [scores.mean["accuracy"] for model in complete if (scores := results.of(model, name))]
                  for name in shown}
    means = [f"{percent(_mean(values), 1)} {_WITHOUT[name]}" for name, values in accuracies.items()]
    gaps = [random - speaker for random, speaker in zip(accuracies["random"], accuracies["speaker"], strict=True)]
    count = f"{len(complete)} models" if len(complete) > 1 else "one model"
    return (f"Over {count} accuracy is on average {'; '.join(means)}. The random split alone is "
            f"worth {100 * _mean(gaps):+.1f} points ({100 * min(gaps):+.1f} to {100 * max(gaps):+.1f}).")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def glance(results: Results, models: Sequence[str]) -> Markup:
    """Accuracy of each model under each protocol with its interval, or its folds, and what the paper prints."""
    x, width, lane, top = scale(0, 1, 190, 930), 960, 15, 34
    row = lane * (len(results.protocols) + 1) + 8
    bottom = top + row * len(models)
    parts = [part for tick in (0, 0.25, 0.5, 0.75, 1) for part in (
        line(x(tick), top - 6, x(tick), bottom, "grid"),
        text(x(tick), bottom + 16, f"{100 * tick:g}", "middle", "tick"))]
    parts += [line(x(CHANCE), top - 6, x(CHANCE), bottom, "chance"),
              text(930, bottom + 34, "accuracy, per cent; dashed: chance of seven equal classes", "end", "tick")]
    for position, protocol in enumerate(results.protocols):
        parts += [_protocol_mark(protocol, 198 + 115 * position, 12),
                  text(208 + 115 * position, 16, protocol_heading(protocol), class_="tick")]
    end = 198 + 115 * len(results.protocols)
    parts += [diamond(end, 12, "claim", "paper"), text(end + 10, 16, "the paper, as printed", class_="tick")]
    for position, model in enumerate(models):
        y = top + row * position + lane
        parts.append(text(178, top + row * position + row / 2 + 4, MODEL_NAMES[model], "end", "label"))
        claim = (TABLE_1 | TABLE_3)[model]["accuracy"]
        parts.append(diamond(x(printed_number(claim) / 100), y, "claim", f"the paper: {claim}"))
        for protocol in results.protocols:
            y += lane
            if scores := results.of(model, protocol):
                mean, low, high = scores.mean["accuracy"], scores.low.get("accuracy"), scores.high.get("accuracy")
                what = "interval"
                if low is None or high is None:
                    what, low, high = "folds", scores.lowest, scores.highest
                span = _by_name(scores.tested) if what == "folds" and scores.tested else \
                    f"{what} {percent(low, 1)} to {percent(high, 1)}"
                title = f"{MODEL_NAMES[model]}, {PROTOCOLS[protocol]}: {percent(mean, 1)}, {span}"
                parts.append(rect(x(low), y - 3, x(high) - x(low), 6, f"{protocol} faint", 3))
                parts.append(_protocol_mark(protocol, x(mean), y, title))
    named = ", ".join(map(protocol_heading, results.protocols))
    return drawing(width, bottom + 42, f"Accuracy of each model ({named}) beside the paper's", parts)


def _protocol_mark(protocol: str, x: float, y: float, title: str = "") -> Markup:
    """A dot, an upright bar, a square: told apart without colour."""
    if protocol == "random":
        return dot(x, y, protocol, title, 5)
    width, height = (5, 12) if protocol == "word" else (10, 10)
    return rect(x - width / 2, y - height / 2, width, height, protocol, title=title)


def name_in_sentence(name: str) -> str:
    """A model's name within a sentence.

    >>> name_in_sentence("cnn_lstm"), name_in_sentence("vit")
    ('the hybrid of CNN and LSTM', 'ViT')
    """
    shown = MODEL_NAMES.get(name, name)
    return f"the {shown[0].lower()}{shown[1:]}" if shown.startswith("Hybrid") else shown


def other_corpus(results: Results) -> str:
    """Why ours are not the paper's corpus, in a few words; "" when they are TESS alone."""
    corpora = results.provenance.get("corpora") or []
    state = availability(results.provenance, "tess")
    if state == "here" and len(corpora) < 2:
        return ""
    named = ", ".join(corpora) or "no corpus"
    return f"Paper 2 used TESS alone; ours are from {named}{'' if state == 'here' else ', without TESS as published'}."


def why_not_as_printed(results: Results, models: Sequence[str]) -> str:
    """What keeps a table of scores from being the paper's, and how to get it."""
    reasons = [other_corpus(results)]
    state = availability(results.provenance, "tess")
    if state == "missing":
        reasons.append(how_to_get("tess") + ".")
    elif state == "synthetic":
        reasons.append("Only synthesised speech in TESS's layout is here. The corpus itself: "
                       + how_to_get("tess").partition(": ")[2] + ".")
    for model in models:
        absent = [protocol for protocol in results.admitted if not results.of(model, protocol)]
        if len(absent) == len(results.admitted):
            reasons.append(why_no_model(results, model))
        else:
            reasons += [why_no_scores(results, model, protocol) for protocol in absent]
    random_weights = {group["model"] for group in results.groups if str(group.get("backbone")).startswith("random")}
    random = [model for model in models if model in random_weights]
    if random:
        preset = results.provenance.get("preset") or "PRESET"
        names = " and ".join(MODEL_NAMES[model] for model in random)
        small = " and ".join(MODEL_NAMES[model] for model in random if model in results.small)
        size = f", {'' if small == names else f'{small} '}in a small configuration" if small else ""
        keys = " and ".join(f"{model}.checkpoint" for model in random)
        example = "" if preset == "paper" else " (preset paper names both)"
        reasons.append(f"{names} began from random weights{size}. For pretrained ones set {keys} in "
                       f"presets/{preset}.yaml to a hub name or a local folder{example}.")
    return " ".join(filter(None, reasons))


def why_no_model(results: Results, model: str) -> str:
    """Why a model has no figures, and how to give it some."""
    if reason := (results.provenance.get("lacking") or {}).get(model):
        return f"{MODEL_NAMES.get(model, model)} was not trained: {reason}."
    listed = "" if model in results.settings else f"name {model} under folds.models in reproduction/params.yaml and "
    return f"{MODEL_NAMES.get(model, model)} was not trained: {listed}run `ser-ops reproduce paper2`."


def why_no_scores(results: Results, model: str, protocol: str) -> str:
    """The same for one protocol."""
    if all(results.of(model, other) is None for other in PROTOCOLS):
        return why_no_model(results, model)
    return (f"{MODEL_NAMES.get(model, model)} was not trained under the protocol {protocol}: list {protocol} under "
            "folds.protocols in reproduction/params.yaml and run `ser-ops reproduce paper2`.")


def why_no_cam(results: Results, emotion: str) -> str:
    """Why there is no Grad-CAM of an emotion, and what to do."""
    if not any(results.of(results.explained, protocol) for protocol in PROTOCOLS):
        return why_no_model(results, results.explained)
    if missing := results.pictures_of(results.explained).missing:
        return f"{missing}: name another model under folds.explained in reproduction/params.yaml."
    return (f"No test utterance of fold 1 is {emotion}: bring in a corpus that holds this class "
            "(docs/reference/corpora.md lists what each holds).")
