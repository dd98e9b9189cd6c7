"""What the official PostgreSQL image does before its command, for Debian's PostgreSQL: make the data folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ser_ops.errors import UserError

_DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path:
    """The folder of PostgreSQL's programs.

    Raises UserError when PostgreSQL is not installed.
    """
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise UserError("PostgreSQL is not installed: apt-get install postgresql")
    return versions[-1].parent


def account() -> str | None:
    """The account under which PostgreSQL runs: None for one's own, another when one is root (it refuses root)."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise UserError("PostgreSQL does not run as root, and there is no user postgres: run as another user")


def make(data: Path, environment: Mapping[str, str], script: Path) -> None:
    """Make the data folder, where it is missing, with a password for everyone, and run `script` on it once.

    A folder that is there is whole: it is made beside its place and renamed.
    """
    if (data / "PG_VERSION").is_file():
        return
    user = account()
    data.parent.mkdir(parents=True, exist_ok=True)
    for leftover in data.parent.glob(".new-*"):
        shutil.rmtree(leftover)
    holder = Path(tempfile.mkdtemp(prefix=".new-", dir=data.parent))
    if user:
        shutil.chown(holder, user, user)
        _check_reachable(holder, user)
    new, password = holder / "data", holder / "password"
    password.touch(0o600)
    password.write_text(environment["POSTGRES_PASSWORD"])
    if user:
        shutil.chown(password, user, user)

    def run(*command: str, **extra: str) -> None:
        done = subprocess.run(command, env={**environment, **extra}, cwd=holder, user=user, group=user,
                              extra_groups=[] if user else None, capture_output=True, text=True)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no word from it"]
            raise UserError(f"{data}: {Path(command[0]).name} failed: {lines[-1]}")

    run("initdb", "--pgdata", str(new), "--username", environment["POSTGRES_USER"], "--pwfile", str(password),
        "--encoding=UTF8", "--locale=C.UTF-8", *environment["POSTGRES_INITDB_ARGS"].split())
    # The sockets' folder by its relative name: a socket's path is at most 107 characters long.
    options = "-c listen_addresses= -c unix_socket_directories=."
    run("pg_ctl", "start", "--wait", "--silent", "--pgdata", str(new), "--log", str(holder / "log"), "-o", options)
    try:
        os.chmod(holder, 0o755)
        shutil.copy(script, holder / script.name)
        os.chmod(holder / script.name, 0o755)
        run("bash", script.name, PGHOST=str(new), PGPASSWORD=environment["POSTGRES_PASSWORD"])
    finally:
        run("pg_ctl", "stop", "--wait", "--silent", "--mode=fast", "--pgdata", str(new))
    new.rename(data)
    shutil.rmtree(holder)


def _check_reachable(folder: Path, user: str) -> None:
    done = subprocess.run(["test", "-w", str(folder)], user=user, group=user, extra_groups=[], cwd="/")
    if done.returncode:
        raise UserError(f"{folder.parent}: PostgreSQL does not run as root, and the user {user} cannot enter this "
                        "folder: run as another user, or move the stack to a folder that all may enter")
