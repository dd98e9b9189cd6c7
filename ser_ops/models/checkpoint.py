"""Checkpoints of the transformers library: read with care, and kept as a configuration that needs no hub.

How large a network may be that comes from outside, checked before memory is asked for.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from ser_ops.config import MOST_PARAMETERS, MOST_VALUES
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.models.checkpoint_revision import origin

LARGEST = 2**17     # of any number in a configuration; labels of an image model that learnt 22,000 classes are the most
_MOST_LAYERS = 128
_LAYERS = ("num_hidden_layers", "num_feat_extract_layers", "num_adapter_layers", "conv_dim", "conv_kernel",
           "conv_stride")


def check_numbers(values: Any, where: str, remedy: str) -> None:
    """Raises UserError where a configuration holds a number beyond LARGEST, or more layers than any network has."""
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: is no configuration of a network: {remedy}")
    layers = _LAYERS + (("num_conv_pos_embeddings",) if values.get("model_type") == "data2vec-audio" else ())
    for key, value in values.items():
        if beyond := [number for number in _numbers(value) if not -LARGEST <= number <= LARGEST]:
            raise UserError(f"{where}: {key} is {beyond[0]:g}: at most {LARGEST:,}: {remedy}")
        number = len(value) if isinstance(value, list | tuple) else value
        if key in layers and isinstance(number, int | float) and number > _MOST_LAYERS:
            raise UserError(f"{where}: {key} makes {number:g} layers: at most {_MOST_LAYERS}: {remedy}")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(inner)


def check_network(config: Any, where: str, values: float, make: Callable[[], nn.Module]) -> None:
    """Raises UserError where a configuration gives no network, or one beyond MOST_PARAMETERS or MOST_VALUES.

    `make` makes the network, here without memory. values: that its widest layer gives for one window.
    """
    if values > MOST_VALUES:
        raise UserError(f"{where}: one of its layers has {values:,.0f} values for one window: at most {MOST_VALUES:,}: "
                        "shorten the window, or choose a smaller network")
    if config.num_attention_heads < 1:
        raise UserError(f"{where}: num_attention_heads is {config.num_attention_heads}: at least 1")
    if torch.get_default_device().type == "meta":
        return      # it is drawn up so anyway, and counted with the rest of its model
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):   # some layers draw even so
            network = make()
    except Exception as error:  # a library's own checks raise many kinds
        raise UserError(f"{where}: not a {config.model_type} configuration ({_said(error)}): restore the folder, "
                        "or get the checkpoint again") from error
    number = sum(parameter.numel() for parameter in network.parameters())
    if number > MOST_PARAMETERS:
        raise UserError(f"{where}: its network has {number:,} parameters: at most {MOST_PARAMETERS:,}: choose a "
                        "smaller one")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


_ASKED = {"output_hidden_states": False, "output_attentions": False, "return_dict": True}  # the models ask themselves
GET_AGAIN = "get the checkpoint again"
Settle = Callable[[PreTrainedConfig, Mapping[str, Any]], PreTrainedConfig]


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars, reports of unused weights or retries while a checkpoint loads; what matters is checked and raised."""
    before = [(log, log.get_verbosity()) for log in (transformers.utils.logging, huggingface_hub.utils.logging)]
    bars = transformers.utils.logging.is_progress_bar_enabled()
    try:
        transformers.utils.logging.disable_progress_bar()
        for log, _ in before:
            log.set_verbosity(logging.CRITICAL)
        yield
    finally:
        for log, verbosity in before:
            log.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def read(name: str, revision: str | None, section: str, settle: Settle, new: Collection[str] = (),
         **build: Any) -> tuple[Any, Any]:
    """(configuration, network) of a checkpoint by hub name or folder, from safetensors alone, running none of its code.

    Only files of `revision` are read (`checkpoint_revision.origin`). `section` of the preset names both, for messages.
    `settle(configuration, arguments)` checks the family and sets what the settings decide, before any weight is read;
    it gets the arguments by which `from_pretrained` reads the same revision. `new` are the weights that may be absent,
    because they begin the same everywhere. `build` goes to the network's class.
    Raises UserError when the checkpoint cannot be had, or lacks weights of its own architecture.
    """
    with _quiet():
        found = origin(name, revision, section)
        where = found.arguments | {"trust_remote_code": False}
        if Path(name).is_dir():
            check_numbers(read_json(Path(name) / "config.json", GET_AGAIN, GET_AGAIN), name, GET_AGAIN)
        try:
            check_numbers(PreTrainedConfig.get_config_dict(name, **where)[0], name, GET_AGAIN)
            config = AutoConfig.from_pretrained(name, **where)
            config = settle(config, found.arguments)
        except UserError:
            raise
        except Exception as error:  # damaged files raise many kinds
            if not found.absent:
                raise UserError(f"{name}: its config.json cannot be used ({_one_line(error)}): {GET_AGAIN}") from error
            raise UserError(
                f"{name}: no such checkpoint: it is no folder, not in this machine's cache, and {found.absent}: get it "
                f"where there is a network (hf download {name} --revision {where['revision']} --local-dir FOLDER) and "
                f"set {section}.checkpoint in params.yaml to that folder, or to null for random weights") from error
        try:
            network, report = AutoModel.from_pretrained(
                name, config=config, use_safetensors=True, attn_implementation="eager", dtype="float32",
                output_loading_info=True, **where, **build)
        except Exception as error:  # damaged files raise many kinds
            raise UserError(f"{name}: its weights cannot be loaded ({_one_line(error)}): only safetensors are read; "
                            "get the checkpoint again, or convert it with save_pretrained") from error
    missing = sorted(set(report["missing_keys"]) - set(new))
    if missing:
        raise UserError(f"{name}: lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...): get the "
                        "checkpoint again")
    return config, network


def kept_config(values: Mapping[str, Any], families: Collection[str], words: str) -> PreTrainedConfig:
    """The configuration kept with a model (a transformers dictionary).

    Raises UserError when it is none of the `families`, which `words` name.
    """
    kind = values.get("model_type")
    if kind not in families:
        raise UserError(f"backbone_config: model_type {kind!r} is not of {words}: choose one of {', '.join(families)}")
    check_numbers(values, "backbone_config", "restore the model folder")
    try:
        with _quiet():
            return AutoConfig.for_model(**{**values, **_ASKED})
    except Exception as error:  # the library's own checks raise many kinds
        raise UserError(f"backbone_config: not a {kind} configuration ({_one_line(error)}): restore the model "
                        "folder") from error


def empty(config: PreTrainedConfig, **build: Any) -> Any:
    """The network of a configuration with random weights; `build` goes to its class."""
    return AutoModel.from_config(config, attn_implementation="eager", **build)
