"""The content of reports/metrics.json, and a model's figures under the names that MLflow shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ser_ops.evaluation.summary import Summary, streams


@dataclass(frozen=True)
class Evaluated:
    """What a trained model is, beside its answers: row of table VI ('' for a model that is not in it), streams, size
    and speed (utterances a second)."""

    row: str
    streams: tuple[str, ...]
    parameters_millions: float
    clean_per_second: float
    noisy_per_second: float


def metrics_of(summary: Summary, main: str, models: Mapping[str, Evaluated], shuffled: list[str],
               provenance: Mapping[str, Any]) -> dict[str, Any]:
    """metrics.json: provenance, models, shuffled, streams.

    models: those with true labels, the main one first; shuffled: names of those that learned from shuffled labels.
    A stream of the main model is judged by the model that has it alone.
    """
    chance = summary.shuffled(shuffled)
    alone = {one.streams[0]: name for name, one in models.items() if len(one.streams) == 1}
    wanted = models[main].streams if len(models[main].streams) > 1 else ()
    return {
        "provenance": dict(provenance),
        "models": {name: {"row": one.row, "streams": list(one.streams), **summary.model(name),
                          "samples_per_second": {"clean": one.clean_per_second, "noisy": one.noisy_per_second},
                          "parameters_millions": one.parameters_millions}
                   for name, one in models.items()},
        "shuffled": chance,
        "streams": streams(summary, wanted, alone, chance)}


def run_metrics(own: Mapping[str, Any]) -> dict[str, float]:
    """One model of metrics.json under the names that are the same for every model in MLflow.

    >>> run_metrics({"clean": {"uar": 0.5}, "cells": {"white@0.25": {"uar": 0.4, "f1": 0.3}}})
    {'clean/uar': 0.5, 'noisy/white@0.25/uar': 0.4}
    """
    found = {f"{condition}/{score}": value for condition in ("clean", "noisy")
             for score, value in own.get(condition, {}).items()}
    found |= {f"noisy/{cell}/{score}": one[score] for cell, one in own.get("cells", {}).items()
              for score in ("uar", "accuracy") if score in one}
    for name, part, score in (("worst_cell/uar", "worst_cell", "uar"), ("drop/uar", "drop", "uar"),
                              ("drop/mean_uar", "drop", "mean_uar"),
                              ("samples_per_second", "samples_per_second", "clean"),
                              ("samples_per_second_noisy", "samples_per_second", "noisy")):
        if part in own:
            found[name] = own[part][score]
    return found | {name: own[name] for name in ("calibration_error", "parameters_millions") if name in own}
