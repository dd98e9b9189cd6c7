"""What stands around SeaweedFS's process: its folder, and the sockets in /tmp that it leaves behind."""

import tempfile
from collections.abc import Iterable
from pathlib import Path


def make(data: Path) -> None:
    """Make the folder, readable by its owner alone: its content needs no password."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)


def sweep(ports: Iterable[int]) -> None:
    """Remove the sockets of a server that is gone."""
    for port in ports:
        for leftover in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            leftover.unlink(missing_ok=True)
