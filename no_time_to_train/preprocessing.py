"""What networks ask of an image: size and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract a mean and divide by a standard deviation.

    Args:
        images: (B, 3, H, W) float in [0, 1], RGB.
        mean: By channel.
        std: By channel.

    Returns:
        (B, 3, H, W), about zero mean and unit variance.
    """
    means = torch.tensor(mean, dtype=images.dtype, device=images.device)
    stds = torch.tensor(std, dtype=images.dtype, device=images.device)
    return (images - means[:, None, None]) / stds[:, None, None]


def imagenet_normalise(images: Tensor) -> Tensor:
    """Normalise images (B, 3, H, W) with mean and standard deviation of ImageNet."""
    return normalise(images, IMAGENET_MEAN, IMAGENET_STD)


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
