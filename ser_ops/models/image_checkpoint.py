"""Where ViT and BEiT come from: the small configuration, a checkpoint, or one kept with a model."""

from collections.abc import Mapping
from typing import Any

from transformers import BeitConfig, PreTrainedConfig, ViTConfig

from ser_ops.config import ImageTransformer, MelImage
from ser_ops.errors import UserError
from ser_ops.features.index_map import shape_of
from ser_ops.models.bounds import check_network
from ser_ops.models.checkpoint import empty, kept_config, read
from ser_ops.models.image_backbone import ImageBackbone, own_layers, pair

_BEIT_NORM = {"pooler.layernorm.weight", "pooler.layernorm.bias"}   # 1 and 0 in a checkpoint that was only pretrained


def small_config(family: str, settings: ImageTransformer, image: MelImage) -> PreTrainedConfig:
    """A ViT or BEiT of any size for random weights: one channel, the image as it is.

    BEiT learns relative positions in every layer, as the published models do.
    Raises UserError where the image is not whole patches, and for BEiT where it is not square.
    """
    height, width = shape_of(image)
    if height % settings.patch or width % settings.patch:
        raise UserError(f"params.yaml: {family}: an image of {height} x {width} is not whole patches of "
                        f"{settings.patch}: change image.mels, image.hop or {family}.patch")
    sizes: dict[str, Any] = {
        "hidden_size": settings.hidden, "num_hidden_layers": settings.layers, "num_attention_heads": settings.heads,
        "intermediate_size": 4 * settings.hidden, "patch_size": settings.patch, "num_channels": 1,
        "image_size": height if height == width else [height, width]}
    if family == "vit":
        return ViTConfig(**sizes)
    if height != width:
        raise UserError(f"params.yaml: beit: an image of {height} x {width} is not square, which BEiT's relative "
                        "positions need: change image.mels or image.hop")
    return BeitConfig(**sizes, use_relative_position_bias=True)


def _settled(config: PreTrainedConfig, family: str, settings: ImageTransformer, where: str) -> PreTrainedConfig:
    """The configuration with what the settings decide; drop path and masking off."""
    if config.model_type != family:
        raise UserError(f"{where}: is a {config.model_type} model, not {family}: choose a checkpoint whose model_type "
                        f"is {family}")
    if config.num_channels not in (1, 3):
        raise UserError(f"{where}: wants images of {config.num_channels} channels: choose one for 1 or 3")
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = settings.dropout
    if family == "beit":
        config.drop_path_rate, config.use_mask_token = 0.0, False
    (height, width), (tall, wide) = pair(config.image_size), pair(config.patch_size)
    tokens = 1 + (height // tall) * (width // wide)
    widest = max(height * width * config.num_channels, tokens * max(
        config.hidden_size, config.intermediate_size, tokens * config.num_attention_heads))
    check_network(config, where, widest, lambda: empty(config, **own_layers(family)))
    return config


def backbone(family: str, settings: ImageTransformer, image: MelImage,
             kept: Mapping[str, Any] | None = None) -> ImageBackbone:
    """By the kept configuration if there is one, else by the checkpoint, else the small one with random weights.

    `family` is "vit" or "beit". A kept configuration gives random weights and loads nothing. Raises UserError when
    the checkpoint cannot be had, is of another family, or lacks weights of its own architecture, and where sizes do
    not fit.
    """
    if kept is not None:
        config = kept_config(kept, (family,), f"family {family}")
        return ImageBackbone(_settled(config, family, settings, "backbone_config"), settings)
    if settings.checkpoint is None:
        where = f"params.yaml: {family}"
        return ImageBackbone(_settled(small_config(family, settings, image), family, settings, where), settings)
    name = settings.checkpoint

    def settle(config: PreTrainedConfig, arguments: Mapping[str, Any]) -> PreTrainedConfig:
        return _settled(config, family, settings, name)

    config, network = read(name, settings.revision, family, settle, _BEIT_NORM, **own_layers(family))
    return ImageBackbone(config, settings, network)
