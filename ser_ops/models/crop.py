"""Random resized crops, a different one for each image of a batch, on any device."""

import math

import torch
from torch import Tensor
from torch.nn import functional

_ASPECT = 4 / 3


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
    places = torch.stack([across[:, None, :].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], -1)
    return functional.grid_sample(images, 2 * places - 1, padding_mode="border", align_corners=False)


def _centres(number: int, like: Tensor) -> Tensor:
    return (torch.arange(number, device=like.device) + 0.5) / number
