"""Processes that outlive the one who started them: found again by pid and start time, ended with all their children."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARK = "SER_OPS_SERVICE"  # in the environment of a service and of all that it starts, sessions of their own included


def start(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path, record: Path,
          user: str | None = None) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; its pid and start time are kept in the file `record`."""
    for folder_of_its_owner in (log.parent, record.parent):
        folder_of_its_owner.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as lines:
        process = subprocess.Popen(
            list(command), env={**environment, MARK: str(record)}, cwd=folder, stdin=subprocess.DEVNULL, stdout=lines,
            stderr=subprocess.STDOUT, start_new_session=True, user=user, group=user, extra_groups=[] if user else None)
    record.write_text(json.dumps({"pid": process.pid, "started": psutil.Process(process.pid).create_time()}))
    return process


def leader(record: Path) -> psutil.Process | None:
    """The process that `record` names, where it runs still."""
    try:
        written = json.loads(record.read_text())
        process = psutil.Process(written["pid"])
        same = abs(process.create_time() - written["started"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def members(record: Path) -> list[psutil.Process]:
    """Every live process of the service: its children, those of its session and those that carry its mark."""
    try:
        session = json.loads(record.read_text())["pid"]
    except (FileNotFoundError, ValueError):
        return []
    first = leader(record)
    own = {process for process in psutil.process_iter() if _belongs(process, session, str(record))}
    return sorted(own | set(first.children(recursive=True) if first else ()), key=lambda process: process.pid)


def cpu_seconds(record: Path) -> float:
    """Processor seconds of all live processes of the service, and of those of their children that have ended."""
    total = 0.0
    for process in members(record):
        try:
            total += sum(process.cpu_times()[:4])       # its own, user and system, and those of children that ended
        except psutil.Error:
            continue
    return total


def _belongs(process: psutil.Process, session: int, mark: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return os.getsid(process.pid) == session or process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def stop(records: Sequence[Path], how: Sequence[signal.Signals], grace: float) -> None:
    """Ask services to end, each by its own signal, wait at most `grace` seconds, then kill what is left of them."""
    asked = []
    for record, signum in zip(records, how, strict=True):
        if process := leader(record):
            process.send_signal(signum)
            asked.append(process)
    psutil.wait_procs(asked, timeout=grace)
    for record in records:
        kill(record)


def kill(record: Path) -> None:
    """End every process of the service at once (SIGKILL) and wait until none is left."""
    deadline = time.monotonic() + 10
    while (left := members(record)) and time.monotonic() < deadline:
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=2)
    record.unlink(missing_ok=True)
