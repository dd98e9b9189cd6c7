"""Checkpoints of a training: safetensors and JSON, never a pickle, and never half of one.

A folder holds epoch-0007/ with model, best and optimiser as safetensors and state.json. It is written beside and
renamed, and only then is the one before removed: at any moment the newest epoch-* folder is whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.training.history import Epoch, best_epoch

State = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on after its last epoch, on the CPU."""

    model: State
    best: State
    optimiser: State
    history: tuple[Epoch, ...]


def fingerprint(settings: object, files: Iterable[Path] = (), tensors: Mapping[str, Tensor] | None = None) -> str:
    """32 hexadecimal digits of settings (as JSON), the bytes of files, tensors, and the version of torch.

    >>> fingerprint({"epochs": 3}) == fingerprint({"epochs": 3}), fingerprint({"epochs": 3}) == fingerprint({})
    (True, False)
    """
    digest = hashlib.sha256(json.dumps([torch.__version__, settings], sort_keys=True, default=str).encode())
    for path in files:
        digest.update(sha256(path).encode())
    for name, tensor in sorted((tensors or {}).items()):
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def to_cpu(state: Mapping[str, Tensor]) -> State:
    """A copy of a state on the CPU, each tensor with memory of its own."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}


def save(folder: Path, mark: str, model: Mapping[str, Tensor], optimiser: Mapping[str, Tensor],
         history: Sequence[Epoch]) -> None:
    """Add the checkpoint of the last epoch of `history`, then remove older ones.

    The best weights are this epoch's, or those of the checkpoint before. Raises UserError when the disk is full;
    the checkpoint before then stands.
    """
    epoch = history[-1].epoch
    target, beside = folder / f"epoch-{epoch:04d}", folder / f".epoch-{epoch:04d}.part"
    before = _epochs(folder)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save_file(to_cpu(model), beside / "model.safetensors")
        save_file(to_cpu(optimiser), beside / "optimiser.safetensors")
        source = beside / "model.safetensors" if best_epoch(history).epoch == epoch else before[-1] / "best.safetensors"
        _link_or_copy(source, beside / "best.safetensors")
        (beside / "state.json").write_text(
            json.dumps({"format": 2, "fingerprint": mark, "history": [asdict(epoch) for epoch in history]}))
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)
    except (OSError, SafetensorError) as error:   # the latter is how safetensors reports a full disk
        shutil.rmtree(beside, ignore_errors=True)
        raise UserError(f"{folder}: the checkpoint of epoch {epoch} cannot be written ({error}): free space, then run "
                        "the same command again") from error
    for old in before:
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, mark: str) -> Checkpoint | None:
    """The newest checkpoint, or None when there is none of this training (`mark` is its fingerprint)."""
    for newest in reversed(_epochs(folder)):
        try:
            state = read_json(newest / "state.json")
            if state.get("format") == 2 and state["fingerprint"] == mark:
                return Checkpoint(load_file(newest / "model.safetensors"), load_file(newest / "best.safetensors"),
                                  load_file(newest / "optimiser.safetensors"),
                                  tuple(Epoch(**entry) for entry in state["history"]))
        except (UserError, OSError, SafetensorError, KeyError, TypeError):   # damaged: the one before will do
            continue
    return None


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*[0-9]"))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
