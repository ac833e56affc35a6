"""From overlapping candidates to instances (stage 3, suppression and soft merging)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms

from no_time_to_train.structures import Candidates, Prediction

PIXELS_AT_ONCE = 1 << 20
"""Pixels of all masks that are held as floats together."""


def mask_boxes(masks: Tensor) -> Tensor:
    """Bounding boxes in pixel indices: first and last column and row that hold a pixel.

    Args:
        masks: (M, H, W) bool, each non-empty.

    Returns:
        (M, 4) int64 (x1, y1, x2, y2), corners inclusive.
    """
    return torch.cat([_extent(masks.any(dim=1)), _extent(masks.any(dim=2))], dim=1)[:, [0, 2, 1, 3]]


def _extent(line: Tensor) -> Tensor:
    first = line.int().argmax(dim=1)
    last = line.shape[1] - 1 - line.flip(1).int().argmax(dim=1)
    return torch.stack([first, last], dim=1)  # (M, 2)


def suppress(candidates: Candidates, nms_threshold: float, limit: int) -> Candidates:
    """Keep the candidates that no better one of their class covers, ranked by predicted IoU.

    Args:
        candidates: In grid order.
        nms_threshold: Box IoU above which the worse candidate goes.
        limit: Most candidates kept.

    Returns:
        Candidates in rank order, those without any similarity dropped after the limit was applied.
    """
    boxes = mask_boxes(candidates.logits > 0).float()  # (M, 4)
    kept = batched_nms(boxes, candidates.ious.float(), candidates.labels, nms_threshold)[:limit]
    kept = kept[candidates.scores[kept] > 0]
    return candidates[kept]


def upsample_masks(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks at image size: logits resized (bilinear, corners not aligned, antialiased), then > 0.

    Args:
        logits: (M, h, w).
        size: (H, W) in pixels.

    Returns:
        (M, H, W) bool.
    """
    masks = torch.empty(len(logits), *size, dtype=torch.bool, device=logits.device)
    per_chunk = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
    for start in range(0, len(logits), per_chunk):
        rows = slice(start, start + per_chunk)
        chunk = logits[rows, None].float()  # (m, 1, h, w)
        masks[rows] = F.interpolate(chunk, size=size, mode="bilinear", antialias=True)[:, 0] > 0
    return masks


def intersections(masks: Tensor) -> Tensor:
    """Number of pixels that each pair of masks shares.

    Args:
        masks: (M, P) bool.

    Returns:
        (M, M) float64, exact: sums of ones stay below 2^24 in a chunk.
    """
    total = torch.zeros(len(masks), len(masks), dtype=torch.float64, device=masks.device)
    for pixels in masks.split(max(1, PIXELS_AT_ONCE // max(1, len(masks))), dim=1):
        ones = pixels.float()
        total += ones @ ones.T
    return total


def overlap_decay(masks: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Score decay of a mask that a better mask of its class covers (semantic-aware soft merging).

    o_ij = |M_i and M_j| / |M_i| * max(0, cos(f_i, f_j)) over better masks j of the same class, and
    the decay is sqrt(1 - max_j o_ij); arXiv 2507.02798, section 3.

    Args:
        masks: (M, P) bool, non-empty, best predicted IoU first.
        labels: (M,) class index.
        features: (M, C) of unit length.

    Returns:
        (M,) factor in [0, 1] to multiply each score with.
    """
    decay = torch.ones(len(masks), dtype=features.dtype, device=masks.device)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        shared = intersections(masks[rows])  # (n, n)
        covered = (shared / shared.diagonal()[:, None]).to(features.dtype)  # share of i inside j
        similar = (features[rows] @ features[rows].T).clamp(min=0)  # (n, n)
        worst = torch.tril(covered * similar, diagonal=-1).amax(dim=1)  # (n,)
        # Two identical masks can give 1 - 1.0000001 < 0, whose square root is NaN.
        decay[rows] = (1 - worst).clamp(min=0).sqrt()
    return decay


def merge(candidates: Candidates, size: tuple[int, int], limit: int) -> Prediction:
    """Decay the scores of covered masks and keep the best instances.

    Args:
        candidates: In rank order.
        size: (H, W) of the image in pixels.
        limit: Most instances kept.

    Returns:
        At most `limit` instances, best score first.
    """
    masks = upsample_masks(candidates.logits, size)  # (M, H, W)
    visible = masks.flatten(1).any(dim=1)  # a mask of a few logits can fall between the pixels
    masks, candidates = masks[visible], candidates[visible]
    decay = overlap_decay(masks.flatten(1), candidates.labels, candidates.features)
    scores, order = (candidates.scores * decay).sort(descending=True, stable=True)
    order = order[:limit]
    return Prediction(
        masks[order], mask_boxes(masks[order]), scores[:limit], candidates.labels[order]
    )
