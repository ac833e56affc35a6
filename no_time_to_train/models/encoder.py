"""Patch features of an image: what tells classes apart."""

from __future__ import annotations

from torch import Tensor, nn

from dinov2 import VisionTransformer
from no_time_to_train.models.images import imagenet_normalise, resize_square


class PatchEncoder(nn.Module):
    """DINOv2 at a fixed square input size."""

    def __init__(self, network: VisionTransformer, image_size: int) -> None:
        super().__init__()
        self.network = network
        self.image_size = image_size

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image_size // self.network.patch_size

    @property
    def width(self) -> int:
        """Channels of a patch feature."""
        return self.network.embed_dim

    def forward(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: (B, 3, H, W) float32 in [0, 1], RGB, of any size; resized here.

        Returns:
            (B, N, C) float32 patch features after the final norm, row-major, N = grid * grid.
        """
        inputs = imagenet_normalise(resize_square(images, self.image_size))
        features: Tensor = self.network(inputs.to(self.network.cls_token.dtype))
        return features.float()
