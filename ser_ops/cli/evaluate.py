"""ser-ops evaluate: a registered model on labelled audio of the user's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ser_ops import config
from ser_ops.caveats import caveats, marks
from ser_ops.cli.answers import Json, named, say
from ser_ops.cli.predict import Channel, Model, folder_of
from ser_ops.reasons import grouped, left_out
from ser_ops.terminal import tell


def evaluate(manifest: Annotated[Path, typer.Option(help="CSV: path, emotion, speaker; where a line is a part of a "
                                                    "recording, start and end in seconds.",
                                               parser=named, metavar="<path>")],
             noise: Annotated[Path | None, typer.Option(help="Folder with a folder per category.", parser=named,
                                                   metavar="<path>")] = None,
             labels: Annotated[str | None, typer.Option(help="What its labels mean: joy=happy,bored=drop, or "
                                                        "a YAML file of such lines. drop leaves them out.")] = None,
             model: Model = None, channel: Channel = None, json: Json = False) -> None:
    """Measure any registered model on labelled audio, clean and in noise.

    Recordings that cannot be used are left out, and how many, and why, stands beside the figures.
    """
    params = config.load()
    from ser_ops.corpora.labels import read_labels

    targets = read_labels(labels) if labels else None
    folder = folder_of(params, model)
    from ser_ops.evaluation.corpus import evaluate_manifest
    from ser_ops.models import model_folder

    network, card = model_folder.load(folder)
    metrics: dict[str, Any] = evaluate_manifest(network, card, manifest, noise, params, targets, channel)
    for oddity in metrics["oddities"]:
        tell(f"warning: {manifest}: {oddity}", aside=True)
    for warning, number in grouped((one["warning"] for one in metrics["warnings"]), whole=True).items():
        tell(f"warning: {number} of {metrics['used']} recordings: {warning}", aside=True)
    clean, chance = metrics["clean"], f"chance {metrics['chance_uar']:.3f}"
    used, noises = f"{metrics['used']} of {metrics['of']} recordings", metrics["noise"]
    lost = left_out(metrics, "recordings") + (left_out(noises, "noise recordings") if noises else "")
    words = (f"{used}: clean UAR {clean['uar']:.3f} [{clean['uar_low']:.3f}, {clean['uar_high']:.3f}] ({chance}), "
             f"accuracy {clean['accuracy']:.3f}{lost}{marks(caveats(card))}")
    cells = [f"{cell}: UAR {one['uar']:.3f} ({chance}), accuracy {one['accuracy']:.3f}, SNR {one['snr_db']:.1f} dB; "
             f"{used}" for cell, one in metrics.get("cells", {}).items()]
    say(metrics | {"caveats": [caveat.sentence for caveat in caveats(card)]}, json, words, *cells)
