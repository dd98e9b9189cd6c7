"""ser-ops noise: bring noise recordings in, see what is there."""

from typing import Annotated

import typer

from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.config.params import load_params
from ser_ops.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Noise recordings: add, list.", rich_markup_mode=None)


@app.command()
def add(category: Annotated[str, typer.Argument(help="fish_market, railway_engine, children, or a new category.")],
        source: Annotated[str, typer.Argument(help="Folder of recordings, or s3:// address.")],
        collection: Annotated[str, typer.Option(help="Its folder in data/noise.")] = "recorded",
        link: Annotated[bool, typer.Option("--link", help="Symbolic links instead of copies.")] = False,
        licence: Annotated[str, typer.Option(help="Of the recordings; what is not stated counts as non-commercial.")]
        = "not stated", json: Json = False) -> None:
    """Bring noise recordings in: copy them (or link to them), never move them; print a summary."""
    from ser_ops.noise import adding
    from ser_ops.storage.client import is_remote
    from ser_ops.storage.s3 import downloaded

    params = load_params()
    target = params.paths.data / "noise"
    if is_remote(source):
        if link:
            raise UserError(f"{source}: what lies in a bucket cannot be linked: leave --link out")
        with downloaded(source, params.paths.state / "downloads", params.storage) as local:
            folder = local if local.is_dir() else local.parent
            summary = adding.add_noise(category, folder, target, collection, licence=licence,
                                   lock=params.paths.adding_lock)
    else:
        summary = adding.add_noise(category, path_argument(source), target, collection, link=link, licence=licence,
                               lock=params.paths.adding_lock)
    record = summary.record()
    print_answer(record, json, *summary.lines(), f"to use it: list {collection} under data.noise in params.yaml, then "
                 "dvc add data && dvc repro")


@app.command("list")
def list_(json: Json = False) -> None:
    """What lies in data/noise, category by category; exit code 1 when a collection cannot be used."""
    from ser_ops.folders import UnusableFolder
    from ser_ops.noise import adding

    params = load_params()
    bad = False
    for summary in adding.list_noise(params.paths.data / "noise"):
        bad = bad or isinstance(summary, UnusableFolder)
        print_answer(summary.record(), json, *summary.lines())
    if bad:
        raise typer.Exit(1)
