"""Table VI of paper 1: what each component of the fusion brings and what it costs; the other models below it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops.evaluation.published import TABLE_VI

_OURS = ("accuracy", "f1", "uar", "gap_to_d", "samples_per_second")
_UNITS = {"accuracy": "accuracy_percent", "gap_to_d": "gap_to_d_points"}
ABLATION_FIELDS: tuple[str, ...] = (
    "row", "model", "parameters_millions", *(f"clean_{name}" for name in _OURS), *(f"noisy_{name}" for name in _OURS),
    "clean_to_noisy_drop", "paper_parameters_millions",
    *(f"paper_{condition}_{_UNITS.get(name, name)}" for condition in ("clean", "noisy")
      for name in _OURS if name != "uar"))


def ablation_table(models: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows A to D with the paper's printed figures beside ours, then every other model, in the order of FIELDS.

    models: the models of metrics.json. A model that table VI does not have keeps its place among the others; its row
    and the paper's columns are empty. Ours are shares in [0, 1]; the paper's accuracy is in per cent, its gap in
    points. Noisy is the mean of the grid. gap_to_d is the distance to row D in accuracy, as in the paper, empty
    without a row D; clean_to_noisy_drop is clean accuracy less noisy accuracy of the same model.
    """
    best = next((figures for figures in models.values() if figures["row"] == "D"), None)
    rows = []
    for name, figures in sorted(models.items(), key=lambda item: (not item[1]["row"], item[1]["row"])):
        paper: Mapping[str, Any] = TABLE_VI.get(figures["row"], {})
        row: dict[str, Any] = {"row": figures["row"], "model": name,
                               "parameters_millions": figures["parameters_millions"]}
        for condition in ("clean", "noisy"):
            ours = figures[condition]
            row |= {f"{condition}_{score}": round(ours[score], 6) for score in ("accuracy", "f1", "uar")}
            row[f"{condition}_gap_to_d"] = None if best is None else \
                round(best[condition]["accuracy"] - ours["accuracy"], 6)
            row[f"{condition}_samples_per_second"] = figures["samples_per_second"][condition]
            row |= {f"paper_{condition}_{_UNITS.get(score, score)}": paper.get(f"{condition}_{score}")
                    for score in _OURS if score != "uar"}
        row["clean_to_noisy_drop"] = round(figures["clean"]["accuracy"] - figures["noisy"]["accuracy"], 6)
        row["paper_parameters_millions"] = paper.get("parameters_millions")
        rows.append({field: row[field] for field in ABLATION_FIELDS})
    return rows


def samples_per_second(answer: Any, waveforms: Sequence[np.ndarray], repeats: int = 3) -> float:
    """Utterances a second from waveform to probabilities, feature extraction included: the fastest of `repeats`.

    answer: a function of a list of waveforms, each float32 (n,). One thread, warm: the first call is not counted. The
    fastest, since whatever else runs on the machine can only make it slower.
    """
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        answer(waveforms)
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            answer(waveforms)
            taken.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return round(len(waveforms) / min(taken), 1)
