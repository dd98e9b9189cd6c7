"""ser-ops reproduce: the papers' tables and figures, what the split is worth, models across corpora."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ser_ops.cli.answers import Json, print_answer
from ser_ops.config.params import load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError

STAGES = "reproduction/dvc.yaml"
Paper = Literal["paper1", "paper2", "splits", "across"]


def reproduce(paper: Annotated[Paper, typer.Argument(help="paper1: tables I to VI; paper2: tables 1 to 4; splits: each "
                                                     "model under three partition protocols; across: train on one "
                                                     "corpus, test on another.")],
              json: Json = False) -> None:
    """Run all that the corpora at hand allow and write its page below reports/; what is up to date is not done again.

    A table that cannot be filled says on the page what is missing and how to get it.
    """
    from ser_ops.workspace import dvc, pull

    folder = load_params().paths.reports / paper
    aloud = partial(print, file=sys.stderr if json else sys.stdout, flush=True)
    pull(say=aloud)
    seconds = {stage.replace("/dvc.yaml:", "/"): round(taken, 1)
               for stage, taken in dvc("repro", f"{STAGES}:{paper}", say=aloud).items()}
    found = {"paper": paper, "page": str(folder / "index.html"), "seconds": seconds, **filled(folder / "tables.json")}
    print_answer(found, json, *_words(found))


def filled(tables: Path) -> dict[str, Any]:
    """How many tables the page has, which could not be filled, and which were filled otherwise than the paper's.

    Otherwise: from part of the paper's corpora, or from others. Keys, from the page's tables.json.

    Raises UserError when the file is not there or is none.
    """
    content = read_json(tables)
    if not isinstance(content, Mapping) or not isinstance(content.get("tables"), list):
        raise UserError(f"{tables}: holds no tables: remove its folder and run the same command again")
    every = [*content["tables"], *(one["table"] for one in content.get("sections") or [] if one.get("table"))]
    lacking = [one for one in every if one.get("missing")]
    return {"tables": len(every), "missing": [one["key"] for one in lacking if not one.get("filled")],
            "otherwise": [one["key"] for one in lacking if one.get("filled")]}


def _words(found: Mapping[str, Any]) -> list[str]:
    took = ", ".join(f"{stage} {taken:.0f}" for stage, taken in found["seconds"].items())
    lines = [f"seconds by stage: {took}" if took else "everything was up to date"]
    if found["missing"]:
        lines.append(f"{len(found['missing'])} of {found['tables']} tables could not be filled: "
                     f"{', '.join(found['missing'])}; the page says what each lacks")
    if found["otherwise"]:
        lines.append(f"{len(found['otherwise'])} of {found['tables']} tables stand on other data than the paper's: "
                     f"{', '.join(found['otherwise'])}; the page says on which")
    return [*lines, f"the page: {found['page']}"]
