"""Command `ser-ops reproduce`: runs a stage of reproduction/dvc.yaml through DVC and says what its page holds."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ser_ops.cli.answers import Json, print_answer
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError

GRAPH = "reproduction/dvc.yaml"
WITHOUT_MAIN_MODEL = ("across", "row_a")    # of paper 1, what needs no checkpoint of the main model
Paper = Literal["paper1", "paper2", "splits", "across"]


def reproduce(paper: Annotated[Paper, typer.Argument(help="paper1: tables I to VI; paper2: tables 1 to 4; splits: each "
                                                     "model under three partition protocols; across: train on one "
                                                     "corpus, test on another.")],
              json: Json = False) -> None:
    """Run all that the corpora at hand allow and write its page below reports/; what is up to date is not done again.

    A table that cannot be filled says on the page what is missing and how to get it; a model whose checkpoint cannot
    be had is left out, and all else is done.
    """
    from ser_ops.workspace import pull

    folder = load_params().paths.reports / paper
    say = partial(print, file=sys.stderr if json else sys.stdout, flush=True)
    pull(say=say)
    seconds = {stage.replace("/dvc.yaml:", "/"): round(taken, 1) for stage, taken in run_stages(paper, say).items()}
    answer = {"paper": paper, "page": str(folder / "index.html"), "seconds": seconds,
              **count_tables(folder / "tables.json")}
    print_answer(answer, json, *_sentences(answer))


def run_stages(paper: Paper, say: Callable[[str], None], *options: str) -> dict[str, float]:
    """Run what a page stands on, and its stage: for the command and for the flow alike.

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
    seconds = dvc("repro", *options, *(f"{GRAPH}:{stage}" for stage in stages), say=say)
    if lacking:
        _write_page_alone(paper, say)
    return seconds


def _lacking_main_model(params: Params) -> dict[str, str]:
    """The main model with why its checkpoint cannot be had; empty where it can be."""
    from ser_ops.stages.training_run import lacking_checkpoints
    return lacking_checkpoints(params, [params.train.model])


def _write_page_alone(paper: str, say: Callable[[str], None]) -> None:
    """Write the page of a stage whose inputs cannot all be made, from those that are there."""
    from ser_ops.workspace import environment
    done = subprocess.run([sys.executable, "-m", f"reproduction.{paper}"], env=environment(), text=True,
                          capture_output=True, check=False)
    say(done.stdout.strip())
    if done.returncode:
        raise UserError(done.stderr.strip().rpartition("\n")[2] or f"the page of {paper} was not written: see above")


def count_tables(file: Path) -> dict[str, Any]:
    """What a page's tables could be filled with.

    Args:
        file: the page's tables.json.

    Returns:
        tables: how many there are. missing: keys of those without a figure of ours. otherwise: keys of those that were
        filled from part of the paper's corpora, or from other corpora.

    Raises:
        UserError: the file is not there or holds no tables.
    """
    content = read_json(file)
    if not isinstance(content, Mapping) or not isinstance(content.get("tables"), list):
        raise UserError(f"{file}: holds no tables: remove its folder and run the same command again")
    in_sections = [section["table"] for section in content.get("sections") or [] if section.get("table")]
    tables = [*content["tables"], *in_sections]
    incomplete = [table for table in tables if table.get("missing")]
    return {"tables": len(tables), "missing": [table["key"] for table in incomplete if not table.get("filled")],
            "otherwise": [table["key"] for table in incomplete if table.get("filled")]}


def _sentences(answer: Mapping[str, Any]) -> list[str]:
    seconds = ", ".join(f"{stage} {taken:.0f}" for stage, taken in answer["seconds"].items())
    lines = [f"seconds by stage: {seconds}" if seconds else "everything was up to date"]
    if answer["missing"]:
        lines.append(f"{len(answer['missing'])} of {answer['tables']} tables could not be filled: "
                     f"{', '.join(answer['missing'])}; the page says what each lacks")
    if answer["otherwise"]:
        lines.append(f"{len(answer['otherwise'])} of {answer['tables']} tables rest on other data than the paper's: "
                     f"{', '.join(answer['otherwise'])}; the page says on which")
    return [*lines, f"the page: {answer['page']}"]
