"""What a memory keeps of one reference."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.structures import Reference

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceSummary:
    """What the later stages read of one reference; its dense feature map is not kept."""

    mean: Tensor
    """(C,) mean patch feature, weighted by the patch mask."""
    weight: float
    """Sum of the patch mask; NaN where a file does not tell."""
    foreground_mean: Tensor
    """(C,) unweighted mean over the patches with any mask on them."""
    foreground_count: int
    """Number of those patches."""
    patches: Tensor
    """(Q, C) float16: those patches, or an even sample of them, for the pictures; in a memory that
    was stored finalised, what stands in for them."""
    thumbnail: bytes | None = None
    """Its picture, as `thumbnails.encode_thumbnail` makes them."""

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to other ranks; a view would bring along the block that it is a view of."""
        return {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }

    def is_finite(self) -> bool:
        """Whether there is no NaN in it, no infinity, and nothing that float16 cannot hold."""
        largest = torch.finfo(torch.float16).max
        parts = (self.mean, self.foreground_mean, self.patches)
        return all(bool(part.abs().max() <= largest) for part in parts)  # not so for NaN either


def summarise(features: Tensor, weights: Tensor, max_patches: int) -> ReferenceSummary:
    """Summarise one reference.

    Args:
        features: (N, C) patch features.
        weights: (N,) patch mask, not all zero.
        max_patches: Foreground patches kept; more are sampled evenly.

    Returns:
        The summary, on the CPU.
    """
    foreground = features[weights > 0]  # (Q, C)
    count = len(foreground)
    sample = torch.linspace(0, count - 1, min(count, max_patches)).round().long()
    return ReferenceSummary(
        mean=weighted_mean(features, weights).float().cpu(),
        weight=float(weights.sum()),
        foreground_mean=foreground.mean(dim=0).float().cpu(),
        foreground_count=count,
        patches=foreground[sample.to(foreground.device)].half().cpu(),
    )


def patch_weights(mask: Tensor, grid: int) -> Tensor:
    """Weight of every patch in the mean of a reference: its mask at patch resolution.

    Args:
        mask: (H, W) float in [0, 1].
        grid: Patches per side.

    Returns:
        (grid * grid,) float in [0, 1], row-major; nearest, so fractional values stay.
    """
    return F.interpolate(mask[None, None], size=(grid, grid), mode="nearest").flatten()


def overlapped_patches(mask: Tensor, grid: int) -> Tensor:
    """Weights for a mask so thin that it vanishes at patch resolution: 1 for each patch it touches.

    Args:
        mask: (H, W) float in [0, 1].
        grid: Patches per side.

    Returns:
        (grid * grid,) float, 0 or 1, row-major.
    """
    return F.adaptive_max_pool2d((mask > 0).float()[None], grid).flatten()


def weighted_mean(features: Tensor, weights: Tensor) -> Tensor:
    """Mean of patch features under a soft mask.

    Args:
        features: (P, C).
        weights: (P,) non-negative, not all zero.

    Returns:
        (C,).
    """
    return weights @ features / weights.sum()


def reference_weights(reference: Reference, grid: int) -> Tensor:
    """Patch weights of a reference.

    One that vanishes at patch resolution counts the patches it touches, with a warning.

    Args:
        reference: With its mask at crop size.
        grid: Patches per side.

    Returns:
        (grid * grid,) float, not all zero.

    Raises:
        InputError: The mask has no pixel at all.
    """
    weights = patch_weights(reference.mask, grid)
    if weights.any():
        return weights
    weights = overlapped_patches(reference.mask, grid)
    if not weights.any():
        raise InputError(
            f"the mask of {reference.source} is empty; "
            "redraw it or take it out of the reference set"
        )
    logger.warning(
        "%s vanishes at patch resolution (%d x %d); the %d patches that it overlaps stand in",
        reference.source,
        grid,
        grid,
        int(weights.sum()),
    )
    return weights
