"""ser-ops evaluate: a registered model on labelled audio of the user's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ser_ops import config
from ser_ops.cli.answers import Json, say
from ser_ops.cli.predict import Model, folder_of


def evaluate(manifest: Annotated[Path, typer.Option(help="CSV: path, emotion, speaker; one line an utterance.")],
             noise: Annotated[Path | None, typer.Option(help="Folder with a folder per category.")] = None,
             model: Model = None, json: Json = False) -> None:
    """Measure any registered model on labelled audio, clean and in noise."""
    params = config.load()
    folder = folder_of(params, model)
    from ser_ops import models
    from ser_ops.evaluation.corpus import evaluate_manifest

    network, card = models.load(folder)
    metrics: dict[str, Any] = evaluate_manifest(network, card, manifest, noise, params)
    clean = metrics["clean"]
    words = (f"{metrics['utterances']} utterances: clean UAR {clean['uar']:.3f} [{clean['uar_low']:.3f}, "
             f"{clean['uar_high']:.3f}], accuracy {clean['accuracy']:.3f}")
    cells = [f"{cell}: UAR {one['uar']:.3f}, accuracy {one['accuracy']:.3f}, SNR {one['snr_db']:.1f} dB"
             for cell, one in metrics.get("cells", {}).items()]
    say(metrics, json, words, *cells)
