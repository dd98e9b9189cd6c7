"""What is installed, held against what the project was tested with."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker

from ser_ops.doctor.finding import Finding

SHOWN = ("ser-ops", "torch", "transformers", "mlflow", "prefect", "dvc", "optuna", "great-expectations", "librosa",
         "boto3")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?:;(.+))?")     # with the Pythons that it is for


def look(folder: Path) -> Iterator[Finding]:
    """Python, the tools by name, every pin of requirements.lock for this Python, git."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield (Finding("versions", "Python", "ok", f"{python}, {sys.executable}")
           if (3, 11) <= sys.version_info[:2] <= (3, 13) else
           Finding("versions", "Python", "fault", python, "the project runs on Python 3.11 to 3.13: remove .venv "
                   "and make .venv/installed PYTHON=/path/to/python3.12"))
    yield Finding("versions", "packages", "ok", ", ".join(f"{name} {_installed(name) or 'missing'}" for name in SHOWN))
    lock = folder / "requirements.lock"
    if lock.is_file():
        yield _held_against(lock)
    git = shutil.which("git")
    said = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout if git else ""
    yield (Finding("versions", "git", "ok", said.strip()) if git else
           Finding("versions", "git", "fault", "is not on the path", "install git: DVC and the record of runs need it"))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _held_against(lock: Path) -> Finding:
    pins = {match[1]: match[2] for line in lock.read_text(encoding="utf-8").splitlines()
            if (match := _PIN.match(line)) and (not match[3] or Marker(match[3]).evaluate())}
    # A local part (+cpu, +cu130) tells how a package was built, not which one it is.
    other = [f"{name} {(_installed(name) or 'missing')} for {pin}" for name, pin in pins.items()
             if (_installed(name) or "").partition("+")[0] != pin]
    if not other:
        return Finding("versions", lock.name, "ok", f"all {len(pins)} packages are the pinned ones")
    return Finding("versions", lock.name, "warning", f"{len(other)} of {len(pins)} packages are not the pinned ones: "
                   + ", ".join(other[:5]) + (" ..." if len(other) > 5 else ""),
                   f"{Path(sys.executable).name} -m pip install -r {lock.name}")
