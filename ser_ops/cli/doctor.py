"""ser-ops doctor: what is configured, what answers, and how to mend what does not."""

from dataclasses import asdict
from typing import Annotated

import typer

from ser_ops.cli.answers import Json, say
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
    for one in examine(cache=cache or mend):
        if not json and one.group != group:
            group = one.group
            print_line(group)
        remedy = [f"          mend: {one.mend}"] if one.mend else []
        say(asdict(one), json, f"  {_MARKS[one.verdict]} {one.subject}: {one.found}", *remedy)
        faults += one.verdict == "fault"
    if faults:
        if not json:
            print_line(f"{faults} {'fault' if faults == 1 else 'faults'}")
        raise typer.Exit(1)
