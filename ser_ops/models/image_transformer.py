"""ViT and BEiT of paper 2 (section III-D) on log-mel images."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ser_ops.config import ImageTransformer, Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.models.base import EmotionModel
from ser_ops.models.crop import draw_crops, resized_crops
from ser_ops.models.image_backbone import ImageBackbone

_FLOOR_DB = 80.0    # an image's range: from 80 dB below its loudest value to 0


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

    def camera(self) -> nn.Module:
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
