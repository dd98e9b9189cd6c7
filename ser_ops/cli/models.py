"""ser-ops models: whether a model of the table has all that the rest asks of it."""

from dataclasses import asdict
from typing import Annotated

import typer

from ser_ops import config
from ser_ops.cli.answers import Json, say

app = typer.Typer(no_args_is_help=True, help="Models of the table.")


@app.callback()
def _models() -> None:
    """A group of its own, so that the command keeps its name."""


@app.command()
def check(name: Annotated[str, typer.Argument(help="A model of ser_ops/model_table.py.")], json: Json = False) -> None:
    """Build a model at small size from the preset in force and try out all that is asked of one. Ends with 1 when
    something is missing."""
    params = config.load()
    from ser_ops.explain.model_check import trials

    missing = 0
    for trial in trials(name, params.chosen, params.explain):
        mark = "ok     " if trial.passed else "MISSING"
        say({"model": name} | asdict(trial), json, f"  {mark} {trial.what}: {trial.words}")
        missing += not trial.passed
    if missing:
        if not json:
            say({}, False, f"{name}: {missing} missing")
        raise typer.Exit(1)
    if not json:
        say({}, False, f"{name} has all that a model needs")
