"""The .env file of a stack: passwords made at random, where they are missing, and ports."""

import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path


def read(file: Path) -> dict[str, str]:
    """NAME=value lines of a .env file; empty where there is none."""
    if not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#") and "=" in line)


def complete(file: Path, passwords: Sequence[str], ports: Sequence[str] = ()) -> dict[str, str]:
    """Read a .env file and add what it lacks: random passwords and, for `ports`, ports that are free now.

    The file is readable by its owner alone.
    """
    there = read(file)
    added = {name: _password(name) for name in passwords if not there.get(name)}
    free = _free_ports(len(ports))
    added |= {name: str(free.pop()) for name in ports if not there.get(name)}
    if added:
        before = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        kept = [line for line in before if line.strip().split("=", 1)[0] not in added]
        _write_for_owner(file, [*kept, *(f"{name}={value}" for name, value in added.items())])
    return there | added


def _write_for_owner(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
        new.write("\n".join(lines) + "\n")
    temporary.replace(file)


def _password(name: str) -> str:
    word = secrets.token_hex(20)
    return f"admin:{word}" if name.endswith("_AUTH_STRING") else word  # Prefect's form is USER:PASSWORD


def _free_ports(count: int) -> list[int]:
    """Ports below the range from which the system gives out ephemeral ones, so that nobody takes them by chance."""
    ports: list[int] = []
    while len(ports) < count:
        port = 10_000 + secrets.randbelow(20_000)
        if port not in ports and is_free(port):
            ports.append(port)
    return ports


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
