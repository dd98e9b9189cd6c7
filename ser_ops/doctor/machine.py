"""Versions, credentials and hardware: what is installed, what others could read, and what computes here."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker

from ser_ops.config.params import Params
from ser_ops.doctor.finding import Finding
from ser_ops.errors import UserError
from ser_ops.progress.spreading import worker_count

SHOWN = ("ser-ops", "torch", "transformers", "mlflow", "prefect", "dvc", "optuna", "great-expectations", "librosa",
         "boto3")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?:;(.+))?")     # with the Pythons that it is for
PICKLE = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_PASSWORD_IN_URI = re.compile(r"\w://[^\s/@'\"]*:[^\s/@'\"$]+@")
_KEY_IN_DVC = re.compile(r"^\s*(secret_access_key|access_key_id|password|session_token)\s*=", re.MULTILINE)


def check_installed(folder: Path) -> Iterator[Finding]:
    """Python, the tools by name, every pin of requirements.lock for this Python, git."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield (Finding("versions", "Python", "ok", f"{python}, {sys.executable}")
           if (3, 11) <= sys.version_info[:2] <= (3, 13) else
           Finding("versions", "Python", "fault", python, "the project runs on Python 3.11 to 3.13: remove .venv "
                   "and make .venv/installed PYTHON=/path/to/python3.12"))
    yield Finding("versions", "packages", "ok", ", ".join(f"{name} {_installed(name) or 'missing'}" for name in SHOWN))
    lock = folder / "requirements.lock"
    if lock.is_file():
        yield _check_pins(lock)
    git = shutil.which("git")
    said = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout if git else ""
    yield (Finding("versions", "git", "ok", said.strip()) if git else
           Finding("versions", "git", "fault", "is not on the path", "install git: DVC and the record of runs need it"))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check_pins(lock: Path) -> Finding:
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


def check_secrets(folder: Path) -> Iterator[Finding]:
    """Passwords in the files of the project, the environment file's mode, and pickle."""
    clean = True
    for finding in (*_check_committed_files(folder), *_check_environment_files(folder), *_check_pickle()):
        clean = False
        yield finding
    if clean:
        yield Finding("secrets", "credentials", "ok", "none in the project's files")


def _check_committed_files(folder: Path) -> Iterator[Finding]:
    for name in ("params.yaml", ".dvc/config", "prefect.yaml"):
        file = folder / name
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if _PASSWORD_IN_URI.search(text) or (name == ".dvc/config" and _KEY_IN_DVC.search(text)):
            yield Finding("secrets", name, "fault", "holds a credential, and is committed",
                          "take it out and give it in the environment (AWS_*, MLFLOW_TRACKING_*, PG*); then change it")


def _check_environment_files(folder: Path) -> Iterator[Finding]:
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


def _check_pickle() -> Iterator[Finding]:
    if os.environ.get(PICKLE, "false").lower() in ("1", "true"):
        yield Finding("secrets", PICKLE, "warning", "is true: a pickled model runs whatever code it holds",
                      f"unset {PICKLE}: the project's own models hold no pickle")


def check_machine(params: Params) -> Iterator[Finding]:
    """Cores that this process may use, memory, threads per process, and what compute.device means here."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("machine", "cores", "ok", f"{worker_count(0)} cores, {memory:.0f} GiB of memory")
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads not in (None, "1") and worker_count(0) > 1:
        yield Finding("machine", "threads", "warning", f"OMP_NUM_THREADS is {threads}",
                      "set it to 1: there is a process per core already, and more threads only slow each other")
    yield _check_device(params)


def _check_device(params: Params) -> Finding:
    import torch

    from ser_ops.device import device_of
    try:
        name = str(device_of(params.compute.device))
    except UserError as error:
        return Finding.of_error("machine", "device", error)
    if name == "cpu":
        slow = "" if params.chosen.wav2vec.checkpoint is None else ": slow for a Wav2Vec 2.0 of full size"
        return Finding("machine", "device", "ok", f"cpu{slow}")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("machine", "device", "ok", f"{name}: {', '.join(gpus)}, CUDA {torch.version.cuda}")
