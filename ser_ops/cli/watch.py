"""ser-ops watch: what the records of a served model say of it."""

from pathlib import Path
from typing import Annotated

import typer

from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.cli.model import Model, fetch_model
from ser_ops.config.params import PARAMS, load_params_anywhere
from ser_ops.errors import UserError

ALARM = 3       # exit code; 1 and 2 are errors


def watch(records: Annotated[Path, typer.Argument(help="Folder that serve or score wrote with --records, or one of "
                                                  "such folders.", parser=path_argument, metavar="RECORDS")],
          model: Model = None,
          out: Annotated[Path | None, typer.Option(help="Folder for index.html and watch.json. Default: reports/watch "
                                                   "in a project, else ./watch.", parser=path_argument,
                                                   metavar="FOLDER")] = None,
          corrections: Annotated[Path | None, typer.Option(help="CSV: record, emotion. True emotions by the id that "
                                                           "an answer has under record.", parser=path_argument,
                                                           metavar="FILE")] = None,
          baseline: Annotated[Path | None, typer.Option(help="Records of this model from good weeks, to compare with. "
                                                        "Default: the model's reference.", parser=path_argument,
                                                        metavar="RECORDS")] = None,
          reference: Annotated[Path | None, typer.Option(help="Labelled records of the model. Default: those in its "
                                                         "package.", parser=path_argument, metavar="FILE")] = None,
          track: Annotated[bool, typer.Option("--track", help="Log the figures in MLflow too.")] = False,
          json: Json = False) -> None:
    """Say by period whether sound and answers are as they were, and what UAR to expect now. Ends with 3 at an alarm."""
    if track and not PARAMS.exists():
        raise UserError("--track: no project is here (params.yaml), whose experiment the figures would go to: run in a "
                        "project's folder, or leave --track out")
    params = load_params_anywhere()
    folder = fetch_model(params, model)
    from ser_ops.watch.report import Inputs
    from ser_ops.watch.report import watch as watch_records

    target = out or (params.paths.reports / "watch" if PARAMS.exists() else Path("watch"))
    report = watch_records(params, Inputs(records, folder, reference, corrections, baseline), target, track)
    print_answer(report, json, f"{report['verdict']}: {report['words'][0]}", *report["words"][1:], *report["caveats"],
                 *([f"{report['damaged']} damaged lines of logs are left out."] if report["damaged"] else []),
                 str(target / "index.html"))
    if report["alarm"]:
        raise typer.Exit(ALARM)
