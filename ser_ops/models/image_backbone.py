"""ViT and BEiT behind one way to call them."""

import inspect
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig
from transformers.models.beit.modeling_beit import BeitRelativePositionBias

from ser_ops.config import ImageTransformer


class ImageBackbone(nn.Module):
    """Pixels float32 (B, channels, h, w) of the configuration's sizes, in [-1, 1], to one vector each, (B, H).

    ViT: the class token after the last norm. BEiT: the norm of the mean over patch tokens, or the class token where
    its configuration says so (`use_mean_pooling`), as the library's own classifier does it.
    Dropout follows the settings, drop path is off, so that a seed settles everything. What is frozen neither moves
    nor drops out.
    """

    def __init__(self, config: PreTrainedConfig, settings: ImageTransformer, network: Any = None) -> None:
        super().__init__()
        self.config = config
        self.network = network or AutoModel.from_config(
            config, attn_implementation="eager", **own_layers(config.model_type))
        for part in self.network.modules():
            if isinstance(part, BeitRelativePositionBias):
                part.generate_relative_position_index = _relative_positions
        self.frozen = settings.trainable == "frozen"
        self.network.requires_grad_(not self.frozen)
        self.train()

    @property
    def hidden(self) -> int:
        """Width H of the vectors."""
        return self.config.hidden_size

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pixels."""
        return pair(self.config.image_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        (height, width), (tall, wide) = self.size, pair(self.config.patch_size)
        return height // tall, width // wide

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the last block's attention, the last place where patch tokens reach the class token."""
        return self.network.layers[-1].layernorm_before

    def train(self, mode: bool = True) -> "ImageBackbone":
        super().train(mode)
        self.network.train(mode and not self.frozen)
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network(pixels)
        return output.last_hidden_state[:, 0] if self.network.pooler is None else output.pooler_output


def own_layers(family: str) -> dict[str, Any]:
    """What the network's class is told: ViT's pooling layer would be unused, BEiT's is the mean over patches."""
    return {"add_pooling_layer": family == "beit"}


def pair(size: Any) -> tuple[int, int]:
    """Height and width of what a configuration gives as one size or as both."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


@lru_cache(maxsize=32)
def _relative_positions(grid: tuple[int, int]) -> Tensor:
    """Which row of BEiT's table stands for which pair of patches, int64 (1 + patches, 1 + patches).

    The library keeps one for the whole process, which later training cannot use if it was made in inference mode.
    """
    with torch.inference_mode(False), torch.device("cpu"):
        return inspect.unwrap(BeitRelativePositionBias.generate_relative_position_index)(grid)
