"""Credentials that stand where others can read them, and defaults that would trust a stranger's file."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ser_ops.doctor.finding import Finding

PICKLE = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_PASSWORD_IN_URI = re.compile(r"\w://[^\s/@'\"]*:[^\s/@'\"$]+@")
_KEY_IN_DVC = re.compile(r"^\s*(secret_access_key|access_key_id|password|session_token)\s*=", re.MULTILINE)


def look(folder: Path) -> Iterator[Finding]:
    """Passwords in the files of the project, the environment file's mode, and pickle."""
    found = False
    for finding in (*_in_files(folder), *_readable(folder), *_pickle()):
        found = True
        yield finding
    if not found:
        yield Finding("secrets", "credentials", "ok", "none in the project's files")


def _in_files(folder: Path) -> Iterator[Finding]:
    for name in ("params.yaml", ".dvc/config", "prefect.yaml"):
        file = folder / name
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if _PASSWORD_IN_URI.search(text) or (name == ".dvc/config" and _KEY_IN_DVC.search(text)):
            yield Finding("secrets", name, "fault", "holds a credential, and is committed",
                          "take it out and give it in the environment (AWS_*, MLFLOW_TRACKING_*, PG*); then change it")


def _readable(folder: Path) -> Iterator[Finding]:
    for name in ("infra/.env", ".env"):
        file = folder / name
        if not file.is_file():
            continue
        if file.stat().st_mode & 0o077:
            yield Finding("secrets", name, "fault", "other users of this machine can read it", f"chmod 600 {name}")
        asked = ["git", "ls-files", "--error-unmatch", name]
        if shutil.which("git") and subprocess.run(asked, cwd=folder, capture_output=True, check=False).returncode == 0:
            yield Finding("secrets", name, "fault", "is committed to git", f"git rm --cached {name}; then change every "
                          "password in it")


def _pickle() -> Iterator[Finding]:
    if os.environ.get(PICKLE, "false").lower() in ("1", "true"):
        yield Finding("secrets", PICKLE, "warning", "is true: a pickled model runs whatever code it holds",
                      f"unset {PICKLE}: the project's own models hold no pickle")
