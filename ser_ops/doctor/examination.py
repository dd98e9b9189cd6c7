"""Every check of the project, this machine and its servers, in turn."""

from collections.abc import Iterator
from pathlib import Path

from ser_ops.config.params import load_params
from ser_ops.doctor import data, machine, servers
from ser_ops.doctor.finding import Finding
from ser_ops.errors import UserError


def examine(folder: Path = Path(), cache: bool = False) -> Iterator[Finding]:
    """Check the project in `folder`, this machine and the servers that its environment names.

    cache: read every file of DVC's cache too (of the project in the current folder). Findings come as they are made.
    Nothing is changed anywhere. A server that does not answer costs at most tracking.timeout seconds. When params.yaml
    cannot be read, that is the last finding.
    """
    yield from machine.check_installed(folder)
    yield from machine.check_secrets(folder)
    try:
        params = load_params(folder / "params.yaml")
    except UserError as error:
        fault, _, mend = str(error).rpartition(": ")
        yield Finding("project", "params.yaml", "fault", fault or mend, mend if fault else "mend the file")
        return
    yield Finding("project", "params.yaml", "ok", f"preset {params.preset}, model {params.train.model}, "
                  f"corpora {', '.join(params.data.names)}")
    yield from data.check_folders(folder, params)
    yield from machine.check_machine(params)
    yield from data.check_data(folder, params)
    yield from data.check_lock_files(folder)
    if cache:
        yield from data.check_cache()
    yield from servers.check_servers(folder, params)
