"""How large a network may be that comes from outside, checked before memory is asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ser_ops.config import MOST_PARAMETERS, MOST_VALUES
from ser_ops.errors import UserError

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
