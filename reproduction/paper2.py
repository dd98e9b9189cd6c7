"""Stage paper2: paper 2's tables and figures in its own shape, ours beside the printed ones, into reports/paper2.

Ours come from the answers of the stage folds; layers of the built models stand in place of its block diagrams.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reproduction import paper2_tables
from reproduction.experiment import rows_folder, work_folder
from reproduction.paper2_figures import cam_table, confusion_matrices, curves, emotions_by_figure, figures
from reproduction.paper2_models import REPORT_COLUMNS, model_sections, report_rows
from reproduction.paper2_tables import (
    MODEL_NAMES,
    PROTOCOLS,
    Layer,
    Pictures,
    Results,
    Scores,
    accuracy_table,
    classification_report,
    finding,
    glance,
    intervals_and_seeds,
    layer_table,
    quality_table,
    speakers_table,
)
from reproduction.paper_page import Page, Table, build_page, facts, warnings
from reproduction.settings import CrossValidation, Settings, load_settings
from ser_ops.audio.signal import fit_window
from ser_ops.config.model_json import input_of
from ser_ops.config.models import Preset
from ser_ops.config.params import Params, load_params, load_preset
from ser_ops.dataset.examples import Examples, Stores
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import bootstrap, metrics
from ser_ops.explain.grad_cam_picture import grad_cam_figures
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import shape_of
from ser_ops.files import replacing, write_json
from ser_ops.manifest import VariantRow, read_rows
from ser_ops.model_table import MODELS
from ser_ops.models.base import EmotionModel
from ser_ops.models.model_folder import load
from ser_ops.seeds import derive_seed
from ser_ops.stages import run
from ser_ops.tables import read_csv, write_csv
from ser_ops.tracking.runs import reopen
from ser_ops.tracking.server import connect

TITLE = "Paper 2: hybrid CNN-LSTM and image transformers"
STACKED_MODELS: tuple[str, ...] = ("cnn", "lstm", "cnn_lstm")
IMAGE_MODELS: tuple[str, ...] = ("vit", "beit")
CORPORA = ("tess",)         # layouts of the corpora that the paper uses
SCORES = ("accuracy", "precision", "recall", "f1")
_USUAL = {"inplace=False", "bias=True", "dilation=1", "ceil_mode=False", "padding=0", "batch_first=True",
          "start_dim=1", "end_dim=-1"}     # as every layer of its kind has it here
Rows = Sequence[Mapping[str, str]]


def main() -> None:
    """Write reports/paper2, whole or not at all, and attach it to the explained model's run."""
    params, settings = load_params(), load_settings()
    connect(params)  # a server that is down is better known before the work than after it
    folds = work_folder(params) / "folds"
    record = read_json(folds / "runs.json")
    predictions, history = read_csv(folds / "predictions.csv"), read_csv(folds / "history.csv")
    scores = {key: cross_validation_scores(params, key, rows)
              for key, rows in by_model_and_protocol(predictions).items()}
    with replacing(params.paths.reports / "paper2") as target:
        target.mkdir()
        pictures = draw_models(params, settings, Answers(scores, predictions, history), target)
        missing = [name for name in record["provenance"]["missing"] if name in CORPORA]
        basis = record["provenance"] | {
            "missing": missing, "resamples": params.evaluate.resamples, "confidence": params.evaluate.confidence,
            "bootstrap_seed": params.evaluate.bootstrap_seed, "partition_seed": params.partitions.seed}
        results = Results(scores, record["groups"], basis, settings_by_model(params, settings.folds),
                          settings.folds.explained, _layers(params, scores), pictures,
                          smaller_than_paper(params.chosen, settings.folds.models))
        build_page(page(results, target), target.parent)
        write_csv(target / "tables" / "reports.csv", report_rows(results), REPORT_COLUMNS)
    _attach(params, settings.folds.explained, results.pictures_of(settings.folds.explained), folds)
    best = max(scores.values(), key=lambda scores: scores.mean["accuracy"], default=None)
    best_sentence = "" if best is None else f", best {best.model} {best.protocol} {best.mean['accuracy']:.3f} accuracy"
    print(f"paper 2: {params.paths.reports / 'paper2' / 'index.html'}: {len(scores)} cross-validations, "
          f"{sum(len(drawn.cams) for drawn in pictures.values())} Grad-CAM pictures{best_sentence}")


def by_model_and_protocol(predictions: Rows) -> dict[tuple[str, str], list[Mapping[str, str]]]:
    """Rows of predictions.csv by (model, protocol)."""
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in predictions:
        groups.setdefault((row["model"], row["protocol"]), []).append(row)
    return groups


def cross_validation_scores(params: Params, key: tuple[str, str], rows: Rows) -> Scores:
    """Figures of one model under one protocol: over folds, and pooled with bootstrap intervals.

    Intervals are over speakers where new people are claimed, that is by speaker; of fewer than
    `bootstrap.LEAST_SPEAKERS` there is none. Under other protocols they are over utterances.
    """
    ordered = sorted(rows, key=lambda row: row["utterance"])
    fold = np.array([int(row["fold"]) for row in ordered])
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in ordered]) for name in ("emotion", "predicted"))
    folds = {int(number): metrics.scores(true[fold == number], predicted[fold == number]) for number in np.unique(fold)}
    values = {name: np.array([scores[name] for scores in folds.values()]) for name in SCORES}
    counts = metrics.confusion_matrix(true, predicted)
    by_class = metrics.class_scores(counts)
    speakers = [row["speaker"] for row in ordered]
    pairs = sorted({(row["speaker"], int(row["fold"])) for row in ordered})
    alone = key[1] == "speaker" and len(pairs) == len(folds)        # each fold tests a single speaker
    low, high = score_intervals(params, true, predicted, speakers if key[1] == "speaker" else None)
    return Scores(
        *key, folds=len(folds), utterances=len(ordered), speakers=len(set(speakers)),
        mean={name: float(scores.mean()) for name, scores in values.items()},
        deviation={name: float(scores.std(ddof=1)) if len(scores) > 1 else None for name, scores in values.items()},
        low=low, high=high, lowest=float(values["accuracy"].min()), highest=float(values["accuracy"].max()),
        pooled={name: float(metrics.scores_from_counts(counts)[name]) for name in SCORES},
        weighted={name: float((by_class[name] * by_class["support"]).sum() / by_class["support"].sum())
                  for name in SCORES[1:]},
        per_class=metrics.per_class(counts), confusion=counts.tolist(),
        tested={speaker: folds[number] for speaker, number in pairs} if alone else {})


def score_intervals(params: Params, true: np.ndarray, predicted: np.ndarray,
                    speakers: Sequence[str] | None = None) -> tuple[dict[str, float], dict[str, float]]:
    """Bounds of every score; none where too few speakers are there.

    true, predicted: class indices (n,); speakers: of each utterance, (n,), who are resampled; None resamples the
    utterances within their true class.
    """
    settings = params.evaluate
    if speakers is None:
        drawn = bootstrap.resample_utterances(true, settings.resamples, settings.bootstrap_seed)
    elif len(set(speakers)) < bootstrap.LEAST_SPEAKERS:
        return {}, {}
    else:
        drawn = bootstrap.resample_speakers(true, speakers, settings.resamples, settings.bootstrap_seed)
    scores = drawn.scores(bootstrap.answer_cells(true, predicted))
    bounds = {name: bootstrap.percentile_interval(scores[name], settings.confidence) for name in SCORES}
    return {name: bound[0] for name, bound in bounds.items()}, {name: bound[1] for name, bound in bounds.items()}


def settings_by_model(params: Params, folds: CrossValidation) -> dict[str, dict[str, Any]]:
    """How each model of the folds was trained: section train, folds.train and its own over one another."""
    return {model: params.train.training().model_dump() | dict(folds.train) | dict(own)
            for model, own in folds.models.items()}


def smaller_than_paper(chosen: Preset, models: Iterable[str]) -> frozenset[str]:
    """The models whose transformer is narrower or has fewer layers than in preset paper."""
    papers = load_preset("paper")
    return frozenset(model for model in models if (section := MODELS[model].backbone) and any(
        getattr(getattr(chosen, section), size) < getattr(getattr(papers, section), size)
        for size in ("hidden", "layers")))


@dataclass(frozen=True)
class Answers:
    """What the stage folds left: scores by (model, protocol), and the rows of predictions.csv and of history.csv."""

    scores: Mapping[tuple[str, str], Scores]
    predictions: Rows
    history: Rows

    def protocols(self, model: str) -> list[str]:
        """The protocols that a model was trained under."""
        return [name for name in PROTOCOLS if (model, name) in self.scores]


def draw_models(params: Params, settings: Settings, answers: Answers, target: Path) -> dict[str, Pictures]:
    """Draw confusion matrices, curves and Grad-CAM of every trained model into the page's folder.

    Those of the explained model are figures 4 to 13; the others' lie below models/NAME.
    """
    explained = settings.folds.explained
    names = {explained: ("", "figure_4.png", "figure_5.png", "figure_6.png")}
    models = [model for model in dict.fromkeys((*MODEL_NAMES, explained)) if answers.protocols(model)]
    return {model: _draw(params, settings, answers, model, target, *names.get(
        model, (f"models/{model}/", "confusion.png", "uar.png", "loss.png"))) for model in models}


def _draw(params: Params, settings: Settings, answers: Answers, model: str, target: Path, folder: str,
          confusion: str, uar: str, loss: str) -> Pictures:
    (target / folder).mkdir(parents=True, exist_ok=True)
    protocols = answers.protocols(model)
    confusion_matrices({name: answers.scores[model, name].confusion for name in protocols},
                       target / folder / confusion)
    lines = {name: [row for row in answers.history if (row["model"], row["protocol"]) == (model, name)]
             for name in protocols}
    for what, file in (("uar", uar), ("loss", loss)):
        curves(lines, what, target / folder / file)
    cams, protocol, missing = _grad_cam(params, settings, answers, model, target, folder)
    return Pictures(folder + confusion, {"uar": folder + uar, "loss": folder + loss}, cams, protocol, missing)


def _grad_cam(params: Params, settings: Settings, answers: Answers, name: str, target: Path,
              folder: str) -> tuple[list[dict[str, Any]], str, str]:
    """Pictures and figures of a model's fold 1, by speaker where there is that; or why there are none."""
    protocols = answers.protocols(name)
    protocol = "speaker" if "speaker" in protocols else protocols[0]
    model_folder = work_folder(params) / "folds" / "models" / name / protocol
    model, card = load(model_folder)
    try:
        model.cam_layer()
    except ValueError as error:
        return [], protocol, f"{name} admits no Grad-CAM ({error})"
    utterances = grad_cam_utterances(settings, answers.predictions, name, protocol)
    examples = _examples(params, settings.folds, name, input_of(card).seconds, utterances)
    subject = Subject.of(model, card, device_of(params.compute.device))
    pictures = grad_cam_figures(subject, examples, range(len(examples)), params.explain, target / folder, folder)
    write_json(target / folder / "gradcam.json", {"model": name, "protocol": protocol, "fold": 1,
                                                  "run_id": read_json(model_folder / "run.json")["run_id"],
                                                  "utterances": pictures})
    return [picture | picture.get("gradcam", {}) for picture in pictures], protocol, ""


def grad_cam_utterances(settings: Settings, predictions: Rows, model: str, protocol: str) -> list[str]:
    """Test utterances of fold 1 for Grad-CAM: of each class those that were recognised, by a keyed choice, else any."""
    candidates = [row for row in predictions
                  if (row["model"], row["protocol"], row["fold"]) == (model, protocol, "1")]
    candidates.sort(key=lambda row: (row["predicted"] != row["emotion"],
                                     derive_seed(settings.seed, "grad-cam", row["utterance"])))
    return [row["utterance"] for emotion in EMOTIONS
            for row in [row for row in candidates if row["emotion"] == emotion][:settings.folds.per_class]]


def _examples(params: Params, folds: CrossValidation, model: str, seconds: float,
              utterances: Sequence[str]) -> Examples:
    """Unaltered test utterances as a model reads them, in the order given."""
    folder = rows_folder(params, folds.variants)
    rows = {row.utterance: row for row in read_rows(folder / "augmented" / "variants.csv", VariantRow)
            if row.variant == "original"}
    stores = Stores.open(params.paths.work / "ingest" / "waveforms", folder, MODELS[model].reads)
    return Examples([replace(rows[utterance], partition="test") for utterance in utterances], stores,
                    round(seconds * params.data.sample_rate))


def _layers(params: Params, scores: Mapping[tuple[str, str], Scores]) -> dict[str, tuple[Layer, ...]]:
    """The layers of every model on stacked features that was trained."""
    layers_of_model = {}
    for name in (trained for trained in STACKED_MODELS if any(model == trained for model, _ in scores)):
        protocol = next(protocol for model, protocol in scores if model == name)
        model, card = load(work_folder(params) / "folds" / "models" / name / protocol)
        window = input_of(card)
        samples, valid = fit_window(np.zeros(0, np.float32), round(window.seconds * card["sample_rate"]))
        layers_of_model[name] = layers_of(model, torch.from_numpy(samples)[None], torch.tensor([valid]),
                                          torch.zeros(1, *shape_of(window)))
    return layers_of_model


def layers_of(model: EmotionModel, waveform: Tensor, valid: Tensor, features: Tensor) -> tuple[Layer, ...]:
    """Every layer that holds no other layer, in the order in which the layers answer.

    Args:
        model: the network.
        waveform: an utterance as the model takes it, float32 (1, samples).
        valid: number of samples that are no padding, int64 (1,).
        features: float32 (1, ...).

    Returns:
        Each layer with the shape of its output, without the batch. A layer that is called twice stands twice, its
        parameters counted once.
    """
    layers: list[Layer] = []
    seen: set[int] = set()

    def record(layer: nn.Module, _inputs: object, output: object) -> None:
        count = 0 if id(layer) in seen else sum(parameter.numel() for parameter in layer.parameters())
        seen.add(id(layer))
        shape = " x ".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else ""
        name = "LSTM" if isinstance(layer, nn.LSTM) else type(layer).__name__
        settings = [setting for setting in layer.extra_repr().split(", ") if setting and setting not in _USUAL]
        layers.append(Layer(f"{name}({', '.join(settings)})", shape, count))

    hooks = [layer.register_forward_hook(record) for layer in model.modules() if not list(layer.children())]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(waveform, valid, features)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return tuple(layers)


def _attach(params: Params, explained: str, pictures: Pictures, folds: Path) -> None:
    """The page and the pictures to the run of the model that they explain."""
    if not pictures.protocol:
        return
    report = params.paths.reports / "paper2"
    with reopen(params, folds / "models" / explained / pictures.protocol / "run.json") as record:
        for file in ("index.html", "tables.json", "tables"):
            record.artifact(report / file, "paper2/tables" if file == "tables" else "paper2")
        for picture in sorted(report.glob("*.png")):
            record.artifact(picture, "paper2/figures")
        if (report / "models").is_dir():
            record.artifact(report / "models", "paper2/models")
        if pictures.cams:
            record.artifact(report / "gradcam.json", "paper2")


def page(results: Results, folder: Path = Path()) -> Page:
    """reports/paper2: tables 1 to 4, figures 1 to 13, the other models', and what each stands on.

    folder: below which the pictures lie.
    """
    backbones = {str(group["model"]): group.get("backbone") for group in results.groups}
    runs = {f"{group['model']}, {group['protocol']}": group.get("run_id") for group in results.groups}
    seconds = sum(group.get("seconds") or 0 for group in results.groups)
    basis = facts(results.provenance, results.protocols, backbones, runs)
    basis += (*intervals_and_seeds(results.provenance),
              ("Explained model", f"{results.explained} (figures 3 to 13)"),
              ("Training, all folds", f"{seconds / 60:.1f} minutes of one process"))
    return Page("paper2", TITLE, paper2_tables.REFERENCE, warnings(results.provenance, backbones), basis,
                tables(results), figures(results), sections(results, folder))


def tables(results: Results) -> tuple[Table, ...]:
    """Tables 1 to 4 and each tested speaker, figure 3 for each protocol, figures 1 and 2 as layers, then 7 to 13."""
    reports = tuple(classification_report(results, protocol) for protocol in results.protocols or ("random",))
    return (
        accuracy_table(results, "table_1", "Accuracy of the CNN, the LSTM and their hybrid", STACKED_MODELS,
                       paper2_tables.TABLE_1),
        quality_table(results, "table_2", "Precision, recall and F1-score of the CNN, the LSTM and their hybrid",
                      STACKED_MODELS, paper2_tables.TABLE_2),
        accuracy_table(results, "table_3", "Accuracy of ViT and BEiT", IMAGE_MODELS, paper2_tables.TABLE_3),
        quality_table(results, "table_4", "Precision, recall and F1-score of ViT and BEiT", IMAGE_MODELS,
                      paper2_tables.TABLE_4),
        *filter(None, [speakers_table(results, (*STACKED_MODELS, *IMAGE_MODELS))]),
        layer_table(results, "figure_1", "Steps of the CNN, the LSTM and their hybrid", STACKED_MODELS),
        layer_table(results, "figure_2", "Architecture of the hybrid of CNN and LSTM", ("cnn_lstm",)),
        *reports, *(cam_table(results, emotion) for emotion in emotions_by_figure()))


def sections(results: Results, folder: Path) -> tuple[dict[str, Any], ...]:
    """At a glance, first; every model's reports and Grad-CAM; and what else in the paper cannot be right."""
    shown = results.trained
    first: tuple[dict[str, Any], ...] = ()
    if shown:
        first = ({"title": "At a glance", "first": True, "words": [finding(results, shown)],
                  "svg": glance(results, shown), "table": None},)
    return (*first, *model_sections(results, folder),
            {"title": "What else in the paper cannot be right", "words": list(paper2_tables.ELSEWHERE), "svg": None,
             "table": None})


if __name__ == "__main__":
    run(main)
