"""paper2: the folds' answers in, paper 2's tables and figures beside ours out: reports/paper2/."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops import config
from ser_ops.audio.window import fit
from ser_ops.config import Params, input_of
from ser_ops.corpora.table import read_csv
from ser_ops.dataset.examples import Examples, Stores
from ser_ops.dataset.rows import Row
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import bootstrap, metrics
from ser_ops.explain.grad_cam_clip import grad_cam_figures
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import shape_of
from ser_ops.files import replacing, write_json
from ser_ops.model_table import MODELS
from ser_ops.models.model_folder import load
from ser_ops.papers import two
from ser_ops.papers.page import build
from ser_ops.papers.two_figures import confusion_matrices, curves
from ser_ops.papers.two_layers import layers_of
from ser_ops.seeds import derive
from ser_ops.stages import run
from ser_ops.stages.reproduce.experiment import folder
from ser_ops.tracking.runs import reopen
from ser_ops.tracking.server import connect

Rows = Sequence[Mapping[str, str]]
NAMES = ("accuracy", "precision", "recall", "f1")


def main() -> None:
    """Write reports/paper2, whole or not at all, and attach it to the explained model's run."""
    params = config.load()
    connect(params)  # a server that is down is better known before the work than after it
    folds = folder(params) / "folds"
    record = read_json(folds / "runs.json")
    predictions, history = read_csv(folds / "predictions.csv"), read_csv(folds / "history.csv")
    scores = {place: scored(params, place, rows) for place, rows in grouped(predictions).items()}
    with replacing(params.paths.reports / "paper2") as target:
        target.mkdir()
        pictures = _pictures(params, scores, predictions, history, target)
        basis = record["provenance"] | {"resamples": params.evaluate.resamples,
                                        "confidence": params.evaluate.confidence}
        results = two.Results(scores, record["groups"], basis, settings(params),
                              params.reproduce.folds.explained, _layers(params, scores), pictures)
        build(two.page(results), target.parent)
    _attach(params, pictures, folds)
    best = max(scores.values(), key=lambda one: one.mean["accuracy"], default=None)
    said = "" if best is None else f", best {best.model} {best.protocol} {best.mean['accuracy']:.3f} accuracy"
    print(f"paper 2: {params.paths.reports / 'paper2' / 'index.html'}: {len(scores)} cross-validations, "
          f"{len(pictures.cams)} Grad-CAM pictures{said}")


def grouped(predictions: Rows) -> dict[tuple[str, str], list[Mapping[str, str]]]:
    """Rows of predictions.csv by (model, protocol)."""
    found: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in predictions:
        found.setdefault((row["model"], row["protocol"]), []).append(row)
    return found


def scored(params: Params, place: tuple[str, str], rows: Rows) -> two.Scores:
    """Figures of one model under one protocol: over folds, and pooled with bootstrap intervals over utterances."""
    ordered = sorted(rows, key=lambda row: row["utterance"])
    fold = np.array([int(row["fold"]) for row in ordered])
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in ordered]) for name in ("emotion", "predicted"))
    folds = [metrics.scores(true[fold == one], predicted[fold == one]) for one in np.unique(fold)]
    values = {name: np.array([one[name] for one in folds]) for name in NAMES}
    counts = metrics.confusion(true, predicted)
    each = metrics.class_scores(counts)
    low, high = intervals(params, true, predicted)
    return two.Scores(
        *place, folds=len(folds), utterances=len(ordered), speakers=len({row["speaker"] for row in ordered}),
        mean={name: float(one.mean()) for name, one in values.items()},
        deviation={name: float(one.std(ddof=1)) if len(one) > 1 else None for name, one in values.items()},
        low=low, high=high, pooled={name: float(metrics.scores_of(counts)[name]) for name in NAMES},
        weighted={name: float((each[name] * each["support"]).sum() / each["support"].sum()) for name in NAMES[1:]},
        per_class=metrics.per_class(counts), confusion=counts.tolist())


def intervals(params: Params, true: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Bounds of every score over resamples of the utterances within their true class; indices of shape (n,)."""
    settings = params.evaluate
    drawn = bootstrap.by_utterance(true, settings.resamples, settings.bootstrap_seed)
    cells = np.eye(metrics.CLASSES**2)[true * metrics.CLASSES + predicted]
    counts = (drawn.weights @ cells).reshape(-1, metrics.CLASSES, metrics.CLASSES)
    found = metrics.scores_of(counts)
    bounds = {name: bootstrap.interval(found[name], settings.confidence) for name in NAMES}
    return {name: one[0] for name, one in bounds.items()}, {name: one[1] for name, one in bounds.items()}


def settings(params: Params) -> dict[str, dict[str, Any]]:
    """How each model of the folds was trained: section train, reproduce.folds.train and its own over one another."""
    wanted = params.reproduce.folds
    return {model: params.train.training().model_dump() | dict(wanted.train) | dict(own)
            for model, own in wanted.models.items()}


def chosen(params: Params, predictions: Rows, protocol: str) -> list[str]:
    """Test utterances of fold 1 for Grad-CAM: of each class those that were recognised, by a keyed choice, else any."""
    wanted = params.reproduce.folds
    own = [row for row in predictions
           if (row["model"], row["protocol"], row["fold"]) == (wanted.explained, protocol, "1")]
    own.sort(key=lambda row: (row["predicted"] != row["emotion"],
                              derive(params.reproduce.seed, "grad-cam", row["utterance"])))
    return [row["utterance"] for emotion in EMOTIONS
            for row in [one for one in own if one["emotion"] == emotion][:wanted.per_class]]


def _pictures(params: Params, scores: Mapping[tuple[str, str], two.Scores], predictions: Rows, history: Rows,
              target: Path) -> two.Pictures:
    explained = params.reproduce.folds.explained
    protocols = [name for name in two.PROTOCOLS if (explained, name) in scores]
    if not protocols:
        return two.Pictures(missing=no_model(explained))
    confusion_matrices({name: scores[explained, name].confusion for name in protocols}, target / "figure_4.png")
    lines = {name: [row for row in history if (row["model"], row["protocol"]) == (explained, name)]
             for name in protocols}
    for number, what in ((5, "uar"), (6, "loss")):
        curves(lines, what, target / f"figure_{number}.png")
    cams, protocol, missing = _grad_cam(params, predictions, protocols, target)
    return two.Pictures("figure_4.png", {"uar": "figure_5.png", "loss": "figure_6.png"}, cams, protocol, missing)


def _grad_cam(params: Params, predictions: Rows, protocols: Sequence[str],
              target: Path) -> tuple[list[dict[str, Any]], str, str]:
    """Pictures and figures of the explained model's fold 1, by speaker where there is that; or why there are none."""
    name = params.reproduce.folds.explained
    protocol = "speaker" if "speaker" in protocols else protocols[0]
    place = folder(params) / "folds" / "models" / name / protocol
    model, card = load(place)
    try:
        model.camera()
    except ValueError as error:
        return [], protocol, f"{name} admits no Grad-CAM ({error}): name another model under reproduce.folds.explained."
    wanted = chosen(params, predictions, protocol)
    examples = _examples(params, name, input_of(card).seconds, wanted)
    subject = Subject.of(model, card, device_of(params.compute.device))
    found = grad_cam_figures(subject, examples, range(len(examples)), params.explain, target, "")
    write_json(target / "gradcam.json", {"model": name, "protocol": protocol, "fold": 1,
                                         "run_id": read_json(place / "run.json")["run_id"], "utterances": found})
    return [one | one.get("gradcam", {}) for one in found], protocol, ""


def _examples(params: Params, model: str, seconds: float, utterances: Sequence[str]) -> Examples:
    """Unaltered test utterances as the model reads them, in the order given."""
    rows = {row["utterance"]: row for row in read_csv(folder(params) / "augmented" / "variants.csv")
            if row["variant"] == "original"}
    stores = Stores.open(params.paths.work / "ingest" / "waveforms", folder(params), MODELS[model].reads)
    wanted = [rows[one] for one in utterances]
    return Examples([Row(row["row"], one, "original", "test", row["emotion"], row["speaker"], row["corpus"])
                     for one, row in zip(utterances, wanted, strict=True)],
                    stores, round(seconds * params.data.sample_rate))


def _layers(params: Params, scores: Mapping[tuple[str, str], two.Scores]) -> dict[str, tuple[two.Layer, ...]]:
    """The layers of every model on stacked features that was trained."""
    found = {}
    for name in (one for one in two.STACKED if any(model == one for model, _ in scores)):
        protocol = next(protocol for model, protocol in scores if model == name)
        model, card = load(folder(params) / "folds" / "models" / name / protocol)
        window = input_of(card)
        samples, valid = fit(np.zeros(0, np.float32), round(window.seconds * card["sample_rate"]))
        found[name] = layers_of(model, torch.from_numpy(samples)[None], torch.tensor([valid]),
                                torch.zeros(1, *shape_of(window)))
    return found


def _attach(params: Params, pictures: two.Pictures, folds: Path) -> None:
    """The page and the pictures to the run of the model that they explain."""
    if not pictures.protocol:
        return
    report = params.paths.reports / "paper2"
    with reopen(params, folds / "models" / params.reproduce.folds.explained / pictures.protocol / "run.json") as record:
        for file in ("index.html", "tables.json", "tables"):
            record.artifact(report / file, "paper2/tables" if file == "tables" else "paper2")
        for picture in sorted(report.glob("*.png")):
            record.artifact(picture, "paper2/figures")
        if pictures.cams:
            record.artifact(report / "gradcam.json", "paper2")


def no_model(name: str) -> str:
    """Why the figures of the explained model are not there."""
    return (f"{name}, which the figures explain, was not trained: name it under reproduce.folds.models in params.yaml "
            "and run `ser-ops reproduce paper2`.")


if __name__ == "__main__":
    run(main)
