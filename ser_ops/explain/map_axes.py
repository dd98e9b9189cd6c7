"""Where in the input the positions of a Grad-CAM map lie: measured on the model, so that no layer's sizes are assumed.

NaN in one column or row of the input reaches exactly those positions that have looked at it, through any
convolution, pooling or activation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

Classify = Callable[[Tensor], object]


@dataclass(frozen=True)
class MapAxis:
    """One axis of a map (positions,) against one axis of the input (length,).

    centres  float64 (positions,), rising: the centre of each position's receptive field, in input steps; a field that
             reaches over the border has its centre where it would lie without the border
    seen     bool (length,): which input steps any position has looked at
    field    steps that one position has looked at; the whole length where attention or a recurrence looks at all
    """

    centres: np.ndarray
    seen: np.ndarray
    field: float

    @classmethod
    def even(cls, positions: int, length: int) -> "MapAxis":
        """Equal shares of the axis, as patches that tile an image have.

        >>> MapAxis.even(2, 8).centres
        array([1.5, 5.5])
        """
        return cls((np.arange(positions) + 0.5) * length / positions - 0.5, np.ones(length, bool), length / positions)

    @classmethod
    def of(cls, reached: np.ndarray) -> "MapAxis":
        """From what reaches what, bool (length, positions), in a chain of layers with constant strides.

        Fields that the border cuts short do not show their centre: the widest ones give the line that all lie on.
        """
        length, positions = reached.shape
        known = np.flatnonzero(reached.any(0))
        first, last = reached.argmax(0), length - 1 - reached[::-1].argmax(0)
        width = (last - first + 1)[known]
        whole = known[width == width.max(initial=0)]
        if len(whole) < 2 or 2 * len(whole) < positions:
            return cls.even(positions, length)
        middle = (first + last)[whole] / 2
        step = (middle[-1] - middle[0]) / (whole[-1] - whole[0])
        return cls(middle[0] + step * (np.arange(positions) - whole[0]), np.asarray(reached.any(1)), float(width.max()))

    @property
    def step(self) -> float:
        """Input steps from one position to the next."""
        count = len(self.centres)
        return float(self.centres[-1] - self.centres[0]) / (count - 1) if count > 1 else float(len(self.seen))

    def weights(self) -> np.ndarray:
        """Linear interpolation between the centres, float64 (length, positions); beyond the outermost ones their value.

        Rows of steps that no position has looked at are 0.

        >>> MapAxis.even(2, 4).weights() @ [0.0, 1.0]
        array([0.  , 0.25, 0.75, 1.  ])
        """
        steps = np.arange(len(self.seen))
        return np.stack([np.interp(steps, self.centres, unit) for unit in np.eye(len(self.centres))], 1) \
            * self.seen[:, None]


def map_axes(classify: Classify, cam_layer: nn.Module, maps: Callable[[Tensor], Tensor], features: Tensor,
             batch_size: int = 32) -> tuple[MapAxis, ...]:
    """The axes of a map, time alone or rows and time.

    classify  features (b, rows, length) to anything; must run `cam_layer`
    maps      the output of `cam_layer` as maps (b, channels, positions) or (b, channels, h, w)
    features  one example, (rows, length), without NaN

    Where every position of that layer has looked at everything, as in a transformer, the positions are those of the
    last two-dimensional convolution with a map of that shape, which cuts the image into patches; without one, even
    shares of the axis.
    """
    shape, patches = _shapes(classify, cam_layer, maps, features)
    layers = [(cam_layer, maps)] + ([(patches, _unchanged)] if patches is not None else [])
    axes = []
    for axis in range(-len(shape), 0):
        length = features.shape[axis]
        local = next((layer for layer in layers
                      if not _reached(classify, *layer, features, axis, [length // 2]).all()), None)
        if local is None:
            axes.append(MapAxis.even(shape[axis], length))
        else:
            axes.append(MapAxis.of(np.concatenate([_reached(classify, *local, features, axis, steps.tolist())
                                                   for steps in torch.arange(length).split(batch_size)])))
    return tuple(axes)


def _unchanged(output: Tensor) -> Tensor:
    return output


class _Enough(Exception):
    """The layer that was asked for has answered: the rest of the model need not run."""


def _output(classify: Classify, layer: nn.Module, features: Tensor) -> Tensor:
    """What `layer` gives, without running what follows it."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(output)
        raise _Enough

    handle = layer.register_forward_hook(keep)
    try:
        # Fast algorithms of cuDNN work on tiles and would spread NaN to neighbours in the same tile.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=False):
            classify(features)
    except _Enough:
        pass
    finally:
        handle.remove()
    if not seen:
        raise ValueError(f"the model does not run the layer {type(layer).__name__} that its cam_layer() names")
    return seen[0]


def _shapes(classify: Classify, cam_layer: nn.Module, maps: Callable[[Tensor], Tensor],
            features: Tensor) -> tuple[tuple[int, ...], nn.Module | None]:
    """The map's shape without channels, and the last convolution over an image whose output has it."""
    ran: list[tuple[nn.Module, tuple[int, ...]]] = []
    handles = [module.register_forward_hook(lambda layer, _inputs, output: ran.append((layer, tuple(output.shape[2:]))))
               for module in _modules(classify) if isinstance(module, nn.Conv2d)]
    try:
        shape = tuple(maps(_output(classify, cam_layer, features[None])).shape[2:])
    finally:
        for handle in handles:
            handle.remove()
    return shape, next((layer for layer, size in reversed(ran) if size == shape and layer is not cam_layer), None)


def _modules(classify: Classify) -> list[nn.Module]:
    return list(classify.modules()) if isinstance(classify, nn.Module) else []


def _reached(classify: Classify, layer: nn.Module, maps: Callable[[Tensor], Tensor], features: Tensor, axis: int,
             steps: Sequence[int]) -> np.ndarray:
    """Which positions along one axis of the map look at these steps of the input's axis: bool (steps, positions)."""
    marked = features.repeat(len(steps), *[1] * features.ndim)
    for example, step in zip(marked, steps, strict=True):
        example.select(axis, step).fill_(torch.nan)
    reached = maps(_output(classify, layer, marked)).isnan().any(1)
    # Of a map over rows and time the other axis goes; a map over time has none.
    return (reached.any(-3 - axis) if reached.ndim == 3 else reached).cpu().numpy()
