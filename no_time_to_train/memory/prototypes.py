"""From patch features to one vector per reference and per class (stages 1 and 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def class_prototypes(instance_means: Tensor, counts: Tensor) -> Tensor:
    """Average the references of each class, to unit length.

    Args:
        instance_means: (K, S, C) mean feature per reference; rows from counts[c] on are unused.
        counts: (K,) references per class, at least 1.

    Returns:
        (K, C) of unit length.
    """
    used = torch.arange(instance_means.shape[1], device=counts.device) < counts[:, None]  # (K, S)
    means = (instance_means * used[..., None]).sum(dim=1) / counts[:, None]  # (K, C)
    return F.normalize(means, dim=1)


def class_average(instance_means: Tensor, weights: Tensor) -> Tensor:
    """Mean over all patches of a class, from the means of its references.

    Args:
        instance_means: (K, S, C).
        weights: (K, S) sum of the patch weights behind each mean; 0 where there is none.

    Returns:
        (K, C).
    """
    return (weights[..., None] * instance_means).sum(dim=1) / weights.sum(dim=1, keepdim=True)


def population_covariance(instance_means: Tensor) -> Tensor:
    """Covariance of the reference means of one class, divided by their number.

    Args:
        instance_means: (S, C).

    Returns:
        (C, C).
    """
    centred = instance_means - instance_means.mean(dim=0)  # (S, C)
    return centred.T @ centred / len(instance_means)


def leave_one_out_similarity(foreground_means: Tensor, counts: Tensor) -> Tensor:
    """How alike the references of one class are: each against the others taken together.

    Args:
        foreground_means: (S, C) mean feature over the patches with any mask on them.
        counts: (S,) number of those patches.

    Returns:
        Scalar in [0, 1], the mean of (cosine + 1) / 2; 1 for a single reference.
    """
    if len(counts) == 1:
        return torch.ones((), device=foreground_means.device)
    sums = foreground_means * counts[:, None]  # (S, C)
    others = sums.sum(dim=0) - sums  # (S, C), a cosine needs no division
    return ((F.cosine_similarity(foreground_means, others, dim=1) + 1) / 2).mean()
