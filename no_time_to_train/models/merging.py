"""From overlapping candidates to instances (stage 3, suppression and soft merging)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms

from no_time_to_train.structures import Candidates, Prediction

PIXELS_AT_ONCE = 1 << 24
"""Pixels of masks that a GPU holds as floats together; so many ones still add up exactly."""

WORD = 64
"""Pixels that a CPU compares at once."""


def mask_boxes(masks: Tensor) -> Tensor:
    """Bounding boxes in pixel indices: first and last column and row that hold a pixel.

    Args:
        masks: (M, H, W) bool, each non-empty.

    Returns:
        (M, 4) int64 (x1, y1, x2, y2), corners inclusive.
    """
    return torch.cat([_extent(_any(masks, 1)), _extent(_any(masks, 2))], dim=1)[:, [0, 2, 1, 3]]


def _any(masks: Tensor, dim: int) -> Tensor:
    """As `any`, with bytes: a CPU takes many of them at a time, but booleans one by one."""
    return masks.view(torch.uint8).amax(dim=dim) > 0


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
    proposals, rows = candidates.proposals, candidates.rows
    boxes, ious = mask_boxes(proposals.logits > 0).float(), proposals.ious.float()
    kept = batched_nms(boxes[rows], ious[rows], candidates.labels, nms_threshold)[:limit]
    kept = kept[candidates.scores[kept] > 0]
    return candidates[kept]


@dataclass(frozen=True)
class Resizing:
    """How a line of values is resized (linear, antialiased, corners not aligned)."""

    weights: Tensor
    """(target, size), non-negative: what each new value takes from the old ones."""
    sources: Tensor
    """(target, 2) first and last old value that a new one takes from."""
    outputs: Tensor
    """(size, 2) first and last new value that an old one gives to."""

    @classmethod
    def between(cls, size: int, target: int, device: torch.device) -> Resizing:
        """From `size` values to `target`."""
        identity = torch.eye(size, device=device)[None, None]
        weights = F.interpolate(
            identity, size=(target, size), mode="bilinear", antialias=True, align_corners=False
        )[0, 0]
        used = weights > 0
        return cls(weights, _extent(used), _extent(used.T))

    def part(self, first: int, last: int) -> tuple[slice, slice, Tensor]:
        """Some of the new values: where they are, what they take from, and how much of it."""
        new = slice(first, last + 1)
        old = slice(int(self.sources[first, 0]), int(self.sources[last, 1]) + 1)
        return new, old, self.weights[new, old]


def upsample_masks(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Masks at image size: logits resized (bilinear, corners not aligned, antialiased), then > 0.

    Args:
        logits: (M, h, w), each positive somewhere.
        size: (H, W) in pixels.

    Returns:
        (M, H, W) bool, and frames (M, 4) int64 (x1, y1, x2, y2), corners inclusive, beyond which
        the masks are empty.
    """
    down = Resizing.between(logits.shape[1], size[0], logits.device)
    across = Resizing.between(logits.shape[2], size[1], logits.device)
    x1, y1, x2, y2 = mask_boxes(logits > 0).T
    frames = torch.stack(
        [across.outputs[x1, 0], down.outputs[y1, 0], across.outputs[x2, 1], down.outputs[y2, 1]],
        dim=1,
    )
    draw = _draw_framed if logits.device.type == "cpu" else _draw_whole
    return draw(logits, frames, down, across), frames


def _draw_framed(logits: Tensor, frames: Tensor, down: Resizing, across: Resizing) -> Tensor:
    """One mask after the other, inside its frame: a CPU pays for each pixel."""
    masks = torch.zeros(len(logits), len(down.weights), len(across.weights), dtype=torch.bool)
    for index, (x1, y1, x2, y2) in enumerate(frames.tolist()):
        rows, old_rows, row_weights = down.part(y1, y2)
        columns, old_columns, column_weights = across.part(x1, x2)
        part = logits[index, old_rows, old_columns].float()
        masks[index, rows, columns] = row_weights @ (part @ column_weights.T) > 0
    return masks


def _draw_whole(logits: Tensor, frames: Tensor, down: Resizing, across: Resizing) -> Tensor:
    """Many masks at once, all of each: a GPU pays for each call."""
    size = len(down.weights), len(across.weights)
    masks = torch.empty(len(logits), *size, dtype=torch.bool, device=logits.device)
    at_once = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
    for start in range(0, len(logits), at_once):
        rows = slice(start, start + at_once)
        chunk = logits[rows, None].float()  # (m, 1, h, w)
        masks[rows] = F.interpolate(chunk, size=size, mode="bilinear", antialias=True)[:, 0] > 0
    return masks


def intersections(masks: Tensor, frames: Tensor) -> Tensor:
    """Number of pixels that each mask shares with those before it, and its own area.

    Args:
        masks: (M, H, W) bool.
        frames: (M, 4) xyxy, corners inclusive, beyond which each mask is empty.

    Returns:
        (M, M) float64, exact; what lies above the diagonal is not to be read.
    """
    if masks.device.type == "cpu":
        return torch.from_numpy(_count_framed(masks.numpy(), frames.numpy()))
    return _count_whole(masks.flatten(1))


def _count_framed(masks: NDArray[np.bool_], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pixels as bits, 64 at once, and only of pairs whose frames meet."""
    bits = np.packbits(masks, axis=2)
    words = np.pad(bits, ((0, 0), (0, 0), (0, -bits.shape[2] % 8))).view(np.uint64)
    shared = np.zeros((len(masks), len(masks)))
    for index, (x1, y1, x2, y2) in enumerate(frames):
        before = frames[: index + 1]
        meet = (before[:, :2] <= (x2, y2)).all(axis=1) & (before[:, 2:] >= (x1, y1)).all(axis=1)
        others = meet.nonzero()[0]  # this one is the last of them
        window = words[:, y1 : y2 + 1, x1 // WORD : x2 // WORD + 1]
        both = window[others] & window[index]
        shared[index, others] = np.bitwise_count(both).sum(axis=(1, 2), dtype=np.int64)
    return shared


def _count_whole(masks: Tensor) -> Tensor:
    """Products of zeros and ones; their sums are exact below 2^24 pixels at once. Masks (M, P)."""
    total = torch.zeros(len(masks), len(masks), dtype=torch.float64, device=masks.device)
    for pixels in masks.split(max(1, PIXELS_AT_ONCE // max(1, len(masks))), dim=1):
        ones = pixels.float()
        total += ones @ ones.T
    return total


def overlap_decay(masks: Tensor, frames: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Score decay of a mask that a better mask of its class covers (semantic-aware soft merging).

    o_ij = |M_i and M_j| / |M_i| * max(0, cos(f_i, f_j)) over better masks j of the same class, and
    the decay is sqrt(1 - max_j o_ij); arXiv 2507.02798, section 3.

    Args:
        masks: (M, H, W) bool, non-empty, best predicted IoU first.
        frames: (M, 4) xyxy, corners inclusive, beyond which each mask is empty.
        labels: (M,) class index.
        features: (M, C) of unit length.

    Returns:
        (M,) factor in [0, 1] to multiply each score with.
    """
    decay = torch.ones(len(masks), dtype=features.dtype, device=masks.device)
    for rows in _rows_with_company(labels):
        shared = intersections(masks[rows], frames[rows])  # (n, n)
        covered = (shared / shared.diagonal()[:, None]).to(features.dtype)  # share of i inside j
        similar = (features[rows] @ features[rows].T).clamp(min=0)  # (n, n)
        worst = torch.tril(covered * similar, diagonal=-1).amax(dim=1)  # (n,)
        # Two identical masks can give 1 - 1.0000001 < 0, whose square root is NaN.
        decay[rows] = (1 - worst).clamp(min=0).sqrt()
    return decay


def _rows_with_company(labels: Tensor) -> list[Tensor]:
    """Of each label that several rows have, those rows in order."""
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        rows_of.setdefault(label, []).append(row)
    several = (rows for rows in rows_of.values() if len(rows) > 1)
    return [torch.tensor(rows, device=labels.device) for rows in several]


def _draw(candidates: Candidates, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Masks at image size (M, H, W) bool, and boxes (M, 4) beyond which they are empty."""
    proposals, rows = candidates.proposals, candidates.rows
    if proposals.draw is None:
        return upsample_masks(proposals.logits[rows], size)
    masks = proposals.draw(rows)
    return masks, mask_boxes(masks)


def merge(candidates: Candidates, size: tuple[int, int], limit: int) -> Prediction:
    """Decay the scores of covered masks and keep the best instances.

    Args:
        candidates: In rank order.
        size: (H, W) of the image in pixels.
        limit: Most instances kept.

    Returns:
        At most `limit` instances, best score first.
    """
    masks, frames = _draw(candidates, size)
    visible = _any(masks.flatten(1), 1)  # a mask of a few logits can fall between the pixels
    masks, frames, candidates = masks[visible], frames[visible], candidates[visible]
    features = candidates.features[candidates.rows]
    decay = overlap_decay(masks, frames, candidates.labels, features)
    scores, order = (candidates.scores * decay).sort(descending=True, stable=True)
    order = order[:limit]
    return Prediction(
        masks[order], mask_boxes(masks[order]), scores[:limit], candidates.labels[order]
    )
