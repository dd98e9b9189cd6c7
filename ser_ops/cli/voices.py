"""ser-ops voices: enrol people, list them, forget them."""

from typing import Annotated

import typer

from ser_ops.cli.answers import Json, print_answer
from ser_ops.cli.model import Model, fetch_model, recogniser_of
from ser_ops.config.params import load_params_anywhere
from ser_ops.errors import UserError
from ser_ops.terminal import print_line

app = typer.Typer(no_args_is_help=True, help="Voices that predict --speaker knows, by recordings without labels.")
Name = Annotated[str, typer.Argument(help="Of the speaker, as --speaker of predict names it.")]


@app.command()
def enrol(name: Name, files: Annotated[list[str], typer.Argument(help="Recordings of this speaker alone, in moods of "
                                                                 "every kind; also folders and patterns.")],
          model: Model = None, json: Json = False) -> None:
    """Learn a voice from recordings. A mean of what the model heard is kept, no sound.

    Ten recordings in different moods help much; recordings in one mood alone can do harm.
    """
    params = load_params_anywhere()
    recogniser = recogniser_of(params, fetch_model(params, model))
    from ser_ops.inference.sources import on_disk, recordings_named
    from ser_ops.inference.voices import KnownSpeaker

    known, failed = KnownSpeaker(recogniser, params.paths.voices, name), 0
    for file in recordings_named(files):
        try:
            if isinstance(file, UserError):
                raise file
            with on_disk(file) as path:
                if known.answer_file(path).context is None:
                    raise UserError(f"{file}: nobody speaks in it, so that no voice is learned of it")
        except UserError as error:
            failed += 1
            print_line(f"error: {error}", aside=True)
    clips = known.learn()
    print_answer({"speaker": name, "clips": clips}, json, f"{name}: known by {clips} recordings")
    if failed:
        raise typer.Exit(1)


@app.command("list")
def list_voices(json: Json = False) -> None:
    """Name everybody who is enrolled."""
    from ser_ops.inference.voices import names_of_voices

    params = load_params_anywhere()
    names = names_of_voices(params.paths.voices)
    print_answer({"voices": names}, json, *(names or [f"nobody is enrolled in {params.paths.voices}"]))


@app.command()
def forget(name: Name, json: Json = False) -> None:
    """Remove all that is known of a voice."""
    from ser_ops.inference import voices

    voices.forget(load_params_anywhere().paths.voices, name)
    print_answer({"forgotten": name}, json, f"{name}: forgotten")
