"""ViT and BEiT of paper 2 (section III-D) on log-mel images.

The backbone is a small network with random weights, a pretrained checkpoint, or what the configuration kept with a
trained model says. In training each image of a batch is cropped at random, on any device.
"""

import inspect
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, BeitConfig, PreTrainedConfig, ViTConfig
from transformers.models.beit.modeling_beit import BeitRelativePositionBias

from ser_ops.config.models import ImageTransformer, MelImage, Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.base import EmotionModel
from ser_ops.models.checkpoint import check_network, kept_config, random_network, read

_ASPECT = 4 / 3     # of a random crop, width to height or height to width, at most
_FLOOR_DB = 80.0    # an image's range: from 80 dB below its loudest value to 0
_BEIT_NORM = {"pooler.layernorm.weight", "pooler.layernorm.bias"}   # 1 and 0 in a checkpoint that was only pretrained


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
            config, attn_implementation="eager", **network_arguments(config.model_type))
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
        return height_width(self.config.image_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        (height, width), (tall, wide) = self.size, height_width(self.config.patch_size)
        return height // tall, width // wide

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the last block's attention: after it no patch token reaches the class token."""
        return self.network.layers[-1].layernorm_before

    def train(self, mode: bool = True) -> "ImageBackbone":
        super().train(mode)
        self.network.train(mode and not self.frozen)
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network(pixels)
        return output.last_hidden_state[:, 0] if self.network.pooler is None else output.pooler_output


def network_arguments(family: str) -> dict[str, Any]:
    """Arguments of the network's class: ViT's pooling layer would be unused, BEiT's is the mean over patches."""
    return {"add_pooling_layer": family == "beit"}


def height_width(size: Any) -> tuple[int, int]:
    """Height and width of what a configuration gives as one size or as both."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


@lru_cache(maxsize=32)
def _relative_positions(grid: tuple[int, int]) -> Tensor:
    """Which row of BEiT's table stands for which pair of patches, int64 (1 + patches, 1 + patches).

    The library keeps one for the whole process, which later training cannot use if it was made in inference mode.
    """
    with torch.inference_mode(False), torch.device("cpu"):
        return inspect.unwrap(BeitRelativePositionBias.generate_relative_position_index)(grid)


class ImageTransformerModel(EmotionModel):
    """A log-mel image, float32 (B, mels, T) in dB from -80 to 0, to logits (B, 7); the waveform is ignored.

    Preprocessing, all in the model so that training and serving cannot differ: decibels to [0, 1], normalised with
    mean 0.5 and deviation 0.5, as the published checkpoints were; resized bilinearly to the backbone's image size;
    repeated for a backbone of three channels. In training only, a random resized crop of each image (paper 2 names
    it, not its range: preset's `crop`). Row 0 of an image stays the lowest band.
    """

    family: ClassVar[str]
    backbone: ImageBackbone

    def __init__(self, preset: Preset, backbone: ImageBackbone) -> None:
        super().__init__(preset)
        self.settings: ImageTransformer = getattr(preset, self.family)
        self.backbone = backbone
        self.head = nn.Linear(backbone.hidden, len(EMOTIONS))

    def pixels(self, features: Tensor) -> Tensor:
        """What the backbone sees: (B, channels, height, width) in [-1, 1]."""
        images = (features[:, None] / _FLOOR_DB + 1 - 0.5) / 0.5
        if self.training:
            boxes = draw_crops(len(images), self.settings.crop, images.device)
            images = resized_crops(images, boxes, self.backbone.size)
        elif images.shape[2:] != self.backbone.size:
            images = functional.interpolate(images, self.backbone.size, mode="bilinear")
        return images.expand(-1, self.backbone.config.num_channels, -1, -1)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        return self.head(self.backbone(self.pixels(features)))

    def cam_layer(self) -> nn.Module:
        """The norm before the last block's attention: tokens (B, 1 + patches, H), the class token first."""
        return self.backbone.last_norm

    def maps(self, output: Tensor) -> Tensor:
        """Tokens (B, 1 + patches, H) as maps (B, H, rows, columns): rows from the lowest band, columns in time."""
        return output[:, 1:].transpose(1, 2).unflatten(2, self.backbone.grid)


class ViTModel(ImageTransformerModel):
    """Vision transformer: a linear head on the class token."""

    name = family = "vit"


class BEiTModel(ImageTransformerModel):
    """BEiT: a linear head on the normalised mean over patch tokens."""

    name = family = "beit"


def draw_crops(number: int, area: tuple[float, float], device: torch.device) -> Tensor:
    """Boxes float32 (number, 4): left, top, width and height as shares of the image, all inside it.

    The share of the area is uniform over `area`; width to height is log-uniform between 3/4 and 4/3, as far as a box
    of that area fits into the image. Draws from torch's generator of the device.
    """
    draws = torch.rand(4, number, device=device)
    share = area[0] + (area[1] - area[0]) * draws[0]
    widest = (-share.log()).clamp_max(math.log(_ASPECT))    # a box of area a fits while a <= ratio <= 1 / a
    stretch = (widest * (2 * draws[1] - 1) / 2).exp()
    width, height = share.sqrt() * stretch, share.sqrt() / stretch
    size = torch.stack([width, height], 1).clamp_max(1.0)
    return torch.cat([(1 - size) * draws[2:].T, size], 1)


def resized_crops(images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Each image (B, C, H, W) inside its box, bilinear, at `size`: (B, C, *size).

    Pixels are areas, as in torch's interpolate without aligned corners; the whole image as its box gives the same.
    """
    height, width = size
    across = boxes[:, 0:1] + boxes[:, 2:3] * _centres(width, images)
    down = boxes[:, 1:2] + boxes[:, 3:4] * _centres(height, images)
    points = torch.stack([across[:, None, :].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], -1)
    return functional.grid_sample(images, 2 * points - 1, padding_mode="border", align_corners=False)


def _centres(number: int, like: Tensor) -> Tensor:
    """Centres of so many equal shares of 0 to 1, on the device of `like`."""
    return (torch.arange(number, device=like.device) + 0.5) / number


def backbone(family: str, settings: ImageTransformer, image: MelImage,
             kept: Mapping[str, Any] | None = None) -> ImageBackbone:
    """A ViT or BEiT: of the kept configuration, else of the checkpoint, else small with random weights.

    `family` is "vit" or "beit". A kept configuration gives random weights and loads nothing. Raises UserError when
    the checkpoint cannot be had, is of another family, or lacks weights of its own architecture, and where sizes do
    not fit.
    """
    if kept is not None:
        config = kept_config(kept, (family,), f"family {family}")
        return ImageBackbone(_with_settings(config, family, settings, "backbone_config"), settings)
    if settings.checkpoint is None:
        where = f"params.yaml and preset: {family}"
        return ImageBackbone(_with_settings(small_config(family, settings, image), family, settings, where), settings)
    name = settings.checkpoint

    def settle(config: PreTrainedConfig, arguments: Mapping[str, Any]) -> PreTrainedConfig:
        return _with_settings(config, family, settings, name)

    config, network = read(name, settings.revision, family, settle, _BEIT_NORM, **network_arguments(family))
    return ImageBackbone(config, settings, network)


def small_config(family: str, settings: ImageTransformer, image: MelImage) -> PreTrainedConfig:
    """A ViT or BEiT of any size for random weights: one channel, the image as it is.

    BEiT learns relative positions in every layer, as the published models do.
    Raises UserError where the image is not whole patches, and for BEiT where it is not square.
    """
    height, width = shape_of(image)
    if height % settings.patch or width % settings.patch:
        raise UserError(f"params.yaml and preset: {family}: an image of {height} x {width} is not whole patches of "
                        f"{settings.patch}: change image.mels, image.hop or {family}.patch")
    sizes: dict[str, Any] = {
        "hidden_size": settings.hidden, "num_hidden_layers": settings.layers, "num_attention_heads": settings.heads,
        "intermediate_size": 4 * settings.hidden, "patch_size": settings.patch, "num_channels": 1,
        "image_size": height if height == width else [height, width]}
    if family == "vit":
        return ViTConfig(**sizes)
    if height != width:
        raise UserError(f"params.yaml and preset: beit: an image of {height} x {width} is not square, which BEiT's "
                        "relative positions need: change image.mels or image.hop")
    return BeitConfig(**sizes, use_relative_position_bias=True)


def _with_settings(config: PreTrainedConfig, family: str, settings: ImageTransformer, where: str) -> PreTrainedConfig:
    """The configuration with what the settings decide; drop path and masking off."""
    if config.model_type != family:
        raise UserError(f"{where}: is a {config.model_type} model, not {family}: choose a checkpoint whose model_type "
                        f"is {family}")
    if config.num_channels not in (1, 3):
        raise UserError(f"{where}: wants images of {config.num_channels} channels: choose one for 1 or 3")
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = settings.dropout
    if family == "beit":
        config.drop_path_rate, config.use_mask_token = 0.0, False
    (height, width), (tall, wide) = height_width(config.image_size), height_width(config.patch_size)
    tokens = 1 + (height // tall) * (width // wide)
    widest = max(height * width * config.num_channels, tokens * max(
        config.hidden_size, config.intermediate_size, tokens * config.num_attention_heads))
    check_network(config, where, widest, lambda: random_network(config, **network_arguments(family)))
    return config
