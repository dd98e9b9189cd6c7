"""ser-ops explain: why a registered model answers a recording of the user's own as it does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ser_ops import config
from ser_ops.cli.answers import Json, say
from ser_ops.cli.predict import Model, folder_of
from ser_ops.terminal import tell

if TYPE_CHECKING:
    from ser_ops.models import EmotionModel


def explain(file: Annotated[Path, typer.Argument(help="A recording: wav, flac, ogg or mp3.")],
            model: Model = None,
            out: Annotated[Path | None, typer.Option(help="Folder for the page, its sounds and pictures. Default: "
                                                     "reports/explain/<name of the recording>.")] = None,
            start: Annotated[float | None, typer.Option(help="Where the window that is explained begins, in seconds. "
                                                        "Default: the middle of the recording.")] = None,
            json: Json = False) -> None:
    """Write a page that shows and plays what the model uses of a recording.

    The answer is that of `ser-ops predict`; explained is one window of the recording, as long as the model hears.
    """
    params = config.load()
    folder = folder_of(params, model)
    from ser_ops.explain.recording import explain_recording
    from ser_ops.files import write_json
    from ser_ops.inference import Recogniser
    from ser_ops.report import listening

    recogniser = Recogniser(folder, params.compute.device, params.predict.batch_size, params.predict.window_hop)
    answer = recogniser.answer_file(file)
    target = params.paths.reports / "explain" / file.stem if out is None else out
    network = cast("EmotionModel", recogniser.model)
    found = explain_recording(network, recogniser.card, recogniser.device, file, params.explain, target, start)
    write_json(target / "explanations.json", found)
    page, entry = listening.build(target, found, "."), found["heard"][0]
    for warning in answer.warnings:
        tell(f"warning: {file}: {warning}", aside=True)
    record = {"path": str(file), **answer.record(), "page": str(page), "notes": found["notes"], "window": {
        "start": entry["window_start"], "seconds": entry["valid_seconds"], "emotion": entry["predicted"],
        "confidence": entry["confidence"], "streams": entry["streams"]}}
    say(record, json,
        f"{file}: {answer.emotion} {record['probabilities'][answer.emotion]:.2f} ({answer.seconds:.1f} s); explained: "
        f"{entry['predicted']} {entry['confidence']:.2f}, {entry['window_start']:.2f} to "
        f"{entry['window_start'] + entry['valid_seconds']:.2f} s", *found["notes"], str(page))
