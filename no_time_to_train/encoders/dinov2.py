"""Patch features of an image: what tells classes apart."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from dinov2 import VisionTransformer, build_dinov2
from no_time_to_train.checkpoint_files import check_checkpoint, check_finite
from no_time_to_train.config import ComputeConfig, ModelConfig
from no_time_to_train.errors import InputError
from no_time_to_train.networks import REPAIR, set_compute, weights_errors
from no_time_to_train.preprocessing import imagenet_normalise, resize_square


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

    def set_compute(self, compute: ComputeConfig) -> None:
        """Let the network compute in another number format, or compiled; in place."""
        set_compute(compute, self.network, [(self.network, False)])

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


def build_encoder(config: ModelConfig) -> PatchEncoder:
    """Build DINOv2 and load its weights.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, of another model, or not finite.
    """
    settings = config.encoder_cfg
    path = Path(config.encoder_ckpt_path)
    with weights_errors():
        check_checkpoint(path, "the DINOv2 weights", REPAIR)
        network = build_dinov2(settings.name, settings.img_size, path)
        check_finite(network.state_dict().items(), path)
    if network.patch_size != settings.patch_size:
        raise InputError(
            f"encoder_cfg.patch_size is {settings.patch_size}, but {settings.name} has "
            f"patches of {network.patch_size} pixels; set it to {network.patch_size}"
        )
    encoder = PatchEncoder(network, settings.img_size)
    encoder.set_compute(config.compute_cfg)
    return encoder
