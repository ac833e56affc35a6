"""The image encoder: Hiera trunk and feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.hiera import Hiera


class Pyramid(NamedTuple):
    """Feature maps of one width at three resolutions."""

    stride_4: Tensor  # (B, C, H/4, W/4)
    stride_8: Tensor  # (B, C, H/8, W/8)
    stride_16: Tensor  # (B, C, H/16, W/16)


class Lateral(nn.Module):
    """A 1 x 1 convolution to the width of the pyramid."""

    def __init__(self, channels: int, d_model: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, d_model, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, d_model, H, W)."""
        return self.conv(x.permute(0, 3, 1, 2))


class FpnNeck(nn.Module):
    """Feature pyramid (Lin et al., arXiv 1612.03144), top-down on its two coarsest levels alone.

    Args:
        channels: Channels of the trunk's stages, finest first.
        d_model: Channels of the pyramid.
    """

    def __init__(self, channels: Sequence[int], d_model: int) -> None:
        super().__init__()
        # Checkpoints number them from the coarsest level.
        self.convs = nn.ModuleList(Lateral(width, d_model) for width in reversed(channels))

    def forward(self, stages: Sequence[Tensor]) -> Pyramid:
        """Fuse the trunk's outputs (B, H, W, C), finest first; the coarsest ends in the next."""
        stride_32, stride_16, stride_8, stride_4 = (
            conv(stage) for conv, stage in zip(self.convs, reversed(stages), strict=True)
        )
        coarse = F.interpolate(stride_32, scale_factor=2.0, mode="nearest")
        return Pyramid(stride_4, stride_8, stride_16 + coarse)


class ImageEncoder(nn.Module):
    """Trunk and neck."""

    def __init__(self, trunk: Hiera, neck: FpnNeck) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck

    def forward(self, images: Tensor) -> Pyramid:
        """Encode ImageNet-normalised images (B, 3, H, W), sides a multiple of 32."""
        return self.neck(self.trunk(images))
