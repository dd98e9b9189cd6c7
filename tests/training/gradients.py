"""Gradients of one step over the whole training partition, by one process or by those that torchrun started.

`python gradients.py FOLDER OUT`, FOLDER as `test_training_stages.project` makes it. With BatchNorm live or frozen,
dropout, masks and mixup on or off.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ser_ops.config.params import Params, load_params
from ser_ops.config.training import Training
from ser_ops.stages.training_run import fresh_model, open_examples
from ser_ops.training.loop import fit
from ser_ops.training.world import process_group, process_rank, world_size


class Frozen(nn.Module):
    """BatchNorm by its stored figures, in training too."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.norm.eval()(values)


ALL_OFF = ("dropout", "kind_dropout", "masked_bands", "masked_frames")


def without_draws(params: Params) -> Params:
    """Every probability of dropout and every mask in the model's sections at nothing, and no example over another."""
    sections = {name: getattr(params, name) for name in ("wav2vec", "spectral", "head")}
    changed = {name: section.model_copy(update=dict.fromkeys(set(ALL_OFF) & section.model_fields_set, 0))
               for name, section in sections.items()}
    return params.model_copy(update={"train": params.train.model_copy(update={"mixup": 0.0}), **changed})


def freeze(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, Frozen(child))


def main(folder: str, out: str) -> None:
    os.chdir(folder)
    device = torch.device("cpu")
    loaded = load_params()
    with process_group(device):
        train, validation = (open_examples(loaded, "fusion", partition) for partition in ("train", "validation"))
        for norm, dropout in (("frozen", "off"), ("frozen", "on"), ("live", "off")):
            params = loaded if dropout == "on" else without_draws(loaded)
            one_step = Training(**{**params.train.training().model_dump(), "epochs": 1, "precision": "float32",
                                   "batch_size": len(train),
                                   "gradient_clip": 1e9})
            model = fresh_model(params, "fusion", 1)
            if norm == "frozen":
                freeze(model)
            fit(model, train, validation, one_step, device, quiet=True)
            if process_rank() == 0:
                save_file({name: parameter.grad for name, parameter in model.named_parameters()
                           if parameter.grad is not None},
                          Path(out) / f"{norm}-{dropout}-{world_size()}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
