"""ser-ops evaluate and explain: a registered model on the user's audio. models check: try out a network."""

import hashlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ser_ops.caveats import caveats, marks
from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.config.params import Params, load_params, predict_of_project
from ser_ops.documents import read_json
from ser_ops.files import make_folder, path_on_disk, write_json
from ser_ops.pages import pick
from ser_ops.terminal import count_sentences, print_line, unused_in_words

if TYPE_CHECKING:
    from ser_ops.inference.recogniser import Recogniser
    from ser_ops.models.base import EmotionModel


Model = Annotated[str | None, typer.Option("--model", help="As MLflow writes it: models:/NAME@ALIAS, runs:/..., or a "
                                           "folder. Default: the registered model's staging.")]


Channel = Annotated[int | None, typer.Option("--channel", min=1, help="Of several, from 1 on. Default: their mean or, "
                                             "where that loses the speech, the channel that holds it.")]


Coverage = Annotated[float | None, typer.Option("--coverage", help="Share of cases in which the set of emotions shall "
                                                "hold the truth, such as 0.9; where it does not hold one alone, the "
                                                "answer is 'not sure'.")]


def fetch_model(params: Params, model: str | None) -> Path:
    """The folder of what --model names, as `ser_ops.tracking.models.model_folder` gives it."""
    from ser_ops.tracking.models import model_folder

    return model_folder(model, params)


def recogniser_of(params: Params, folder: Path, coverage: float | None = None) -> "Recogniser":
    """The model of a folder, answering by the project's settings, or where there is no project, by its own."""
    from ser_ops.inference.recogniser import Recogniser

    return Recogniser(folder, params.compute.device, predict=predict_of_project(params), coverage=coverage)


def evaluate(manifest: Annotated[Path, typer.Option(help="CSV: path, emotion, speaker; where a line is a part of a "
                                                    "recording, start and end in seconds.",
                                               parser=path_argument, metavar="<path>")],
             noise: Annotated[Path | None, typer.Option(help="Folder with a folder per category.", parser=path_argument,
                                                   metavar="<path>")] = None,
             labels: Annotated[str | None, typer.Option(help="What its labels mean: joy=happy,bored=drop, or "
                                                        "a YAML file of such lines. drop leaves them out.")] = None,
             model: Model = None, channel: Channel = None, json: Json = False) -> None:
    """Measure any registered model on labelled audio, clean and in noise.

    Recordings that cannot be used are left out, and how many, and why, stands beside the figures.
    """
    params = load_params()
    from ser_ops.corpora.csv_manifest import read_labels

    targets = read_labels(labels) if labels else None
    folder = fetch_model(params, model)
    from ser_ops.evaluation.labelled_audio import evaluate_manifest
    from ser_ops.models import model_folder

    network, card = model_folder.load(folder)
    metrics: dict[str, Any] = evaluate_manifest(network, card, manifest, noise, params, targets, channel)
    for oddity in metrics["oddities"]:
        print_line(f"warning: {manifest}: {oddity}", aside=True)
    for warning, number in count_sentences((entry["warning"] for entry in metrics["warnings"]), whole=True).items():
        print_line(f"warning: {number} of {metrics['used']} recordings: {warning}", aside=True)
    clean, chance = metrics["clean"], f"chance {metrics['chance_uar']:.3f}"
    used, noises = f"{metrics['used']} of {metrics['of']} recordings", metrics["noise"]
    lost = unused_in_words(metrics, "recordings") + (unused_in_words(noises, "noise recordings") if noises else "")
    words = (f"{used}: clean UAR {clean['uar']:.3f} [{clean['uar_low']:.3f}, {clean['uar_high']:.3f}] over "
             f"{metrics['intervals']['over']} ({chance}), "
             f"accuracy {clean['accuracy']:.3f}{lost}{marks(caveats(card))}")
    cells = [f"{cell}: UAR {figures['uar']:.3f} ({chance}), accuracy {figures['accuracy']:.3f}, "
             f"SNR {figures['snr_db']:.1f} dB; {used}" for cell, figures in metrics.get("cells", {}).items()]
    cells += [f"{cell}: UAR {figures['uar']:.3f} ({chance}), accuracy {figures['accuracy']:.3f}; {used}"
              for cell, figures in metrics.get("transmission", {}).get("cells", {}).items()]
    cells += [f"voice known by {known['clips']} other recordings: UAR {known['uar']:.3f} [{known['uar_low']:.3f}, "
              f"{known['uar_high']:.3f}] ({chance}); {used}" for known in metrics.get("voices", {}).get("after", [])]
    print_answer(metrics | {"caveats": [caveat.sentence for caveat in caveats(card)]}, json, words, *cells)


_REPORT = "explanations.json"


def explain(file: Annotated[Path, typer.Argument(help="A recording.", parser=path_argument, metavar="FILE")],
            model: Model = None,
            out: Annotated[Path | None, typer.Option(help="Folder for the page, its sounds and pictures. Default: "
                                                     "reports/explain/<name of the recording>.")] = None,
            start: Annotated[float | None, typer.Option(help="Where the window that is explained begins, in seconds. "
                                                        "Default: the middle of the recording.")] = None,
            channel: Channel = None, json: Json = False) -> None:
    """Write a page that shows and plays what the model uses of a recording.

    The answer is that of `ser-ops predict`; explained is one window of the recording, as long as the model hears.
    """
    params = load_params()
    folder = fetch_model(params, model)
    from ser_ops.explain.recording import explain_recording
    from ser_ops.report import listening

    recogniser = recogniser_of(params, folder)
    path = path_on_disk(file)
    recording = Path(os.path.abspath(path))
    answer = recogniser.answer_file(path, channel)
    target = _page_folder(params.paths.reports / "explain", recording) if out is None else out
    make_folder(target)     # explaining takes minutes: whether it can be written is known before
    network, device = cast("EmotionModel", recogniser.model), recogniser.torch_network.device
    report = explain_recording(network, recogniser.card, device, path, params.explain, target, start, channel)
    write_json(target / _REPORT, {"recording": str(recording), **report})
    page, entry = listening.build(target, report, "."), report["heard"][0]
    for warning in answer.warnings:
        print_line(f"warning: {file}: {warning}", aside=True)
    record = {"path": str(file), **answer.record(), "page": str(page), "notes": report["notes"], "window": {
        "start": entry["window_start"], "seconds": entry["valid_seconds"], "emotion": entry["predicted"],
        "confidence": entry["confidence"], "streams": entry["streams"]}}
    print_answer(record, json,
                 f"{file}: {answer.emotion} {answer.probabilities.max():.2f} ({answer.seconds:.1f} s); "
                 f"explained: {entry['predicted']} {entry['confidence']:.2f}, {entry['window_start']:.2f} to "
                 f"{entry['window_start'] + entry['valid_seconds']:.2f} s{marks(answer.caveats)}",
                 *report["notes"], str(page))


def _page_folder(explained: Path, recording: Path) -> Path:
    """Folder of a recording's page: named after it, and with a digest where that folder holds another recording's page.

    Dots in front are left out: they would hide the folder, and `..` would lead out of `explained`.
    """
    name = recording.stem.lstrip(".") or "recording"
    report = explained / name / _REPORT
    if not report.is_file() or pick(read_json(report), "recording") in (None, str(recording)):
        return explained / name
    return explained / f"{name[:50]}-{hashlib.sha256(os.fsencode(recording)).hexdigest()[:8]}"


app = typer.Typer(no_args_is_help=True, help="Models of the table.")


@app.callback()
def _models() -> None:
    """A group of its own, so that the command keeps its name."""


@app.command()
def check(name: Annotated[str, typer.Argument(help="A model of ser_ops/model_table.py.")], json: Json = False) -> None:
    """Build a model at small size from the preset in force and try out all that is asked of one. Ends with 1 when
    something is missing."""
    params = load_params()
    from ser_ops.explain.model_check import check_model

    missing = 0
    for trial in check_model(name, params.chosen, params.explain):
        mark = "ok     " if trial.passed else "MISSING"
        print_answer({"model": name} | asdict(trial), json, f"  {mark} {trial.what}: {trial.words}")
        missing += not trial.passed
    if missing:
        if not json:
            print_answer({}, False, f"{name}: {missing} missing")
        raise typer.Exit(1)
    if not json:
        print_answer({}, False, f"{name} has all that a model needs")
