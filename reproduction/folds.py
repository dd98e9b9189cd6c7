"""Stage folds: paper 2's models in cross-validation, random as in the paper, by word, and by speaker.

With TESS alone the last is OAF against YAF and back. What the corpora do not admit is left out and said to be.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reproduction.experiment import (
    Experiment,
    copy_model_folder,
    provenance,
    train_all,
    trainable,
    training_settings,
    variant_names,
    work_folder,
)
from reproduction.settings import Settings, load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.corpora.partitions import fold_count
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.files import replacing, write_json
from ser_ops.manifest import validated_utterances
from ser_ops.stages import run
from ser_ops.stages.training_run import TrainingJob, backbone_origin, run_tags
from ser_ops.tables import read_csv, write_csv
from ser_ops.tracking.runs import Run
from ser_ops.training.history import EPOCH_COLUMNS

PREDICTION_COLUMNS = ("model", "protocol", "fold", "utterance", "corpus", "speaker", "emotion", "predicted",
                      *(f"p_{emotion}" for emotion in EMOTIONS))
HISTORY_COLUMNS = ("model", "protocol", "fold", *EPOCH_COLUMNS)
_RESULT_KEYS = ("run_id", "best_epoch", "validation_uar", "seconds", "train_rows", "validation_rows", "clean")


def counts(params: Params, settings: Settings) -> dict[str, int]:
    """The number of folds of each protocol of the settings, 0 for one that the corpora do not admit."""
    rows = [row for row in validated_utterances(params.paths.work) if row.corpus in params.data.names]
    return {protocol: fold_count(rows, protocol, settings.folds.count) for protocol in settings.folds.protocols}


def experiments(params: Params, settings: Settings) -> list[Experiment]:
    """A training for each model, protocol and fold."""
    folds, admitted = settings.folds, counts(params, settings)
    return [Experiment(_group_name(model, protocol, count), f"{model} {protocol} fold {fold}", model,
                       training_settings(params, settings.seed, folds.train | own, model, protocol, fold),
                       params.data.names, protocol, folds.variants, fold, count)
            for model, own in folds.models.items() for protocol, count in admitted.items()
            for fold in range(1, count + 1)]


def _group_name(model: str, protocol: str, count: int) -> str:
    return f"{model} {count} folds {protocol if protocol == 'random' else f'by {protocol}'}"


def main() -> None:
    """Train every fold, then write predictions.csv, history.csv, runs.json and the models of fold 1."""
    params, settings = load_params(), load_settings()
    trainings, lacking = trainable(params, experiments(params, settings))
    tags = {each.group: run_tags(params, TrainingJob(each.group, each.model, each.settings), "folds")
            | {"partition": each.protocol, "folds": str(each.folds)} for each in trainings}
    with train_all(params, "folds", trainings, tags) as (folders, runs):
        measured = [read_json(source / "result.json") for source in folders]
        with replacing(work_folder(params) / "folds") as target:
            target.mkdir()
            _write_tables(target, trainings, folders)
            for experiment, source in zip(trainings, folders, strict=True):
                if experiment.fold == 1:
                    copy_model_folder(source, target / "models" / experiment.model / experiment.protocol)
            groups = [_group_record(params, name, trainings, measured, runs[name]) for name in runs]
            declared = {experiment.protocol: result["declared"]
                        for experiment, result in zip(trainings, measured, strict=True)}
            heard = variant_names(params, settings.folds.variants)
            write_json(target / "runs.json", {
                "groups": groups, "provenance": provenance(params, settings.seed, heard, declared)
                | {"counts": counts(params, settings), "lacking": lacking}})
    for group in groups:
        print(f"{group['name']}: UAR {group['uar']:.3f} (deviation over folds {group['uar_std']:.3f}), accuracy "
              f"{group['accuracy']:.3f}")


def _write_tables(target: Path, trainings: Sequence[Experiment], folders: Sequence[Path]) -> None:
    predictions, history = [], []
    for experiment, source in zip(trainings, folders, strict=True):
        key = {"model": experiment.model, "protocol": experiment.protocol, "fold": str(experiment.fold)}
        predictions += [key | {name: row[name] for name in PREDICTION_COLUMNS if name in row}
                        for row in read_csv(source / "test.csv")]
        history += [key | row for row in read_csv(source / "history.csv")]
    write_csv(target / "predictions.csv", predictions, PREDICTION_COLUMNS)
    write_csv(target / "history.csv", history, HISTORY_COLUMNS)


def _group_record(params: Params, group: str, trainings: Sequence[Experiment], measured: Sequence[dict[str, Any]],
                  parent: Run) -> dict[str, Any]:
    """What runs.json says of a model's folds; their means and deviations go to the parent run."""
    members = [(experiment, result) for experiment, result in zip(trainings, measured, strict=True)
               if experiment.group == group]
    first, result = members[0]
    means: dict[str, float] = {}
    for name in ("uar", "accuracy", "f1", "precision", "recall"):
        values = np.array([result["clean"][name] for _, result in members])
        means |= {name: float(values.mean()), f"{name}_std": float(values.std(ddof=1)) if len(values) > 1 else 0.0}
    parent.metrics({f"clean/{name}": value for name, value in means.items()}
                   | {"parameters_millions": round(result["parameters"] / 1e6, 4)})
    return {"name": group, "model": first.model, "protocol": first.protocol, "run_id": parent.id,
            "parameters": result["parameters"], "backbone": backbone_origin(params, first.model),
            "seconds": round(sum(result["seconds"] for _, result in members), 1), **means,
            "folds": [{"fold": experiment.fold, "test_utterances": result["tested"]["utterances"],
                       "test_speakers": result["tested"]["speakers"]} | {name: result[name] for name in _RESULT_KEYS}
                      for experiment, result in members]}


if __name__ == "__main__":
    run(main)
