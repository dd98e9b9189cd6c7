"""Paper 1's own numbers (tables IV to VI), as printed: shown beside ours, never compared as equals.

Paper 1 does not say how it split its data. Accuracy is in per cent, precision, recall and F1 are in [0, 1], speeds in
samples a second. What cannot be right is printed as published and carries a mark that says why.
"""

from typing import TypedDict

F1_TOO_HIGH = "F1 above the mean of precision and recall, which cannot be for one set of predictions"
LAYERS_DIFFER = "the layers as printed have 20.2 M parameters at L = 2376"
IS_A_CELL = "equals the railway engine cell at 0.25; table V averages 93.48"


class Figures(TypedDict):
    """One row of table IV, or one cell of table V."""

    accuracy: float
    precision: float
    recall: float
    f1: float


class Ablation(TypedDict):
    """One row of table VI. Gaps to row D are the paper's 'drops', in points of accuracy; None for its dash."""

    parameters_millions: float
    clean_accuracy: float
    clean_f1: float
    clean_gap_to_d: float | None
    clean_samples_per_second: float
    noisy_accuracy: float
    noisy_f1: float
    noisy_gap_to_d: float | None
    noisy_samples_per_second: float


def _figures(accuracy: float, precision: float, recall: float, f1: float) -> Figures:
    return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}


TABLE_IV: dict[str, Figures] = {
    "tess": _figures(99.78, 0.9932, 0.9945, 0.9959),
    "crema_d": _figures(97.93, 0.9797, 0.9794, 0.9795),
    "ravdess": _figures(91.28, 0.9259, 0.9175, 0.9137),
    "savee": _figures(88.32, 0.8942, 0.8865, 0.8875),
}

TABLE_V: dict[str, Figures] = {
    "white@0.25": _figures(98.29, 0.9851, 0.9812, 0.9819),
    "white@0.50": _figures(95.67, 0.9543, 0.9523, 0.9532),
    "white@0.75": _figures(93.17, 0.9326, 0.9306, 0.9325),
    "pink@0.25": _figures(96.33, 0.9608, 0.9656, 0.9597),
    "pink@0.50": _figures(93.21, 0.9356, 0.9267, 0.9321),
    "pink@0.75": _figures(90.37, 0.9093, 0.8994, 0.9037),
    "brown@0.25": _figures(98.68, 0.9856, 0.9821, 0.9843),
    "brown@0.50": _figures(96.09, 0.9578, 0.9573, 0.9569),
    "brown@0.75": _figures(95.78, 0.9589, 0.9512, 0.9518),
    "railway_engine@0.25": _figures(97.28, 0.9721, 0.9716, 0.9716),
    "railway_engine@0.50": _figures(95.09, 0.9504, 0.9578, 0.9523),
    "railway_engine@0.75": _figures(93.85, 0.9401, 0.9317, 0.9392),
    "children@0.25": _figures(95.14, 0.9472, 0.9412, 0.9492),
    "children@0.50": _figures(90.92, 0.9031, 0.8929, 0.9047),
    "children@0.75": _figures(85.43, 0.8515, 0.8489, 0.8532),
    "fish_market@0.25": _figures(94.13, 0.9423, 0.9349, 0.9421),
    "fish_market@0.50": _figures(90.34, 0.8902, 0.9021, 0.8921),
    "fish_market@0.75": _figures(82.79, 0.8234, 0.8139, 0.8312),
}

# Table V prints each figure with a deviation: accuracy in per cent, precision, recall, F1.
TABLE_V_DEVIATIONS: dict[str, Figures] = {
    "white@0.25": _figures(0.075, 0.022, 0.032, 0.042),
    "white@0.50": _figures(0.092, 0.073, 0.043, 0.068),
    "white@0.75": _figures(0.105, 0.094, 0.074, 0.084),
    "pink@0.25": _figures(0.21, 0.05, 0.04, 0.04),
    "pink@0.50": _figures(0.30, 0.06, 0.05, 0.05),
    "pink@0.75": _figures(0.41, 0.08, 0.07, 0.07),
    "brown@0.25": _figures(0.12, 0.01, 0.02, 0.01),
    "brown@0.50": _figures(0.19, 0.02, 0.03, 0.02),
    "brown@0.75": _figures(0.25, 0.04, 0.03, 0.03),
    "railway_engine@0.25": _figures(0.31, 0.04, 0.03, 0.03),
    "railway_engine@0.50": _figures(0.45, 0.06, 0.05, 0.05),
    "railway_engine@0.75": _figures(0.52, 0.08, 0.07, 0.07),
    "children@0.25": _figures(0.35, 0.06, 0.05, 0.05),
    "children@0.50": _figures(0.61, 0.09, 0.08, 0.08),
    "children@0.75": _figures(0.88, 0.12, 0.11, 0.11),
    "fish_market@0.25": _figures(0.42, 0.06, 0.05, 0.05),
    "fish_market@0.50": _figures(0.65, 0.10, 0.09, 0.10),
    "fish_market@0.75": _figures(1.12, 0.15, 0.14, 0.14),
}


def _row(parameters: float, clean: tuple[float, float, float | None, float],
         noisy: tuple[float, float, float | None, float]) -> Ablation:
    return {"parameters_millions": parameters,
            "clean_accuracy": clean[0], "clean_f1": clean[1], "clean_gap_to_d": clean[2],
            "clean_samples_per_second": clean[3],
            "noisy_accuracy": noisy[0], "noisy_f1": noisy[1], "noisy_gap_to_d": noisy[2],
            "noisy_samples_per_second": noisy[3]}


TABLE_VI: dict[str, Ablation] = {
    "A": _row(11.9, (93.94, 0.9359, 4.97, 135.0), (91.73, 0.9184, 5.55, 137.0)),
    "B": _row(94.5, (89.25, 0.8864, 9.66, 80.0), (84.93, 0.8473, 12.35, 80.0)),
    "C": _row(114.6, (95.57, 0.9559, 3.34, 78.0), (94.73, 0.9462, 2.55, 78.0)),
    "D": _row(115.3, (98.91, 0.9769, None, 74.0), (97.28, 0.9705, None, 75.0)),
}


def f1_too_high(row: Figures) -> bool:
    """Whether F1 exceeds the mean of precision and recall, each a mean over the same classes.

    No class's F1, a harmonic mean, exceeds the mean of its precision and recall; so no mean over classes does.

    >>> sum(f1_too_high(row) for row in [*TABLE_IV.values(), *TABLE_V.values()])
    10
    """
    return row["f1"] > (row["precision"] + row["recall"]) / 2 + 1e-9


def impossible_figures() -> dict[str, dict[str, str]]:
    """{table: {row or row.figure: why it cannot be right}} for the numbers that are printed as published and marked.

    >>> impossible_figures()["IV"]
    {'tess': 'F1 above the mean of precision and recall, which cannot be for one set of predictions'}
    """
    return {
        "IV": {name: F1_TOO_HIGH for name, row in TABLE_IV.items() if f1_too_high(row)},
        "V": {name: F1_TOO_HIGH for name, row in TABLE_V.items() if f1_too_high(row)},
        "VI": {"A.parameters_millions": LAYERS_DIFFER, "D.noisy_accuracy": IS_A_CELL},
    }
