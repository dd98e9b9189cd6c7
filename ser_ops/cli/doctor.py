"""ser-ops doctor: what is configured, what answers, and how to mend what does not."""

from dataclasses import asdict

import typer

from ser_ops.cli.answers import Json, say

_MARKS = {"ok": "ok     ", "off": "off    ", "warning": "WARNING", "fault": "FAULT  "}


def doctor(json: Json = False) -> None:
    """Look at versions, paths, data, credentials and servers. Ends with 1 when something is at fault."""
    from ser_ops.doctor import examine

    faults, group = 0, ""
    for one in examine():
        if not json and one.group != group:
            group = one.group
            print(group)
        mend = f"\n          mend: {one.mend}" if one.mend else ""
        say(asdict(one), json, f"  {_MARKS[one.verdict]} {one.subject}: {one.found}{mend}")
        faults += one.verdict == "fault"
    if faults:
        if not json:
            print(f"{faults} {'fault' if faults == 1 else 'faults'}")
        raise typer.Exit(1)
