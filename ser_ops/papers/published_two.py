"""Paper 2's own numbers, as printed: shown beside ours, never compared as equals.

Words and digits stand as the paper has them ("98%", "95.30%", "0.07643380"). What cannot be right is printed all the
same and carries a mark that says why. `value` reads a printed figure as a number.
"""

from typing import NamedTuple, TypedDict

from ser_ops.emotions import EMOTIONS

REFERENCE = ("H.M.L.S. Kumari, H.M.N.S. Kumari and U.M.M.P.K. Nawarathne: Speech Emotion Recognition with Hybrid "
             "CNN-LSTM and Transformers Models: Evaluating the Hybrid Model Using Grad-CAM")
NAMES: dict[str, str] = {"cnn": "CNN", "lstm": "LSTM", "cnn_lstm": "Hybrid of CNN and LSTM", "vit": "ViT",
                         "beit": "BEiT"}


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
_EVERY = (("0.0", "2.97"), ("0.0", "7926.6"))
FIGURES_7_TO_13: dict[str, GradCam] = {
    "angry": GradCam(7, "77.49%", "0.07643380", "0.95776683", "1.74%", "8.311", ("0.22", "2.59"), ("367.0", "6899.1"),
                     "-0.54%", ("0.7749", "0.0581", "0.0383", "0.0150", "0.0417", "0.0208", "0.0511")),
    "fear": GradCam(8, "54.73%", "0.44908139", "0.98126942", "44.20%", "9.310", *_EVERY,
                    "19.66%", ("0.0625", "0.0671", "0.5473", "0.1223", "0.0554", "0.0178", "0.1277")),
    "disgust": GradCam(9, "52.23%", "0.00008228", "0.52723080", "0.01%", "1.018", ("1.05", "1.05"),
                       ("6091.7", "6091.7"), "0.00%",
                       ("0.0208", "0.5223", "0.0502", "0.1162", "0.0984", "0.0924", "0.0996")),
    "happy": GradCam(10, "71.81%", None, "0.93679237", "1.62%", "8.858", ("0.17", "2.72"), ("293.6", "7559.6"),
                     None, ("0.0179", "0.0326", "0.0432", "0.7181", "0.0663", "0.0266", "0.0953")),
    "sad": GradCam(11, "71.87%", "0.08298303", "0.91536552", "3.64%", "7.960", ("0.25", "2.37"), ("733.9", "6678.9"),
                   "3.09%", ("0.0119", "0.0536", "0.0152", "0.0407", "0.1308", "0.7187", "0.0291")),
    "surprise": GradCam(12, "79.13%", "0.41372573", "0.98044980", "51.18%", "9.080", *_EVERY,
                        "55.17%", ("0.0091", "0.0315", "0.0158", "0.0541", "0.0767", "0.0214", "0.7913")),
    "neutral": GradCam(13, "91.82%", "0.46167940", "0.93491471", "51.21%", "9.281", *_EVERY,
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


def value(printed: str) -> float:
    """A printed figure as a number, per cent as 0 to 100.

    >>> value("98.3%"), value("-0.54%"), value("0.9929")
    (98.3, -0.54, 0.9929)
    """
    return float(printed.removesuffix("%"))
