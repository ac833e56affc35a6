"""Which class each mask looks like (stage 3, similarity)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ALL_CLASSES = -1
RELATIVE_FLOOR = 0.6
"""With all classes tried per mask, scores below this share of the mask's best count as none."""

MASK_CHUNK = 64
"""Masks that become floats together: 16 MB of them, which stay in a cache while they are read."""


def linear_upsampling(size: int, target: int, like: Tensor) -> Tensor:
    """Matrix that upsamples a line of values as `interpolate` does (linear, corners not aligned).

    Args:
        size: Number of values.
        target: Number of values wanted.
        like: Gives dtype and device.

    Returns:
        (target, size).
    """
    identity = torch.eye(size, dtype=torch.float32, device=like.device)
    return F.interpolate(identity[None], size=target, mode="linear")[0].T.to(like.dtype)


def mask_features(patch_features: Tensor, masks: Tensor) -> Tensor:
    """Mean feature under each mask, of the patch features upsampled to the masks' size.

    Upsampling is linear and separable, U = R F R'^T, so the masks are brought to the patches
    instead of the features to the pixels: mean = (M U) F / |M|, and M U = R^T M R'.

    Args:
        patch_features: (N, C), row-major over a square grid.
        masks: (M, h, w) bool, each non-empty.

    Returns:
        (M, C) of unit length.
    """
    grid = int(len(patch_features) ** 0.5)
    height, width = masks.shape[-2:]
    rows = linear_upsampling(grid, height, like=patch_features)  # (h, grid)
    columns = linear_upsampling(grid, width, like=patch_features)  # (w, grid)
    weights, areas = patch_features.new_empty(len(masks), grid, grid), []
    for part, some in zip(weights.split(MASK_CHUNK), masks.split(MASK_CHUNK), strict=True):
        pixels = some.to(patch_features.dtype)
        part.copy_(rows.T @ (pixels @ columns))
        areas.append(pixels.sum(dim=(1, 2), dtype=torch.float32))  # exact: fewer than 2^24 pixels
    features = weights.flatten(1) @ patch_features / torch.cat(areas)[:, None]
    return F.normalize(features, dim=1)


def classify(features: Tensor, prototypes: Tensor, per_mask: int) -> tuple[Tensor, Tensor]:
    """Score each mask against each class and keep its best classes.

    Args:
        features: (M, C) of unit length.
        prototypes: (K, C) of unit length.
        per_mask: Classes kept per mask, best first; ALL_CLASSES keeps all, with scores below
            RELATIVE_FLOOR of the mask's best set to 0.

    Returns:
        Scores, cosine clamped at 0, and labels: both (M, k).
    """
    similarity = (features @ prototypes.T).clamp(min=0)  # (M, K)
    if per_mask == ALL_CLASSES:
        scores, labels = similarity.sort(dim=1, descending=True, stable=True)  # (M, K)
        return scores * (scores >= RELATIVE_FLOOR * scores[:, :1]), labels
    scores, labels = similarity.topk(min(per_mask, similarity.shape[1]), dim=1)  # (M, k)
    return scores, labels
