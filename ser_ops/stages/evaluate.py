"""evaluate: every trained model on the test partition, clean and over the noise grid, into reports/ and its run.

And the reference that `ser-ops watch` compares with, of validation and test clips as the served model hears them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.model_json import LACKING, REFERENCE
from ser_ops.config.params import Params, load_params
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.evaluation import figures, predictions, robustness, voices
from ser_ops.evaluation.ablation import ABLATION_FIELDS, ablation_table, samples_per_second
from ser_ops.evaluation.predictions import CLEAN, Condition
from ser_ops.evaluation.robustness import Panel
from ser_ops.evaluation.selective import selective
from ser_ops.evaluation.summary import ROBUSTNESS_FIELDS, ModelFacts, Summary, metrics_of, run_metrics
from ser_ops.files import write_json
from ser_ops.manifest import NoiseRow, VariantRow, unaltered, validated_noise
from ser_ops.model_table import MODELS
from ser_ops.models.model_folder import load
from ser_ops.stages import run
from ser_ops.tables import write_csv
from ser_ops.tracking.runs import reopen
from ser_ops.tracking.server import connect
from ser_ops.watch.reference import heard_clips, write_reference

FIGURES = "figures/evaluation"
_SAID = {"telephone": "over the telephone", "rooms": "in rooms"}


def main() -> None:
    """Evaluate. Only the test partition is read, and nothing is chosen by it."""
    params = load_params()
    connect(params)  # a server that is down is better known before the work than after it
    work, reports, settings = params.paths.work, params.paths.reports, params.evaluate
    folders = _model_folders(params)
    rows, grid = unaltered(work, "test"), predictions.noise_grid(validated_noise(work), settings)
    job = robustness.evaluation_job(params, folders, rows)
    summary, metrics = measure(params, folders, rows, job)
    answers = summary.predictions
    for name, figures_of_model in metrics["models"].items():
        if kept := read_json(folders[name] / "model.json").get("conformal_scores"):
            figures_of_model["selective"] = selective(answers, name, kept, settings.coverages, summary.unseen,
                                                      settings.confidence)
    metrics["models"][params.train.model] |= _known_voices(params, job, summary, rows)
    if (lacking := work / "ablations" / LACKING).exists():
        metrics["provenance"]["lacking"] = read_json(lacking)
    unheard = [*unaltered(work, "validation"), *rows]
    write_reference(work / REFERENCE, heard_clips(job, unheard, grid, params.predict, params.watch,
                                                  params.compute.workers))
    answers.write(reports / "predictions.csv")
    write_csv(reports / "robustness.csv", summary.table(list(metrics["models"])), ROBUSTNESS_FIELDS)
    write_csv(reports / "ablation.csv", ablation_table(metrics["models"]), ABLATION_FIELDS)
    write_json(reports / "metrics.json", metrics)
    figures.draw_evaluation(metrics, reports / FIGURES)
    _log(params, folders, summary, metrics)
    own = metrics["models"][params.train.model]
    print(f"evaluated {len(folders)} models on {len(rows)} test utterances under {len(answers.conditions)} "
          f"conditions: {params.train.model} UAR {own['clean']['uar']:.3f} clean, {own['noisy']['uar']:.3f} in noise, "
          f"{own['worst_cell']['uar']:.3f} at worst ({own['worst_cell']['cell']})"
          + "".join(f", {own['transmission'][kind]['uar']:.3f} {words}" for kind, words in _SAID.items()
                    if kind in own.get("transmission", {}))
          + "".join(f", {known['uar']:.3f} after {known['clips']} clips of a voice"
                    for known in own.get("voices", {}).get("after", [])[-1:]))


def measure(params: Params, folders: Mapping[str, Path], rows: Sequence[VariantRow],
            job: robustness.EvaluationJob) -> tuple[Summary, dict[str, Any]]:
    """What models answer on the test rows, clean and under every other condition, and metrics.json of it.

    Args:
        params: params.train.model is the main one.
        folders: of the main model and of those beside it, by name.
        rows: of the test partition, unaltered.
        job: of these models and rows.
    """
    work, settings = params.paths.work, params.evaluate
    cards = {name: read_json(folder / "model.json") for name, folder in folders.items()}
    noise_rows = validated_noise(work)
    grid = predictions.noise_grid(noise_rows, settings)
    true = np.array([row.label for row in rows])
    conditions = [CLEAN, *grid, *predictions.transmission_conditions(settings)]
    answers = robustness.predict_grid(job, [row.speaker for row in rows], true, conditions, params.compute.workers)
    summary = Summary(answers, settings, heard={row.speaker for row in unaltered(work, "train")})
    shuffled = [name for name, card in cards.items() if card["shuffled_labels"]]
    main, *others = [name for name in folders if name not in shuffled]
    others.sort(key=lambda name: (not MODELS[cards[name]["model"]].row, MODELS[cards[name]["model"]].row))
    models = _model_facts(job, [main, *others], grid, settings.speed_utterances)
    return summary, metrics_of(summary, params.train.model, models, shuffled,
                               _provenance(params, cards[params.train.model], rows, noise_rows))


def _known_voices(params: Params, job: robustness.EvaluationJob, summary: Summary,
                  rows: Sequence[VariantRow]) -> dict[str, Any]:
    """The main model's figures by how well it knows the voice, where it can make use of that."""
    settings, (network, card) = params.evaluate, load(dict(job.models)[params.train.model])
    clips = voices.Clips(job.utterances, robustness.open_stores(job)[0], [row.speaker for row in rows],
                         summary.predictions.true)
    figures = voices.known_voices(network, card, clips, settings.voice_clips, settings.seeds[0], summary.unseen,
                                  settings.confidence, device_of(job.device), settings.batch_size)
    return {"voices": figures} if figures else {}


def _model_folders(params: Params) -> dict[str, Path]:
    """Folders of the main model, which comes first, and of the ablations, by name."""
    work, main = params.paths.work, params.train.model
    others = sorted(path.parent for path in (work / "ablations").glob("*/model.json"))
    return {main: work / "models" / main} | {folder.name: folder for folder in others if folder.name != main}


def _model_facts(job: robustness.EvaluationJob, names: Sequence[str], grid: Sequence[Condition],
                 count: int) -> dict[str, ModelFacts]:
    """Size and speed of models, over a batch of `count` test utterances, clean and in the middle of the grid."""
    utterances = (job.utterances * -(-count // len(job.utterances)))[:count]
    waveforms, mixer = robustness.open_stores(job)
    middle = grid[len(grid) // 2]
    clean = [waveforms[utterance] for utterance in utterances]
    noisy = [mixer(utterance, speech, middle.noise, middle.intensity, middle.seed or 0, "test").samples
             for utterance, speech in zip(utterances, clean, strict=True)]
    facts = {}
    for name in names:
        model, card = load(dict(job.models)[name])
        panel = Panel({name: (model, card)}, device_of(job.device), count)
        facts[name] = ModelFacts(MODELS[card["model"]].row, model.streams, round(card["parameters"] / 1e6, 4),
                                 samples_per_second(panel, clean), samples_per_second(panel, noisy))
    return facts


def _provenance(params: Params, card: Mapping[str, Any], rows: Sequence[VariantRow],
                noise_rows: Sequence[NoiseRow]) -> dict[str, Any]:
    recorded, left_out = predictions.noise_categories(noise_rows)
    settings = params.evaluate
    return {**{name: card["data"][name] for name in ("corpora", "synthetic", "partial", "protocol")},
            "heard": card["data"].get("heard"), "backbone": card["backbone"],
            "preset": card["preset"], "seeds": list(settings.seeds),
            "test_utterances": len(rows), "test_speakers": len({row.speaker for row in rows}),
            "noise": [*recorded, *settings.stationary], "noise_without_test_recordings": left_out,
            "transmission": list(settings.transmission),
            "level": params.augment.level, "resamples": settings.resamples, "confidence": settings.confidence}


def _log(params: Params, folders: Mapping[str, Path], summary: Summary, metrics: Mapping[str, Any]) -> None:
    """Every model's figures to its own run; tables and figures of all of them to the main model's."""
    reports, main = params.paths.reports, params.train.model
    files = {name: [f"{FIGURES}/confusion_{name}.png"] for name in metrics["models"]}
    files[main] = [f"{FIGURES}/confusion.png", f"{FIGURES}/robustness.png", "metrics.json", "robustness.csv",
                   "ablation.csv"]
    for name, folder in folders.items():
        with reopen(params, folder / "run.json") as record:
            record.metrics(run_metrics(metrics["models"].get(name) or summary.model(name)))
            for file in files.get(name, []):
                record.artifact(reports / file, "evaluation")


if __name__ == "__main__":
    run(main)
