"""folds: paper 2's models in cross-validation, random as the paper does it and by speaker, into work/papers/folds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reproduction.experiment import Experiment, folder, keep, provenance, results, settings_of
from reproduction.settings import Settings, load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.files import replacing, write_json
from ser_ops.stages import run
from ser_ops.stages.training_run import Job, backbone_of, tags_of
from ser_ops.tables import read_csv, write_csv
from ser_ops.tracking.runs import Run

PREDICTIONS = ("model", "protocol", "fold", "utterance", "corpus", "speaker", "emotion", "predicted",
               *(f"p_{emotion}" for emotion in EMOTIONS))
HISTORY = ("model", "protocol", "fold", "epoch", "train_loss", "train_uar", "validation_loss", "validation_uar",
           "learning_rate", "seconds")
KEPT = ("run_id", "best_epoch", "validation_uar", "seconds", "train_rows", "validation_rows", "clean")


def experiments(params: Params, settings: Settings) -> list[Experiment]:
    """A training for each model, protocol and fold."""
    wanted = settings.folds
    return [Experiment(_group(model, protocol, wanted.count), f"{model} {protocol} fold {fold}", model,
                       settings_of(params, settings.seed, wanted.train | own, model, protocol, fold),
                       params.data.names, protocol, wanted.variants, fold, wanted.count)
            for model, own in wanted.models.items() for protocol in wanted.protocols
            for fold in range(1, wanted.count + 1)]


def _group(model: str, protocol: str, count: int) -> str:
    return f"{model} {count} folds {'by speaker' if protocol == 'speaker' else protocol}"


def main() -> None:
    """Train every fold; killed and started again, go on with those that are missing."""
    params, settings = load_params(), load_settings()
    wanted = experiments(params, settings)
    tags = {one.group: tags_of(params, Job(one.group, one.model, one.settings), "folds")
            | {"partition": one.protocol, "folds": str(settings.folds.count)} for one in wanted}
    with results(params, "folds", wanted, tags) as (folders, runs):
        found = [read_json(one / "result.json") for one in folders]
        with replacing(folder(params) / "folds") as target:
            target.mkdir()
            _tables(target, wanted, folders)
            for one, source in zip(wanted, folders, strict=True):
                if one.fold == 1:
                    keep(source, target / "models" / one.model / one.protocol)
            groups = [_record(params, name, wanted, found, runs[name]) for name in runs]
            declared = {one.protocol: result["declared"] for one, result in zip(wanted, found, strict=True)}
            write_json(target / "runs.json", {
                "groups": groups,
                "provenance": provenance(params, settings.seed, settings.folds.variants, declared)
                | {"count": settings.folds.count}})
    for group in groups:
        print(f"{group['name']}: UAR {group['uar']:.3f} (deviation over folds {group['uar_std']:.3f}), accuracy "
              f"{group['accuracy']:.3f}")


def _tables(target: Path, wanted: Sequence[Experiment], folders: Sequence[Path]) -> None:
    predictions, history = [], []
    for one, source in zip(wanted, folders, strict=True):
        place = {"model": one.model, "protocol": one.protocol, "fold": str(one.fold)}
        predictions += [place | {name: row[name] for name in PREDICTIONS if name in row}
                        for row in read_csv(source / "test.csv")]
        history += [place | row for row in read_csv(source / "history.csv")]
    write_csv(target / "predictions.csv", predictions, PREDICTIONS)
    write_csv(target / "history.csv", history, HISTORY)


def _record(params: Params, group: str, wanted: Sequence[Experiment], found: Sequence[dict[str, Any]],
            parent: Run) -> dict[str, Any]:
    """What runs.json says of a model's folds; their means and deviations go to the parent run."""
    members = [(one, result) for one, result in zip(wanted, found, strict=True) if one.group == group]
    first, result = members[0]
    means: dict[str, float] = {}
    for name in ("uar", "accuracy", "f1", "precision", "recall"):
        values = np.array([each["clean"][name] for _, each in members])
        means |= {name: float(values.mean()), f"{name}_std": float(values.std(ddof=1)) if len(values) > 1 else 0.0}
    parent.metrics({f"clean/{name}": value for name, value in means.items()}
                   | {"parameters_millions": round(result["parameters"] / 1e6, 4)})
    return {"name": group, "model": first.model, "protocol": first.protocol, "run_id": parent.id,
            "parameters": result["parameters"], "backbone": backbone_of(params, first.model),
            "seconds": round(sum(each["seconds"] for _, each in members), 1), **means,
            "folds": [{"fold": one.fold, "test_utterances": each["tested"]["utterances"],
                       "test_speakers": each["tested"]["speakers"]} | {name: each[name] for name in KEPT}
                      for one, each in members]}


if __name__ == "__main__":
    run(main)
