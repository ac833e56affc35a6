"""Masks as pixels: their boxes, their size in the image, and the pixels that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

PIXEL_CHUNK = 1 << 24
"""Pixels of masks that a GPU holds as floats together; so many ones still add up exactly."""

WORD_BITS = 64
"""Pixels that a CPU compares at once."""


def mask_boxes(masks: Tensor) -> Tensor:
    """Bounding boxes in pixel indices: first and last column and row that hold a pixel.

    Args:
        masks: (M, H, W) bool, each non-empty.

    Returns:
        (M, 4) int64 (x1, y1, x2, y2), corners inclusive.
    """
    return torch.cat([_extent(any_pixel(masks, 1)), _extent(any_pixel(masks, 2))], dim=1)[
        :, [0, 2, 1, 3]
    ]


def any_pixel(masks: Tensor, dim: int) -> Tensor:
    """As `any`, with bytes: a CPU takes many of them at a time, but booleans one by one."""
    return masks.view(torch.uint8).amax(dim=dim) > 0


def _extent(line: Tensor) -> Tensor:
    first = line.int().argmax(dim=1)
    last = line.shape[1] - 1 - line.flip(1).int().argmax(dim=1)
    return torch.stack([first, last], dim=1)  # (M, 2)


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
        Masks (M, H, W) bool, of which some may be empty: a few logits can fall between the pixels;
        and boxes (M, 4) int64 (x1, y1, x2, y2), corners inclusive, beyond which they are empty.
    """
    vertical = Resizing.between(logits.shape[1], size[0], logits.device)
    horizontal = Resizing.between(logits.shape[2], size[1], logits.device)
    x1, y1, x2, y2 = mask_boxes(logits > 0).T
    boxes = torch.stack(
        [
            horizontal.outputs[x1, 0],
            vertical.outputs[y1, 0],
            horizontal.outputs[x2, 1],
            vertical.outputs[y2, 1],
        ],
        dim=1,
    )
    draw = _upsample_in_boxes if logits.device.type == "cpu" else _upsample_whole
    return draw(logits, boxes, vertical, horizontal), boxes


def _upsample_in_boxes(
    logits: Tensor, boxes: Tensor, vertical: Resizing, horizontal: Resizing
) -> Tensor:
    """One mask after the other, inside its box: a CPU pays for each pixel."""
    masks = torch.zeros(
        len(logits), len(vertical.weights), len(horizontal.weights), dtype=torch.bool
    )
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        rows, old_rows, row_weights = vertical.part(y1, y2)
        columns, old_columns, column_weights = horizontal.part(x1, x2)
        part = logits[index, old_rows, old_columns].float()
        masks[index, rows, columns] = row_weights @ (part @ column_weights.T) > 0
    return masks


def _upsample_whole(
    logits: Tensor, boxes: Tensor, vertical: Resizing, horizontal: Resizing
) -> Tensor:
    """Many masks at once, all of each: a GPU pays for each call."""
    size = len(vertical.weights), len(horizontal.weights)
    masks = torch.empty(len(logits), *size, dtype=torch.bool, device=logits.device)
    chunk_size = max(1, PIXEL_CHUNK // (size[0] * size[1]))
    for start in range(0, len(logits), chunk_size):
        rows = slice(start, start + chunk_size)
        chunk = logits[rows, None].float()  # (m, 1, h, w)
        masks[rows] = F.interpolate(chunk, size=size, mode="bilinear", antialias=True)[:, 0] > 0
    return masks


def intersections(masks: Tensor, boxes: Tensor) -> Tensor:
    """Number of pixels that each mask shares with those before it, and its own area.

    Args:
        masks: (M, H, W) bool.
        boxes: (M, 4) xyxy, corners inclusive, beyond which each mask is empty.

    Returns:
        (M, M) float64, exact; what lies above the diagonal is not to be read.
    """
    if masks.device.type == "cpu":
        return torch.from_numpy(_intersections_in_boxes(masks.numpy(), boxes.numpy()))
    return _intersections_whole(masks.flatten(1))


def _intersections_in_boxes(
    masks: NDArray[np.bool_], boxes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Pixels as bits, 64 at once, and only of pairs whose boxes meet."""
    bits = np.packbits(masks, axis=2)
    words = np.pad(bits, ((0, 0), (0, 0), (0, -bits.shape[2] % 8))).view(np.uint64)
    shared = np.zeros((len(masks), len(masks)))
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        before = boxes[: index + 1]
        meet = (before[:, :2] <= (x2, y2)).all(axis=1) & (before[:, 2:] >= (x1, y1)).all(axis=1)
        others = meet.nonzero()[0]  # this one is the last of them
        window = words[:, y1 : y2 + 1, x1 // WORD_BITS : x2 // WORD_BITS + 1]
        both = window[others] & window[index]
        shared[index, others] = np.bitwise_count(both).sum(axis=(1, 2), dtype=np.int64)
    return shared


def _intersections_whole(masks: Tensor) -> Tensor:
    """Products of zeros and ones; their sums are exact below 2^24 pixels at once. Masks (M, P)."""
    total = torch.zeros(len(masks), len(masks), dtype=torch.float64, device=masks.device)
    for pixels in masks.split(max(1, PIXEL_CHUNK // max(1, len(masks))), dim=1):
        ones = pixels.float()
        total += ones @ ones.T
    return total
