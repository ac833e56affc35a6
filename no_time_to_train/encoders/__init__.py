"""Patch encoders: the networks that tell classes apart.

An entry is a builder in ENCODERS, found by the beginning of `encoder_cfg.name`: what stands before
the slash in `timm/vit_small_patch16_dinov3`, or before the underscore in the published
`dinov2_large`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from no_time_to_train.config import ModelConfig
from no_time_to_train.encoders.dinov2 import build_dinov2_encoder
from no_time_to_train.encoders.timm_models import build_timm_encoder
from no_time_to_train.errors import InputError

__all__ = ["ENCODERS", "Encoder", "build_encoder", "find_encoder", "input_size"]


class Encoder(Protocol):
    """Images in, one feature per patch out; a `torch.nn.Module`."""

    @property
    def grid(self) -> int:
        """Patches per side of its square input."""

    @property
    def width(self) -> int:
        """Channels of a patch feature."""

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""

    @property
    def dtype(self) -> torch.dtype:
        """Number format that it computes in."""

    def __call__(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: (B, 3, H, W) float32 in [0, 1], RGB, of any size.

        Returns:
            (B, N, C) float32 patch features, row-major, N = grid * grid.
        """


ENCODERS: dict[str, Callable[[ModelConfig], Encoder]] = {
    "dinov2": build_dinov2_encoder,
    "timm": build_timm_encoder,
}


def find_encoder(name: str) -> Callable[[ModelConfig], Encoder]:
    """The builder of the encoders that a name belongs to.

    Raises:
        InputError: There is none.
    """
    family = name.partition("/")[0] if "/" in name else name.partition("_")[0]
    if family not in ENCODERS:
        raise InputError(
            f"encoder_cfg.name is {name!r}, and there is no family of encoders {family!r}; the "
            f"name begins with one of {', '.join(ENCODERS)}"
        )
    return ENCODERS[family]


def build_encoder(config: ModelConfig) -> Encoder:
    """Build the network that `encoder_cfg` describes, with its weights.

    Raises:
        InputError: There is no such network, its package is missing, or its weights are missing,
            unreadable, of another network, or not finite.
    """
    return find_encoder(config.encoder_cfg.name)(config)


def input_size(encoder: Encoder) -> int:
    """Side in pixels of the square image that an encoder resizes its input to."""
    return encoder.grid * encoder.patch_size
