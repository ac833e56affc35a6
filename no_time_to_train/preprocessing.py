"""What both networks ask of an image: size and normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_normalise(images: Tensor) -> Tensor:
    """Subtract the ImageNet mean and divide by its standard deviation.

    Args:
        images: (B, 3, H, W) float in [0, 1], RGB.

    Returns:
        (B, 3, H, W), about zero mean and unit variance.
    """
    mean = torch.tensor(IMAGENET_MEAN, dtype=images.dtype, device=images.device)
    std = torch.tensor(IMAGENET_STD, dtype=images.dtype, device=images.device)
    return (images - mean[:, None, None]) / std[:, None, None]


def unit_range(pixels: Tensor) -> Tensor:
    """Divide by 255, with the same result on every device.

    Args:
        pixels: uint8, of any shape.

    Returns:
        float32 in [0, 1].
    """
    # Not by a Python number: a GPU multiplies with its reciprocal, which rounds differently.
    return pixels.float() / torch.tensor(255.0, device=pixels.device)


def resize_square(images: Tensor, side: int) -> Tensor:
    """Resize to `side` x `side` pixels: bicubic, corners not aligned, no antialiasing.

    Args:
        images: (B, 3, H, W) float.

    Returns:
        (B, 3, side, side); the same tensor where it has that size already.
    """
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, size=(side, side), mode="bicubic", align_corners=False)
