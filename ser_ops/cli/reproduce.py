"""Command `ser-ops reproduce`: runs a stage of reproduction/dvc.yaml through DVC and says what its page holds."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ser_ops.cli.answers import Json, print_answer
from ser_ops.config.params import load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.papers import Paper, run_stages


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
