"""The papers' pages: which stages of reproduction/dvc.yaml are run for each, for the command and the flow alike."""

import subprocess
import sys
from collections.abc import Callable
from typing import Literal

from ser_ops.config.params import Params, load_params
from ser_ops.errors import UserError

GRAPH = "reproduction/dvc.yaml"
WITHOUT_MAIN_MODEL = ("across", "row_a")    # of paper 1, what needs no checkpoint of the main model
Paper = Literal["paper1", "paper2", "splits", "across"]


def run_stages(paper: Paper, say: Callable[[str], None], *options: str) -> dict[str, float]:
    """Run what a page stands on, and its stage.

    Where the checkpoint of the main model cannot be had, paper 1's page is written from what needs none.

    Args:
        paper: the page's stage in reproduction/dvc.yaml.
        say: gets each line of what is run.
        options: of `dvc repro`.

    Returns:
        Seconds by stage.

    Raises:
        UserError: a stage fails, or the page is not written.
    """
    from ser_ops.workspace import dvc

    lacking = _lacking_main_model(load_params()) if paper == "paper1" else {}
    for model, reason in lacking.items():
        say(f"{model} is left out: {reason}")
    stages = WITHOUT_MAIN_MODEL if lacking else (paper,)
    try:
        seconds = dvc("repro", *options, *(f"{GRAPH}:{stage}" for stage in stages), say=say)
    except UserError as error:      # DVC reads a wrong setting first, and does not say which one it is
        raise UserError(_wrong_settings() or str(error)) from error
    if lacking:
        _write_page_alone(paper, say)
    return seconds


def _wrong_settings() -> str:
    """What is wrong with reproduction/params.yaml, in one line; empty where it is as it must be."""
    done = _module("settings")
    return done.stderr.strip().rpartition("\n")[2].removeprefix("error: ") if done.returncode else ""


def _module(name: str) -> subprocess.CompletedProcess[str]:
    """Run a module of reproduction, which no module of ser_ops may import."""
    from ser_ops.workspace import environment

    return subprocess.run([sys.executable, "-m", f"reproduction.{name}"], env=environment(), text=True,
                          capture_output=True, check=False)


def _lacking_main_model(params: Params) -> dict[str, str]:
    """The main model with why its checkpoint cannot be had; empty where it can be."""
    from ser_ops.stages.training_run import lacking_checkpoints  # loads torch, which paper 1 alone needs here

    return lacking_checkpoints(params, [params.train.model])


def _write_page_alone(paper: str, say: Callable[[str], None]) -> None:
    """Write the page of a stage whose inputs cannot all be made, from those that are there."""
    done = _module(paper)
    say(done.stdout.strip())
    if done.returncode:
        raise UserError(done.stderr.strip().rpartition("\n")[2] or f"the page of {paper} was not written: see above")
