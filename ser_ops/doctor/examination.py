"""Every check, one after another; one that cannot be made because params.yaml is wrong says so."""

from collections.abc import Iterator
from pathlib import Path

from ser_ops.config.params import load_params
from ser_ops.doctor import machine, servers
from ser_ops.doctor.finding import Finding
from ser_ops.errors import UserError


def examine(folder: Path = Path(), cache: bool = False) -> Iterator[Finding]:
    """Look at the project in `folder`, this machine and the servers that its environment names.

    `cache`: every file of DVC's cache too (of the project in the current folder).

    Findings come as they are made. Nothing is changed anywhere; a server that does not answer costs at most
    tracking.timeout seconds.
    """
    yield from machine.look_at_versions(folder)
    yield from machine.look_at_secrets(folder)
    try:
        params = load_params(folder / "params.yaml")
    except UserError as error:
        fault, _, mend = str(error).rpartition(": ")
        yield Finding("project", "params.yaml", "fault", fault or mend, mend if fault else "mend the file")
        return
    yield Finding("project", "params.yaml", "ok", f"preset {params.preset}, model {params.train.model}, "
                  f"corpora {', '.join(params.data.names)}")
    yield from machine.folders(folder, params)
    yield from machine.look_at_machine(params)
    yield from machine.look_at_data(folder, params)
    yield from machine.lock_files(folder)
    if cache:
        yield from machine.cache()
    yield from servers.look_at_servers(folder, params)
