"""Cores, threads and the device that trains.

What is installed, held against what the project was tested with.

Credentials that stand where others can read them, and defaults that would trust a stranger's file.

Folders, free space, and whether the recordings are the ones that data.dvc names.
"""

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
from ser_ops.documents import parse_json
from ser_ops.errors import UserError
from ser_ops.folders import HIDDEN, list_contents
from ser_ops.progress.spreading import worker_count
from ser_ops.workspace import cut_lock_files, environment


def look_at_machine(params: Params) -> Iterator[Finding]:
    """Cores that this process may use, memory, threads per process, and what compute.device means here."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("machine", "cores", "ok", f"{worker_count(0)} cores, {memory:.0f} GiB of memory")
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads not in (None, "1") and worker_count(0) > 1:
        yield Finding("machine", "threads", "warning", f"OMP_NUM_THREADS is {threads}",
                      "set it to 1: there is a process per core already, and more threads only slow each other")
    yield _device(params)


def _device(params: Params) -> Finding:
    import torch

    from ser_ops.device import device_of
    try:
        name = str(device_of(params.compute.device))
    except UserError as error:
        fault, _, mend = str(error).rpartition(": ")
        return Finding("machine", "device", "fault", fault, mend)
    if name == "cpu":
        slow = "" if params.chosen.wav2vec.checkpoint is None else ": slow for a Wav2Vec 2.0 of full size"
        return Finding("machine", "device", "ok", f"cpu{slow}")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("machine", "device", "ok", f"{name}: {', '.join(gpus)}, CUDA {torch.version.cuda}")


SHOWN = ("ser-ops", "torch", "transformers", "mlflow", "prefect", "dvc", "optuna", "great-expectations", "librosa",
         "boto3")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?:;(.+))?")     # with the Pythons that it is for


def look_at_versions(folder: Path) -> Iterator[Finding]:
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


PICKLE = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_PASSWORD_IN_URI = re.compile(r"\w://[^\s/@'\"]*:[^\s/@'\"$]+@")
_KEY_IN_DVC = re.compile(r"^\s*(secret_access_key|access_key_id|password|session_token)\s*=", re.MULTILINE)


def look_at_secrets(folder: Path) -> Iterator[Finding]:
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


_PATIENCE = 1800    # seconds for dvc status, which reads every file that is new to it
_NAMED = 3          # odd files that are named each; of more the number is enough


def look_at_data(folder: Path, params: Params) -> Iterator[Finding]:
    """The corpora and noise that params.yaml lists, and DVC's view of them."""
    if not (folder / params.paths.data).is_dir():
        named = (folder / "data.dvc").is_file()
        yield Finding("data", str(params.paths.data), "warning" if named else "fault", "is not here",
                      "dvc pull data.dvc (the demo and the flows do it by themselves)" if named else
                      "ser-ops corpora add, then dvc add data")
        return
    yield from _listed(folder, params)
    yield from _checkpoints(params)
    odd = list(_odd(folder / params.paths.data))
    yield from odd or _versioned(folder)   # of what is no file DVC speaks in riddles, and a pipe it would wait for


def cache() -> Iterator[Finding]:
    """Every file of DVC's cache; costs as much as reading it."""
    from ser_ops.storage.cache import damaged
    bad = damaged()
    for one in bad:
        names = ", ".join(map(os.path.relpath, one.paths)) or "of no output of now"
        yield Finding("data", os.path.relpath(one.file), "fault", f"is damaged ({names})", "ser-ops doctor --mend")
    if not bad:
        yield Finding("data", "DVC's cache", "ok", "every file is what its name says")


def lock_files(folder: Path) -> Iterator[Finding]:
    """What DVC keeps of the stages that are done; it refuses all work while one of these files is damaged."""
    for file in cut_lock_files(folder):
        yield Finding("data", os.path.relpath(file, folder), "fault", "is cut short or damaged: DVC refuses it",
                      "ser-ops doctor --mend removes it; what was done comes back from DVC's run cache")


def folders(folder: Path, params: Params) -> Iterator[Finding]:
    """The folders under paths in params.yaml: writable, with space left."""
    paths = params.paths
    places = [folder / path for path in (paths.data, paths.work, paths.state, paths.reports)]
    closed = [place for place in places if not os.access(_nearest(place), os.W_OK)]
    free = shutil.disk_usage(_nearest(places[1])).free / 1e9
    if closed:
        yield Finding("project", "paths", "fault", f"{', '.join(map(str, closed))} cannot be written",
                      "make them writable, or name others under paths in params.yaml")
    elif free < 1:
        yield Finding("project", "paths", "warning", f"{free:.1f} GB are free in {places[1]}", "free space")
    else:
        yield Finding("project", "paths", "ok", f"{', '.join(str(place) for place in places)}; {free:.0f} GB free")
    if unsent := sorted((folder / params.paths.state / "tracking").glob("*.jsonl")):
        runs = ", ".join(file.stem for file in unsent[:3])
        yield Finding("project", "tracking journal", "warning", f"{len(unsent)} runs have records that their server "
                      f"never got: {runs}", "start the server and run dvc repro again")


def _nearest(place: Path) -> Path:
    return next(one for one in (place, *place.absolute().parents) if one.exists())


def _listed(folder: Path, params: Params) -> Iterator[Finding]:
    data = folder / params.paths.data
    listed = {"corpora": params.data.corpora, "manifests": tuple(one.name for one in params.data.manifests),
              "noise": params.data.noise}
    add = {"corpora": "corpora add", "manifests": "corpora add manifest", "noise": "noise add"}
    for kind, names in listed.items():
        section = f"data.{kind}"
        missing = [name for name in names if not (data / kind / name).is_dir()]
        if missing:
            yield Finding("data", section, "fault", f"not in {data / kind}: {', '.join(missing)}",
                          f"ser-ops {add[kind]}, or take it out of {section} in params.yaml")
        else:
            yield Finding("data", section, "ok", ", ".join(names) or "none")


def _checkpoints(params: Params) -> Iterator[Finding]:
    """Those that the preset in force names: whether they are the revision that stands beside them."""
    for section in ("wav2vec", "vit", "beit"):
        settings = getattr(params.chosen, section)
        if settings.checkpoint is None:
            continue
        from ser_ops.models.checkpoint import origin

        where = f"{section}.checkpoint"
        try:
            found = origin(settings.checkpoint, settings.revision, section)
        except UserError as error:
            fault, _, mend = str(error).rpartition(": ")
            yield Finding("data", where, "warning", fault, mend)
            continue
        if found.absent:
            yield Finding("data", where, "warning", f"{settings.checkpoint}: {found.absent}",
                          "without the hub it comes from this machine's cache, or from a folder in paths.pretrained")
        else:
            yield Finding("data", where, "ok", f"{settings.checkpoint}, revision {settings.revision}")


def _odd(data: Path) -> Iterator[Finding]:
    """What lies below data/ and can be no recording, whatever its name."""
    try:
        skipped = list_contents(data).skipped
    except UserError as error:
        yield Finding("data", str(data), "fault", *str(error).rsplit(": ", 1))
        return
    odd = [(path, why if why != HIDDEN else "no file") for path, why in skipped.items()
           if why != HIDDEN or not (os.path.isfile(data / path) or os.path.isdir(data / path))]
    for path, why in odd[:_NAMED]:
        more = f" (and {len(odd) - _NAMED} more like it)" if len(odd) > _NAMED and path == odd[_NAMED - 1][0] else ""
        yield Finding("data", f"{str(data / path)!r}", "fault", f"{why.partition(':')[0]}{more}",
                      "rename it, or move it out of data" if "UTF-8" in why else "move it out of data")


def _versioned(folder: Path) -> Iterator[Finding]:
    if not (folder / "data.dvc").is_file():
        yield Finding("data", "data.dvc", "warning", "is not here", "dvc add data")
        return
    try:
        done = subprocess.run([sys.executable, "-m", "dvc", "status", "--json", "data.dvc"], cwd=folder,
                              env=environment(), capture_output=True, encoding="utf-8", errors="replace", check=False,
                              timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        yield Finding("data", "data.dvc", "fault", f"dvc status did not end within {_PATIENCE / 60:.0f} minutes",
                      "run dvc status data.dvc and see what it waits for")
        return
    if done.returncode:
        yield Finding("data", "data.dvc", "fault", _fault(done.stderr), "mend what dvc status says")
        return
    try:
        changed = parse_json(done.stdout or "{}", "dvc status", "mend what it says")
    except UserError as error:
        yield Finding("data", "data.dvc", "fault", *str(error).rsplit(": ", 1))
        return
    if changed:
        yield Finding("data", "data.dvc", "warning", "the recordings are not those that it names",
                      "dvc add data to keep them, dvc checkout data.dvc to go back")
    else:
        yield Finding("data", "data.dvc", "ok", "the recordings are those that it names")


def _fault(said: str) -> str:
    """The line of DVC's that says what is wrong; chatter stands below it.

    >>> _fault("ERROR: unexpected error - no such file\\n\\nHaving any troubles? Hit us up at https://dvc.org/support")
    'unexpected error - no such file'
    """
    lines = [line for line in said.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("ERROR")),
                lines[0] if lines else "dvc status failed").removeprefix("ERROR: ")
