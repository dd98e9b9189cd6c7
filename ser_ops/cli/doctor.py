"""ser-ops doctor: what is configured, what answers, and how to mend what does not."""

from dataclasses import asdict
from typing import Annotated

import typer

from ser_ops.cli.answers import Json, print_answer
from ser_ops.terminal import print_line

_MARKS = {"ok": "ok     ", "off": "off    ", "warning": "WARNING", "fault": "FAULT  "}


def doctor(cache: Annotated[bool, typer.Option("--cache", help="Read every file of DVC's cache too.")] = False,
           mend: Annotated[bool, typer.Option("--mend", help="First fetch again what is damaged in DVC's cache, "
                                                   "and remove a dvc.lock that is cut.")]
           = False, json: Json = False) -> None:
    """Look at versions, paths, data, credentials and servers. Ends with 1 when something is at fault."""
    from ser_ops import workspace
    from ser_ops.doctor.examination import examine

    if mend:
        workspace.mend(say=lambda line: print_line(line, aside=True))

    faults, group = 0, ""
    for finding in examine(cache=cache or mend):
        if not json and finding.group != group:
            group = finding.group
            print_line(group)
        remedy = [f"          mend: {finding.mend}"] if finding.mend else []
        print_answer(asdict(finding), json, f"  {_MARKS[finding.verdict]} {finding.subject}: {finding.found}", *remedy)
        faults += finding.verdict == "fault"
    if faults:
        if not json:
            print_line(f"{faults} {'fault' if faults == 1 else 'faults'}")
        raise typer.Exit(1)
