"""ser-ops predict: a registered model on recordings of the user's own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ser_ops import config
from ser_ops.caveats import marks
from ser_ops.cli.answers import Json, named, say
from ser_ops.config import Params
from ser_ops.errors import UserError
from ser_ops.files import located
from ser_ops.terminal import tell

Model = Annotated[str | None, typer.Option("--model", help="As MLflow writes it: models:/NAME@ALIAS, runs:/..., or a "
                                           "folder. Default: the registered model's staging.")]


Channel = Annotated[int | None, typer.Option("--channel", min=1, help="Of several, from 1 on. Default: their mean or, "
                                             "where that loses the speech, the channel that holds it.")]


def folder_of(params: Params, model: str | None) -> Path:
    from ser_ops.tracking import models

    return models.fetch(params, model or f"models:/{params.tracking.registered_model}@staging")


def predict(files: Annotated[list[str], typer.Argument(help="Recordings of any length: wav, flac, ogg, opus, mp3, "
                                                        "m4a, mp4, aac, webm, amr or 3gp.")],
            model: Model = None, channel: Channel = None, json: Json = False) -> None:
    """Say the emotion of recordings, with the probabilities of all seven.

    A bad recording is one line on standard error; the others are answered all the same, and the exit code is 1.
    """
    params = config.load()
    folder = folder_of(params, model)
    from ser_ops.inference.recogniser import Recogniser

    recogniser = Recogniser(folder, params.compute.device, params.predict.batch_size, params.predict.window_hop)
    failed = 0
    for name in files:
        try:
            file = named(name)
            answer = recogniser.answer_file(located(file), channel)
        except UserError as error:
            failed += 1
            tell(f"error: {error}", aside=True)
            continue
        for warning in answer.warnings:
            tell(f"warning: {file}: {warning}", aside=True)
        record = {"path": str(file), **answer.record()}
        likely = sorted(record["probabilities"].items(), key=lambda one: -one[1])[:3]
        say(record, json, f"{file}: {answer.emotion} "
            f"({', '.join(f'{emotion} {value:.2f}' for emotion, value in likely)}; {answer.seconds:.1f} s)"
            f"{marks(answer.caveats)}")
    if failed:
        sys.exit(1)
