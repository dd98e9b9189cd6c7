"""Folders, recordings and checkpoints: what is there, whether it can be used, and whether DVC knows it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ser_ops.config.params import Params
from ser_ops.doctor.finding import Finding
from ser_ops.documents import parse_json
from ser_ops.errors import UserError
from ser_ops.folders import HIDDEN, list_contents
from ser_ops.workspace import cut_lock_files, environment

_PATIENCE = 1800    # seconds for dvc status, which reads every file that is new to it
_NAMED = 3          # odd files that are named each; of more the number is enough


def check_folders(folder: Path, params: Params) -> Iterator[Finding]:
    """The folders under paths in params.yaml: writable, with space left."""
    paths = params.paths
    named = [folder / path for path in (paths.data, paths.work, paths.state, paths.reports)]
    closed = [path for path in named if not os.access(_existing_parent(path), os.W_OK)]
    free = shutil.disk_usage(_existing_parent(folder / paths.work)).free / 1e9
    if closed:
        yield Finding("project", "paths", "fault", f"{', '.join(map(str, closed))} cannot be written",
                      "make them writable, or name others under paths in params.yaml")
    elif free < 1:
        yield Finding("project", "paths", "warning", f"{free:.1f} GB are free in {folder / paths.work}", "free space")
    else:
        yield Finding("project", "paths", "ok", f"{', '.join(map(str, named))}; {free:.0f} GB free")
    if unsent := sorted((folder / params.paths.state / "tracking").glob("*.jsonl")):
        runs = ", ".join(file.stem for file in unsent[:3])
        yield Finding("project", "tracking journal", "warning", f"{len(unsent)} runs have records that their server "
                      f"did not receive: {runs}", "start the server and run dvc repro again")


def _existing_parent(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def check_data(folder: Path, params: Params) -> Iterator[Finding]:
    """The corpora and noise that params.yaml lists, and DVC's view of them."""
    if not (folder / params.paths.data).is_dir():
        named = (folder / "data.dvc").is_file()
        yield Finding("data", str(params.paths.data), "warning" if named else "fault", "is not here",
                      "dvc pull data.dvc (the demo and the flows do it by themselves)" if named else
                      "ser-ops corpora add, then dvc add data")
        return
    yield from _check_listed(folder, params)
    yield from _check_checkpoints(params)
    odd = list(_check_files(folder / params.paths.data))
    yield from odd or _check_dvc(folder)   # DVC's own message about what is no file is unclear; on a pipe it waits


def _check_listed(folder: Path, params: Params) -> Iterator[Finding]:
    data = folder / params.paths.data
    listed = {"corpora": params.data.corpora, "manifests": tuple(manifest.name for manifest in params.data.manifests),
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


def _check_checkpoints(params: Params) -> Iterator[Finding]:
    """The pretrained checkpoints that the preset names: whether they are of the revision that it names."""
    for section in ("wav2vec", "vit", "beit"):
        settings = getattr(params.chosen, section)
        if settings.checkpoint is None:
            continue
        from ser_ops.models.checkpoint import origin

        where = f"{section}.checkpoint"
        try:
            checkpoint = origin(settings.checkpoint, settings.revision, section)
        except UserError as error:
            yield Finding.of_error("data", where, error, "warning")
            continue
        if checkpoint.absent:
            yield Finding("data", where, "warning", f"{settings.checkpoint}: {checkpoint.absent}",
                          "without the hub it comes from this machine's cache, or from a folder in paths.pretrained")
        else:
            yield Finding("data", where, "ok", f"{settings.checkpoint}, revision {settings.revision}")


def _check_files(data: Path) -> Iterator[Finding]:
    """Files below data/ that can be no recordings, whatever their names."""
    try:
        skipped = list_contents(data).skipped
    except UserError as error:
        yield Finding.of_error("data", str(data), error)
        return
    odd = [(path, why if why != HIDDEN else "no file") for path, why in skipped.items()
           if why != HIDDEN or not (os.path.isfile(data / path) or os.path.isdir(data / path))]
    for path, why in odd[:_NAMED]:
        more = f" (and {len(odd) - _NAMED} more like it)" if len(odd) > _NAMED and path == odd[_NAMED - 1][0] else ""
        yield Finding("data", f"{str(data / path)!r}", "fault", f"{why.partition(':')[0]}{more}",
                      "rename it, or move it out of data" if "UTF-8" in why else "move it out of data")


def _check_dvc(folder: Path) -> Iterator[Finding]:
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
        yield Finding("data", "data.dvc", "fault", _dvc_fault(done.stderr), "mend what dvc status says")
        return
    try:
        changed = parse_json(done.stdout or "{}", "dvc status", "mend what it says")
    except UserError as error:
        yield Finding.of_error("data", "data.dvc", error)
        return
    if changed:
        yield Finding("data", "data.dvc", "warning", "the recordings are not those that it names",
                      "dvc add data to keep them, dvc checkout data.dvc to go back")
    else:
        yield Finding("data", "data.dvc", "ok", "the recordings are those that it names")


def _dvc_fault(said: str) -> str:
    """The first line of DVC's output that names the fault, without the advice below it.

    >>> _dvc_fault("ERROR: unexpected error - no such file\\n\\nHaving any troubles? See https://dvc.org/support")
    'unexpected error - no such file'
    """
    lines = [line for line in said.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("ERROR")),
                lines[0] if lines else "dvc status failed").removeprefix("ERROR: ")


def check_lock_files(folder: Path) -> Iterator[Finding]:
    """dvc.lock and its like: DVC refuses all work while one of these files is damaged."""
    for file in cut_lock_files(folder):
        yield Finding("data", os.path.relpath(file, folder), "fault", "is cut short or damaged: DVC refuses it",
                      "ser-ops doctor --mend removes it; what was done comes back from DVC's run cache")


def check_cache() -> Iterator[Finding]:
    """Every file of DVC's cache: reads all of it."""
    from ser_ops.storage.cache import damaged_files
    bad = damaged_files()
    for entry in bad:
        names = ", ".join(map(os.path.relpath, entry.paths)) or "of no output of now"
        yield Finding("data", os.path.relpath(entry.file), "fault", f"is damaged ({names})", "ser-ops doctor --mend")
    if not bad:
        yield Finding("data", "DVC's cache", "ok", "every file matches its checksum")
