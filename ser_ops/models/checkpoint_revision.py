"""Which weights a checkpoint is: a commit of the hub, or what the files of a folder are."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors

from ser_ops.errors import UserError
from ser_ops.files import sha256

_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint is loaded from: arguments of `from_pretrained`, and why the hub cannot give it, or ""."""

    arguments: dict[str, Any]
    absent: str = ""


def digest(folder: Path) -> str:
    """The revision of a checkpoint in a folder: SHA-256 over names and bytes of its .json and .safetensors files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors") and path.is_file())
    return hashlib.sha256("".join(f"{sha256(path)}  {path.name}\n" for path in files).encode()).hexdigest()


def origin(name: str, revision: str | None, section: str) -> Origin:
    """Where the checkpoint of that revision, and no other one, is loaded from.

    name: a folder, or a name on the hub; revision: what `digest` gives of the folder, or a commit of the hub; section:
    of the preset that names both, for messages. The hub is asked once, for ten seconds at most.
    Raises UserError for a folder of other files, and for what is no commit of the hub; it says what to write.
    """
    if not Path(name).is_dir():
        return _on_the_hub(name, revision, section)
    if (found := digest(Path(name))) != revision:
        other = f"its files are not those of revision {revision}" if revision else "no revision of it is named"
        raise UserError(f"{name}: {other}: set {section}.revision in params.yaml to {found} to train with what is "
                        "there now, or restore the folder")
    return Origin({"local_files_only": True})


def _on_the_hub(name: str, revision: str | None, section: str) -> Origin:
    commit, safe, absent = _asked(name, revision)
    if revision and _COMMIT.fullmatch(revision):
        if commit and not safe:
            raise UserError(f"{name}: its commit {revision} holds no safetensors: name that of a pull request which "
                            f"adds them (https://huggingface.co/{name}/discussions), or convert it elsewhere with "
                            f"save_pretrained and set {section}.checkpoint to that folder")
        return Origin({"revision": revision, "local_files_only": bool(absent)}, absent)
    if not (commit := commit or _kept(name, revision)):
        return Origin({"revision": revision or "main", "local_files_only": True}, absent)   # which is not there
    named = f"{revision} is a name that moves" if revision else "no revision of it is named"
    raise UserError(f"{name}: {named}: set {section}.revision in params.yaml to {commit}, its commit of now")


def _kept(name: str, revision: str | None) -> str:
    """The commit for which a revision stands in this machine's cache, or ""."""
    try:
        file = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision)
    except errors.HFValidationError:
        return ""
    return Path(file).parent.name if isinstance(file, str) else ""


def _asked(name: str, revision: str | None) -> tuple[str, bool, str]:
    """What the hub says of a revision: its commit, whether that holds safetensors, or why neither is known."""
    try:
        found = huggingface_hub.HfApi().model_info(name, revision=revision, timeout=10)
    except errors.RevisionNotFoundError:
        return "", False, f"the hub has no revision {revision} of it"
    except errors.RepositoryNotFoundError:
        return "", False, "the hub has none of that name that you may read"
    except errors.HFValidationError:
        return "", False, "that is no hub name"
    except Exception:  # no network, no answer, told to stay offline
        return "", False, "no hub is in reach"
    return found.sha or "", any(file.rfilename.endswith(".safetensors") for file in found.siblings or ()), ""
