"""across: models trained on one corpus or all but one, tested on each, clean and in noise, into reports/across.json."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.config import Params
from ser_ops.corpora import partitions
from ser_ops.corpora.table import read_csv
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import noise_grid, robustness
from ser_ops.evaluation.predictions import CLEAN, Predictions
from ser_ops.evaluation.summary import Summary
from ser_ops.files import write_json
from ser_ops.papers import across, page
from ser_ops.stages import run
from ser_ops.stages.reproduce.experiment import folder
from ser_ops.stages.reproduce.record import provenance
from ser_ops.stages.training_run import backbone_of
from ser_ops.tracking.runs import reopen

Rows = Sequence[Mapping[str, str]]


def main() -> None:
    """Every model answers the test part of every corpus, clean and in every cell of the noise grid."""
    params = config.load()
    work, settings = params.paths.work, params.evaluate
    trainings = read_json(folder(params) / "corpora" / "runs.json")["trainings"]
    manifest = read_csv(work / "validated" / "manifest.csv")
    parts = {name: test_part(params, manifest, name) for name in params.data.names}
    tested = sorted((row for rows in parts.values() for row in rows), key=lambda row: row["utterance"])
    truth = np.array([EMOTIONS.index(row["emotion"]) for row in tested])
    job = robustness.Job(tuple((one["folder"], folder(params) / "corpora" / one["folder"]) for one in trainings), work,
                         tuple(row["utterance"] for row in tested), params.compute.device, settings.batch_size,
                         params.augment.level, params.augment.silent_crop_dbfs)
    grid = noise_grid.grid(read_csv(work / "validated" / "noise.csv"), settings)
    found = robustness.predict(job, truth, [CLEAN, *grid], params.compute.workers)
    classes = {name: {row["emotion"] for row in manifest if row["corpus"] == name} for name in parts}
    ways = {name: partitions.plan([row for row in manifest if row["corpus"] == name])[name] for name in parts}
    models: dict[str, dict[str, Any]] = {}
    for one in trainings:
        known = {emotion for name in one["train_corpora"] for emotion in classes[name]}
        cells: list[dict[str, Any]] = [{"test": name, "seen": name in one["train_corpora"], "split": ways[name]}
                                       | _cell(params, found.of(one["folder"]), parts[name], known) for name in parts]
        row = {name: one[name] for name in ("train", "train_corpora", "run_id", "validation_uar")} | {
            "train_lacks": _absent(known), "cells": cells}
        models.setdefault(one["model"], {"model": one["model"], "backbone": backbone_of(params, one["model"]),
                                         "rows": []})["rows"].append(row)
        with reopen(params, folder(params) / "corpora" / one["folder"] / "run.json") as record:
            for cell in cells:
                record.metrics({f"on_{cell['test']}/{name}": cell[name.split("/")[0]]["uar"]
                                for name in ("clean/uar", "noisy/uar", "worst_cell/uar")})
    content = {"provenance": provenance(params, params.augment.variants, {"speaker": []})
               | {"seeds": list(settings.seeds)}, "corpora": list(parts), "models": list(models.values())}
    write_json(params.paths.reports / "across.json", content)
    page.build(across.page(content), params.paths.reports)
    print(f"across corpora: {len(trainings)} models on {len(parts)} corpora, {len(tested)} utterances under "
          f"{len(grid) + 1} conditions")


def test_part(params: Params, manifest: Rows, corpus: str) -> list[Mapping[str, str]]:
    """The test partition of one corpus divided by itself: what a model trained on it has not heard."""
    own = [row for row in manifest if row["corpus"] == corpus]
    places = partitions.assign(own, params.partitions.model_copy(update={"protocol": "speaker"}))
    return [row for row, place in zip(own, places, strict=True) if place == "test"]


def _absent(known: set[str]) -> list[str]:
    return [emotion for emotion in EMOTIONS if emotion not in known]


def _cell(params: Params, found: Predictions, rows: Rows, known: set[str]) -> dict[str, Any]:
    """Figures of one model on one corpus; those over the classes that both have where either lacks one."""
    speaker = {row["utterance"]: row["speaker"] for row in rows}
    places = [place for place, utterance in enumerate(found.utterances) if utterance in speaker]
    here = replace(found, utterances=tuple(found.utterances[place] for place in places), true=found.true[places],
                   probabilities=found.probabilities[:, :, places], snr=found.snr[:, places])
    summary = Summary(here, [speaker[one] for one in here.utterances], params.evaluate)
    own = summary.model(here.models[0])
    heard = {EMOTIONS[label] for label in here.true}
    common = [emotion for emotion in EMOTIONS if emotion in heard & known]
    return {"n": len(places), "speakers": len(set(speaker.values())), "test_lacks": _absent(heard), "common": common,
            "clean": own["clean"], "noisy": own["noisy"], "worst_cell": own["worst_cell"],
            "clean_common_uar": _common(here, common, [here.conditions.index(CLEAN)]),
            "noisy_common_uar": _common(here, common, here.places())}


def _common(found: Predictions, common: Sequence[str], conditions: Sequence[int]) -> float | None:
    """Mean recall over the classes that both the training and the test set have; None when they share none."""
    right = found.right[0, list(conditions)].mean(0)
    recalls = [float(right[found.true == EMOTIONS.index(emotion)].mean()) for emotion in common]
    return float(np.mean(recalls)) if recalls else None


if __name__ == "__main__":
    run(main)
