"""What all vision transformers share: size and normalisation of their input, number formats."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from no_time_to_train.config import ComputeConfig
from no_time_to_train.networks import set_compute
from no_time_to_train.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalise, resize_square


class PatchEncoder(nn.Module):
    """A vision transformer at a fixed square input size."""

    def __init__(
        self,
        network: Any,
        image_size: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        """Put a network behind its preprocessing.

        Args:
            network: A module with its weights, from normalised images (B, 3, S, S) to patch
                features (B, N, C); it has `embed_dim` C and `patch_size` in pixels.
            image_size: Side of its input in pixels, a multiple of the patch size.
            mean: Of the images that it was trained on, RGB in [0, 1].
            std: Of these, likewise.
        """
        super().__init__()
        self.network: Any = network
        self.image_size = image_size
        self.mean, self.std = tuple(mean), tuple(std)

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image_size // self.patch_size

    @property
    def width(self) -> int:
        """Channels of a patch feature."""
        return int(self.network.embed_dim)

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return int(self.network.patch_size)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        dtype: torch.dtype = next(self.network.parameters()).dtype
        return dtype

    def set_compute(self, compute: ComputeConfig) -> None:
        """Let the network compute in another number format, or compiled; in place."""
        set_compute(compute, self.network, partial(self.network.compile, dynamic=False))

    def forward(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: (B, 3, H, W) float32 in [0, 1], RGB, of any size; resized here.

        Returns:
            (B, N, C) float32 patch features after the final norm, row-major, N = grid * grid.
        """
        inputs = normalise(resize_square(images, self.image_size), self.mean, self.std)
        features: Tensor = self.network(inputs.to(self.dtype))
        return features.float()
