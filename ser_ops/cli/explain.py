"""ser-ops explain: why a registered model answers a recording of the user's own as it does."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ser_ops import config
from ser_ops.caveats import marks
from ser_ops.cli.answers import Json, named, say
from ser_ops.cli.predict import Channel, Model, folder_of
from ser_ops.documents import read_json
from ser_ops.files import located, write_json
from ser_ops.pages.words import pick
from ser_ops.terminal import tell

if TYPE_CHECKING:
    from ser_ops.models.base import EmotionModel

_REPORT = "explanations.json"


def explain(file: Annotated[Path, typer.Argument(help="A recording.", parser=named, metavar="FILE")],
            model: Model = None,
            out: Annotated[Path | None, typer.Option(help="Folder for the page, its sounds and pictures. Default: "
                                                     "reports/explain/<name of the recording>.")] = None,
            start: Annotated[float | None, typer.Option(help="Where the window that is explained begins, in seconds. "
                                                        "Default: the middle of the recording.")] = None,
            channel: Channel = None, json: Json = False) -> None:
    """Write a page that shows and plays what the model uses of a recording.

    The answer is that of `ser-ops predict`; explained is one window of the recording, as long as the model hears.
    """
    params = config.load()
    folder = folder_of(params, model)
    from ser_ops.explain.recording import explain_recording
    from ser_ops.inference.recogniser import Recogniser
    from ser_ops.report import listening

    recogniser = Recogniser(folder, params.compute.device, params.predict.batch_size, params.predict.window_hop)
    path = located(file)
    recording = Path(os.path.abspath(path))
    answer = recogniser.answer_file(path, channel)
    target = _folder(params.paths.reports / "explain", recording) if out is None else out
    network = cast("EmotionModel", recogniser.model)
    found = explain_recording(network, recogniser.card, recogniser.device, path, params.explain, target, start,
                              channel)
    write_json(target / _REPORT, {"recording": str(recording), **found})
    page, entry = listening.build(target, found, "."), found["heard"][0]
    for warning in answer.warnings:
        tell(f"warning: {file}: {warning}", aside=True)
    record = {"path": str(file), **answer.record(), "page": str(page), "notes": found["notes"], "window": {
        "start": entry["window_start"], "seconds": entry["valid_seconds"], "emotion": entry["predicted"],
        "confidence": entry["confidence"], "streams": entry["streams"]}}
    say(record, json,
        f"{file}: {answer.emotion} {record['probabilities'][answer.emotion]:.2f} ({answer.seconds:.1f} s); explained: "
        f"{entry['predicted']} {entry['confidence']:.2f}, {entry['window_start']:.2f} to "
        f"{entry['window_start'] + entry['valid_seconds']:.2f} s{marks(answer.caveats)}",
        *found["notes"], str(page))


def _folder(explained: Path, recording: Path) -> Path:
    """Where a recording's page goes: a folder of its name; where that holds another recording's, one more of its own.

    Dots in front are left out: they would hide the folder, and `..` would lead out of `explained`.
    """
    name = recording.stem.lstrip(".") or "recording"
    report = explained / name / _REPORT
    if not report.is_file() or pick(read_json(report), "recording") in (None, str(recording)):
        return explained / name
    return explained / f"{name[:50]}-{hashlib.sha256(os.fsencode(recording)).hexdigest()[:8]}"
