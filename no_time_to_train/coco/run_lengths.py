"""Masks to run lengths and back, looking only at the box that a mask lies in.

pycocotools reads every pixel of the image, column by column: of 49 instances of 4000 x 3000 pixels
588 million of them, most of which are empty.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle_codec

Mask = npt.NDArray[np.bool_]  # (H, W)
Box = tuple[int, int, int, int]
"""(x1, y1, x2, y2) in pixels: first and last column and row."""


class CompressedRle(TypedDict):
    """A mask as COCO run-length code."""

    size: list[int]  # [height, width] in pixels
    counts: str


def encode(inside: Mask, box: Box, size: tuple[int, int]) -> CompressedRle:
    """Run-length code of a mask, as COCO has it.

    Args:
        inside: The part of the mask within its box, (h, w).
        box: Beyond it, the mask is empty.
        size: (height, width) of the image in pixels.
    """
    (x1, y1, *_), (height, width) = box, size
    # Columns of the box, each between two pixels that do not belong to the mask.
    columns = np.zeros((inside.shape[1], inside.shape[0] + 2), bool)
    columns[:, 1:-1] = inside.T
    changes = np.flatnonzero(columns[:, 1:] != columns[:, :-1])
    column, row = np.divmod(changes, inside.shape[0] + 1)
    ends = (x1 + column) * height + y1 + row  # first pixel of each run, all but the first
    if inside.shape[0] == height:  # a run may go on from the foot of a column to the next head
        goes_on = np.flatnonzero(ends[1:] == ends[:-1])
        ends = np.delete(ends, [goes_on, goes_on + 1])
    counts = np.diff(ends, prepend=0, append=height * width).tolist()
    if not counts[-1]:
        del counts[-1]
    rle = rle_codec.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return CompressedRle(size=[height, width], counts=rle["counts"].decode())


def decode(rle: CompressedRle, box: Box) -> Mask:
    """The mask of a run-length code, (H, W), row by row in memory.

    Args:
        rle: From `encode`.
        box: Beyond it, the mask is empty.
    """
    (height, width), (x1, y1, x2, y2) = rle["size"], box
    rows, columns = y2 + 1 - y1, x2 + 1 - x1
    ends = np.cumsum(_uncompress(rle["counts"]))
    starts, ends = ends[:-1:2], ends[1::2]  # of the runs inside, by column of the image
    changes = np.zeros(columns * rows + 1, np.int8)  # by column of the box
    column, row = np.divmod(starts, height)
    changes[(column - x1) * rows + row - y1] += 1
    column, row = np.divmod(ends - 1, height)
    changes[(column - x1) * rows + row - y1 + 1] -= 1
    mask = np.zeros((height, width), np.bool_)
    inside = np.cumsum(changes[:-1], dtype=np.int8).view(np.bool_)
    mask[y1 : y2 + 1, x1 : x2 + 1] = inside.reshape(columns, rows).T
    return mask


def _uncompress(counts: str) -> npt.NDArray[np.int64]:
    """Run lengths of a counts string.

    5 bits a character, low ones first; from the fourth on, differences to the run before the last.
    """
    digits = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(digits & 32 == 0)  # character of each number
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last + 1 - first
    shifts = 5 * (np.arange(len(digits)) - np.repeat(first, lengths))
    values = np.add.reduceat((digits & 31) << shifts, first)
    values -= np.where(digits[last] & 16, 1 << 5 * lengths, 0)  # two's complement
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
