"""The layers of a built model in their order, in place of a block diagram."""

import torch
from torch import Tensor, nn

from ser_ops.models.base import EmotionModel
from ser_ops.papers.two_results import Layer

_USUAL = {"inplace=False", "bias=True", "dilation=1", "ceil_mode=False", "padding=0", "batch_first=True",
          "start_dim=1", "end_dim=-1"}     # as every layer of its kind has it here


def layers_of(model: EmotionModel, waveform: Tensor, valid: Tensor, features: Tensor) -> tuple[Layer, ...]:
    """Every layer that has no layers of its own, in the order in which it answers, with the shape that it gives.

    waveform float32 (1, N), valid int64 (1,), features float32 (1, ...): one utterance, as the model takes it. Shapes
    are without the batch. A layer that is called twice stands twice, its parameters counted once.
    """
    found: list[Layer] = []
    seen: set[int] = set()

    def look(layer: nn.Module, _inputs: object, output: object) -> None:
        own = 0 if id(layer) in seen else sum(one.numel() for one in layer.parameters())
        seen.add(id(layer))
        shape = " x ".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else ""
        name = "LSTM" if isinstance(layer, nn.LSTM) else type(layer).__name__
        said = [one for one in layer.extra_repr().split(", ") if one and one not in _USUAL]
        found.append(Layer(f"{name}({', '.join(said)})", shape, own))

    hooks = [layer.register_forward_hook(look) for layer in model.modules() if not list(layer.children())]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(waveform, valid, features)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return tuple(found)
