"""Copies of the project as a clone would be, with the smallest data and settings that still run every stage."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from ser_ops.config.params import PRESET_SECTIONS

PROJECT = Path(__file__).resolve().parents[1]

# What is kept of the embedded corpora: every speaker, every emotion, one or a few recordings of each.
FEW = {"synthetic_ravdess": "Actor_*/03-01-*-01-01-01-*.flac", "synthetic_crema_d": "AudioWAV/*_DFA_*.flac",
       "synthetic_tess": "*/*_ba*_*.flac", "synthetic_savee": "*/*01.flac"}


def copy_project(folder: Path, **changes: Any) -> None:
    """Copy all files that git tracks or would track.

    Args:
        folder: where to, not there yet.
        changes: settings, as `change_settings` takes them.
    """
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=PROJECT, capture_output=True,
                            text=True, check=True).stdout
    for file in filter(None, listed.split("\0")):
        if (PROJECT / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / file, folder / file)
    change_settings(folder, **changes)


def change_settings(folder: Path, **changes: Any) -> None:
    """Change settings of a copy, at any depth; what is not named stays.

    Args:
        folder: the copy.
        changes: sections of params.yaml; those under `reproduction` are of reproduction/params.yaml, and those under
            `presets` of the preset that is named there.
    """
    reproduction, presets = changes.pop("reproduction", {}), changes.pop("presets", {})
    files = {f"presets/{name}.yaml": sections for name, sections in presets.items()}
    for name, sections in {"params.yaml": changes, "reproduction/params.yaml": reproduction, **files}.items():
        if sections:
            file = folder / name
            settings = yaml.safe_load(file.read_text(encoding="utf-8"))
            _merge(settings, sections)
            file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def write_settings(folder: Path, values: Mapping[str, Any] | None = None) -> None:
    """Write params.yaml and presets/ into a folder that is no copy of the project.

    Args:
        folder: where to.
        values: content of params.yaml, the project's by default. A preset that it names and the project lacks is
            written too, and changes nothing.
    """
    settings = values or yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")
    shutil.copytree(PROJECT / "presets", folder / "presets", dirs_exist_ok=True)
    preset = folder / "presets" / f"{settings['preset']}.yaml"
    if not preset.exists():
        preset.write_text(yaml.safe_dump({name: {} for name in PRESET_SECTIONS}), encoding="utf-8")


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(settings.get(name), dict):
            _merge(settings[name], value)
        else:
            settings[name] = value


def keep_few(data: Path) -> int:
    """Remove most recordings of the embedded corpora; `dvc commit data.dvc` then makes that the data of the copy.

    Args:
        data: folder data/ of a copy, pulled.

    Returns:
        How many recordings are left.
    """
    left = 0
    for corpus, pattern in FEW.items():
        kept = set((data / "corpora" / corpus).glob(pattern))
        assert kept, f"{corpus}: no recording is named like {pattern}"
        left += len(kept)
        for recording in (data / "corpora" / corpus).rglob("*.flac"):
            if recording not in kept:
                recording.unlink()
    return left


def at_moment(environment: Mapping[str, str], what: Literal["KILLED_BEFORE", "HELD_BEFORE"],
              target: str) -> dict[str, str]:
    """Variables with which a command is killed, or stands still, just before a stage renames an output to `target`.

    Args:
        environment: what the command gets beside them, where its PYTHONPATH is taken from.
        what: how that moment ends, as moments/sitecustomize.py says.
        target: pattern of a path, relative to the workspace.
    """
    path = [str(Path(__file__).with_name("moments")), environment["PYTHONPATH"]]
    return {"PYTHONPATH": os.pathsep.join(path), what: target}
