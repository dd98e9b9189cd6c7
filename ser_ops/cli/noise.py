"""ser-ops noise: bring noise recordings in, see what is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.config.params import Params, load_params
from ser_ops.errors import UserError

if TYPE_CHECKING:
    from ser_ops.noise.adding import CategorySummary

app = typer.Typer(no_args_is_help=True, help="Noise recordings: add, list.", rich_markup_mode=None)


@app.command()
def add(category: Annotated[str, typer.Argument(help="fish_market, railway_engine, children, or a new category; "
                                                "sas_kiit: all three of that dataset.")],
        source: Annotated[str, typer.Argument(help="Folder of recordings, or s3:// address.")],
        collection: Annotated[str | None, typer.Option(help="Its folder in data/noise: recorded, or sas_kiit.")] = None,
        link: Annotated[bool, typer.Option("--link", help="Symbolic links instead of copies.")] = False,
        licence: Annotated[str | None, typer.Option(help="Of the recordings: not stated, which counts as "
                                                    "non-commercial, or sas_kiit's own. A collection has one.")] = None,
        json: Json = False) -> None:
    """Bring noise recordings in: copy them (or link to them), never move them; print a summary."""
    from ser_ops.storage.client import is_remote
    from ser_ops.storage.s3 import downloaded

    params = load_params()
    if is_remote(source):
        if link:
            raise UserError(f"{source}: what lies in a bucket cannot be linked: leave --link out")
        with downloaded(source, params.paths.state / "downloads", params.storage) as local:
            summaries = _bring_in(params, category, local if local.is_dir() else local.parent, collection, False,
                                  licence)
    else:
        summaries = _bring_in(params, category, path_argument(source), collection, link, licence)
    for summary in summaries:
        print_answer(summary.record(), json, *summary.lines())
    if not json:
        print(f"to use it: list {summaries[0].collection} under data.noise in params.yaml, then dvc add data && "
              "dvc repro")


def _bring_in(params: Params, category: str, folder: Path, collection: str | None, link: bool,
              licence: str | None) -> "list[CategorySummary]":
    from ser_ops.caveats import NOT_STATED
    from ser_ops.noise import adding, sas_kiit

    target, lock = params.paths.data / "noise", params.paths.adding_lock
    if category == sas_kiit.NAME:
        return sas_kiit.add_sas_kiit(folder, target, collection or sas_kiit.NAME, link, licence or sas_kiit.LICENCE,
                                     lock)
    return [adding.add_noise(category, folder, target, collection or "recorded", link, licence or NOT_STATED, lock)]


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
