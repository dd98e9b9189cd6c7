"""Correct a SQLite store that was moved or copied with its project folder, so that it names the artifacts beside it.

MLflow keeps the address of every artifact whole, so that a copy would read, and write, in the folder that it was made
from. What `ser_ops.tracking.runs` makes lies in ARTIFACTS beside the store, and so it is known where it must be.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ser_ops.errors import UserError

ARTIFACTS = "mlartifacts"
_ADDRESSES = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
              ("model_versions", "source"), ("model_versions", "storage_location"))


def artifact_location(file: Path) -> str:
    """The address of the artifacts of a SQLite store: beside its file."""
    return (file.absolute().parent / ARTIFACTS).as_uri()


def moved_from(file: Path) -> Path | None:
    """The folder that a SQLite store was moved or copied from, as far as its addresses tell; None when it is at home.

    Raises sqlite3.Error when the file is no database or is locked. Changes nothing.
    """
    if not file.is_file() or not file.stat().st_size:
        return None
    with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as store:
        old = next(_old_locations(store, file), None)
    return None if old is None else _path(old).parent


def mend_addresses(file: Path) -> str | None:
    """Rewrite the addresses of a SQLite store that was moved or copied, all of them or none.

    Returns what was done, in one line; None when there was nothing to do. Raises UserError when the artifacts were
    left behind in the folder where they were, and sqlite3.Error as `moved_from` does.
    """
    if moved_from(file) is None:
        return None
    home, said = artifact_location(file), []
    with closing(sqlite3.connect(file, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        for old in list(_old_locations(store, file)):
            _check_artifacts(store, old, home, file)
            changed = [store.execute(f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                                     f"WHERE {_lies_below(column)}",
                                     (home, len(old) + 1, old, len(old) + 1, f"{old}/")).rowcount
                       for table, column in _address_columns(store)]
            said.append(f"{_path(old).parent} ({sum(changed)} addresses)")
        store.execute("COMMIT")
    return f"{file}: was moved or copied here from {', '.join(said)}: its models and runs are those in this folder now"


def _old_locations(store: sqlite3.Connection, file: Path) -> Iterator[str]:
    """Addresses of the artifacts of experiments that `ser_ops` made where the store was before."""
    if ("experiments", "artifact_location") not in _address_columns(store):
        return
    home = _path(artifact_location(file))
    for (address,) in store.execute("SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE ?",
                                    (f"%/{ARTIFACTS}",)).fetchall():
        path = _path(address)
        if urlsplit(address).scheme in ("", "file") and path.resolve() != home.resolve() \
                and not (path.exists() and home.exists() and path.samefile(home)):   # by a link or a mount
            yield str(address)


def _check_artifacts(store: sqlite3.Connection, old: str, home: str, file: Path) -> None:
    """Raise UserError when something lies at an old address and not at the new one."""
    for table, column in _address_columns(store):
        for (address,) in store.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {_lies_below(column)}",
                                        (old, len(old) + 1, f"{old}/")):
            if _path(address).exists() and not _path(home + address[len(old):]).exists():
                raise UserError(f"{file}: was copied here without its artifacts: copy {_path(old)} to {_path(home)}, "
                                "then run the same command again")


def _address_columns(store: sqlite3.Connection) -> list[tuple[str, str]]:
    """Those of _ADDRESSES that this version of MLflow's tables has."""
    return [(table, column) for table, column in _ADDRESSES
            if column in {row[1] for row in store.execute(f"PRAGMA table_info({table})")}]


def _lies_below(column: str) -> str:
    return f"({column} = ? OR substr({column}, 1, ?) = ?)"


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path) if address.startswith("file:") else address)
