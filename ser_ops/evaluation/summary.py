"""From predictions to figures: reports/metrics.json, the rows of reports/robustness.csv, and MLflow's metrics."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ser_ops.config.evaluation import Evaluate
from ser_ops.evaluation import bootstrap, metrics
from ser_ops.evaluation.predictions import CLEAN, TRANSMISSIONS, Predictions

SNR_BIN_DB = 5
ROBUSTNESS_FIELDS: tuple[str, ...] = ("model", "noise", "intensity", "seed", *metrics.SCORES, "snr_db")


class Summary:
    """Figures of the models in `predictions`, with intervals from one set of resamples.

    heard: speakers that training heard. Where it heard none of the test's, intervals are over speakers
    (`ser_ops.evaluation.bootstrap.resample_unseen`). All figures are in [0, 1], SNR in dB.
    """

    def __init__(self, predictions: Predictions, settings: Evaluate, heard: Collection[str] = ()) -> None:
        self.predictions, self.settings = predictions, settings
        true, number, seed = predictions.true, settings.resamples, settings.bootstrap_seed
        self.utterances = bootstrap.resample_utterances(true, number, seed)
        self.unseen = bootstrap.resample_unseen(true, predictions.speakers, number, seed, heard)
        self._right = predictions.right.astype(np.float64)
        self._counts = np.array([[metrics.confusion_matrix(true, answers) for answers in answers_of_model]
                                 for answers_of_model in predictions.predicted])
        self._scores = metrics.scores_from_counts(self._counts)
        self._resampled: dict[tuple[int, int], dict[str, np.ndarray]] = {}

    def _clean_index(self, model: str) -> tuple[int, int]:
        return self.predictions.models.index(model), self.predictions.conditions.index(CLEAN)

    def _noisy_indices(self, model: str) -> tuple[int, list[int]]:
        return self.predictions.models.index(model), self.predictions.noisy_indices()

    def _intervals(self, m: int, conditions: list[int]) -> dict[str, float]:
        """An interval for each score, of its mean over conditions."""
        drawn = [self._drawn(m, c) for c in conditions]
        return {end: value for name in metrics.SCORES
                for end, value in self._bounds(np.mean([scores[name] for scores in drawn], axis=0), name).items()}

    def _over_utterances(self, m: int, conditions: list[int]) -> dict[str, float]:
        """That of UAR over utterances (uar_*_utterances), whatever the others are over."""
        bounds = self._bounds(self.utterances.uar(self._right[m, conditions].mean(0)), "uar")
        return {f"{name}_utterances": value for name, value in bounds.items()}

    def _drawn(self, m: int, c: int) -> dict[str, np.ndarray]:
        """Every score of one condition in each resample; kept, since means over a grid take each again."""
        if (m, c) not in self._resampled:
            self._resampled[m, c] = self.unseen.scores(
                bootstrap.answer_cells(self.predictions.true, self.predictions.predicted[m, c]))
        return self._resampled[m, c]

    def _bounds(self, figures: np.ndarray, name: str) -> dict[str, float]:
        low, high = bootstrap.percentile_interval(figures, self.settings.confidence)
        return {f"{name}_low": low, f"{name}_high": high}

    def intervals(self) -> dict[str, str]:
        """What intervals are over, speakers or utterances; `instead` says why not over speakers, '' where they are."""
        return {"over": self.unseen.unit, "instead": self.unseen.instead}

    def clean(self, model: str) -> dict[str, float]:
        """Scores on clean speech with their intervals."""
        m, c = self._clean_index(model)
        return {**{name: float(self._scores[name][m, c]) for name in metrics.SCORES},
                **self._intervals(m, [c]), **self._over_utterances(m, [c])}

    def cells(self, model: str) -> dict[str, dict[str, Any]]:
        """Each cell of the grid: mean and sample deviation over seeds, intervals, mean SNR in dB."""
        m = self.predictions.models.index(model)
        cells = {}
        for cell in self.predictions.cells:
            seeds = self.predictions.noisy_indices(cell)
            cells[cell] = self._cell(m, seeds) | {"snr_db": _mean(self.predictions.snr[seeds])}
        return cells

    def _cell(self, m: int, seeds: list[int]) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for name in metrics.SCORES:
            values = self._scores[name][m, seeds]
            figures[name] = float(values.mean())
            figures[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return figures | self._intervals(m, seeds)

    def noisy(self, model: str) -> dict[str, float]:
        """Mean of the grid (docs/explanation/protocol.md, 7: what table VI's 'noisy' is here), with its intervals."""
        return self._mean_over(*self._noisy_indices(model))

    def _mean_over(self, m: int, conditions: list[int]) -> dict[str, float]:
        return {**{name: float(self._scores[name][m, conditions].mean()) for name in metrics.SCORES},
                **self._intervals(m, conditions), **self._over_utterances(m, conditions)}

    def transmission(self, model: str) -> dict[str, Any]:
        """Clean speech over telephone lines and in rooms; empty where none was evaluated.

        cells: each line and room; telephone, rooms: means over those of a kind that were evaluated; mean: over all.
        """
        m, every = self.predictions.models.index(model), self.predictions.transmitted_indices()
        if not every:
            return {}
        kinds = {kind: self.predictions.transmitted_indices(kind) for kind in TRANSMISSIONS}
        return {"mean": self._mean_over(m, every),
                **{kind: self._mean_over(m, indices) for kind, indices in kinds.items() if indices},
                "cells": {self.predictions.conditions[index].cell: self._cell(m, [index]) for index in every}}

    def by_snr(self, model: str) -> list[dict[str, float]]:
        """The noisy answers by the SNR that each mixture had, in fixed bins of 5 dB: [low_db, high_db).

        Intervals draw speakers, or utterances, with all mixtures that they have in the bin.
        """
        m, noisy = self._noisy_indices(model)
        snr = self.predictions.snr[noisy].ravel()
        known = np.isfinite(snr)
        utterance = np.tile(np.arange(len(self.predictions.true)), len(noisy))[known]
        true, predicted = self.predictions.true[utterance], self.predictions.predicted[m, noisy].ravel()[known]
        bins = np.floor(snr[known] / SNR_BIN_DB).astype(int)
        rows = []
        for low in np.unique(bins):
            chosen = bins == low
            figures = metrics.scores(true[chosen], predicted[chosen])
            answers = np.zeros((len(self.predictions.true), metrics.CLASSES**2))
            np.add.at(answers, (utterance[chosen], true[chosen] * metrics.CLASSES + predicted[chosen]), 1)
            drawn = self.unseen.scores(answers)
            rows.append({"low_db": int(low) * SNR_BIN_DB, "high_db": int(low + 1) * SNR_BIN_DB,
                         "n": int(chosen.sum()), **{name: value for score in ("uar", "accuracy") for name, value in
                         ({score: figures[score]} | self._bounds(drawn[score][np.isfinite(drawn[score])],
                                                                                 score)).items()}})
        return rows

    def model(self, model: str) -> dict[str, Any]:
        """All figures of one model in the form of metrics.json; without a grid, those of clean speech alone.

        worst_cell: the cell of the grid of lowest UAR; drop: clean UAR less that of the worst cell (`uar`) and less the
        mean of the grid (`mean_uar`). transmission stands beside the grid, and is no part of these.
        """
        m, c = self._clean_index(model)
        counts = self._counts[m, c]
        clean = self.clean(model)
        figures: dict[str, Any] = {"clean": clean}
        cells = self.cells(model)
        if cells:
            noisy = self.noisy(model)
            worst = min(cells, key=lambda cell: cells[cell]["uar"])
            figures |= {"noisy": noisy, "cells": cells,
                        "worst_cell": {"cell": worst, "uar": cells[worst]["uar"]},
                        "drop": {"uar": clean["uar"] - cells[worst]["uar"],
                                 "mean_uar": clean["uar"] - noisy["uar"]},
                        "by_snr": self.by_snr(model)}
        if transmission := self.transmission(model):
            figures["transmission"] = transmission
        return figures | {"confusion": counts.tolist(), "per_class": metrics.per_class(counts),
                          "calibration_error": metrics.calibration_error(
                              self.predictions.true, self.predictions.probabilities[m, c])}

    def shuffled(self, models: Sequence[str]) -> dict[str, Any]:
        """What chance looks like here: upper bounds over all models that learned from shuffled labels.

        uar_high: the highest upper bound on clean speech; worst_cell_uar_high: the highest in any cell of the grid;
        cells: the highest in each. Without such a model the figures are null.
        """
        if not models:
            return {"models": 0, "uar": None, "uar_high": None, "worst_cell_uar_high": None, "cells": {}}
        clean = [self.clean(model) for model in models]
        grids = [self.cells(model) for model in models]
        cells = {cell: max(grid[cell]["uar_high"] for grid in grids) for cell in self.predictions.cells}
        return {"models": len(models), "uar": float(np.mean([figures["uar"] for figures in clean])),
                "uar_high": max(figures["uar_high"] for figures in clean),
                "worst_cell_uar_high": max(cells.values(), default=None), "cells": cells}

    def table(self, models: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of robustness.csv: one for each model, noise, intensity and seed; SNR is the mean.

        Behind the grid of a model: its telephone lines and rooms, by name in place of a noise, with intensity 0.
        """
        rows = []
        for model in models:
            m, noisy = self._noisy_indices(model)
            for c in [*noisy, *self.predictions.transmitted_indices()]:
                condition = self.predictions.conditions[c]
                rows.append({"model": model, "noise": condition.noise, "intensity": condition.intensity,
                             "seed": condition.seed,
                             **{name: round(float(self._scores[name][m, c]), 6) for name in metrics.SCORES},
                             "snr_db": _mean(self.predictions.snr[c])})
        return rows


def _mean(snr: np.ndarray) -> float | None:
    """Mean of the finite values; None when there are none."""
    known = snr[np.isfinite(snr)]
    return round(float(known.mean()), 3) if known.size else None


def compare_streams(summary: Summary, wanted: Sequence[str], alone: Mapping[str, str],
            shuffled: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Whether each stream of the fusion does something by itself.

    alone: {stream: model that has this stream only}. A stream beats the shuffled models when the lower bound of its
    clean UAR lies above their upper bound; null when there is no such model to ask.
    """
    report: dict[str, dict[str, Any]] = {}
    for stream in wanted:
        model = alone.get(stream)
        figures = summary.clean(model) if model else {}
        bound, low = shuffled["uar_high"], figures.get("uar_low")
        report[stream] = {"model": model, "uar": figures.get("uar"), "uar_low": low, "shuffled_uar_high": bound,
                          "beats_shuffled": None if low is None or bound is None else bool(low > bound)}
    return report


@dataclass(frozen=True)
class ModelFacts:
    """What a trained model is, beside its answers.

    row: of table VI of paper 1, '' for a model that is not in it; *_per_second: utterances a second.
    """

    row: str
    streams: tuple[str, ...]
    parameters_millions: float
    clean_per_second: float
    noisy_per_second: float


def metrics_of(summary: Summary, main: str, models: Mapping[str, ModelFacts], shuffled: list[str],
               provenance: Mapping[str, Any]) -> dict[str, Any]:
    """metrics.json: provenance, models, shuffled, streams.

    models: those with true labels, the main one first; shuffled: names of those that learned from shuffled labels.
    A stream of the main model is judged by the model that has it alone.
    """
    chance = summary.shuffled(shuffled)
    alone = {model.streams[0]: name for name, model in models.items() if len(model.streams) == 1}
    wanted = models[main].streams if len(models[main].streams) > 1 else ()
    return {
        "provenance": {**provenance, "intervals": summary.intervals()},
        "models": {name: {"row": model.row, "streams": list(model.streams), **summary.model(name),
                          "samples_per_second": {"clean": model.clean_per_second, "noisy": model.noisy_per_second},
                          "parameters_millions": model.parameters_millions}
                   for name, model in models.items()},
        "shuffled": chance,
        "streams": compare_streams(summary, wanted, alone, chance)}


def run_metrics(own: Mapping[str, Any]) -> dict[str, float]:
    """One model of metrics.json under the names that are the same for every model in MLflow.

    >>> run_metrics({"clean": {"uar": 0.5}, "cells": {"white@0.25": {"uar": 0.4, "f1": 0.3}}})
    {'clean/uar': 0.5, 'noisy/white@0.25/uar': 0.4}
    """
    values = {f"{condition}/{score}": value for condition in ("clean", "noisy")
              for score, value in own.get(condition, {}).items()}
    transmission = own.get("transmission", {})
    values |= {f"{kind}/{score}": value for kind in TRANSMISSIONS
               for score, value in transmission.get(kind, {}).items()}
    values |= {f"{kind}/{cell}/{score}": figures[score]
               for kind, cells in (("noisy", own.get("cells", {})), ("transmission", transmission.get("cells", {})))
               for cell, figures in cells.items() for score in ("uar", "accuracy") if score in figures}
    values |= {f"voices/after_{known['clips']}/{score}": known[score]
               for known in own.get("voices", {}).get("after", []) for score in ("uar", "over_first")}
    for name, part, score in (("worst_cell/uar", "worst_cell", "uar"), ("drop/uar", "drop", "uar"),
                              ("drop/mean_uar", "drop", "mean_uar"),
                              ("samples_per_second", "samples_per_second", "clean"),
                              ("samples_per_second_noisy", "samples_per_second", "noisy")):
        if part in own:
            values[name] = own[part][score]
    return values | {name: own[name] for name in ("calibration_error", "parameters_millions") if name in own}
