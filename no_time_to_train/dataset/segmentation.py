"""From the three spellings of a COCO segmentation to run lengths and to a binary mask.

Polygons are drawn by pycocotools, as in every published COCO number. What pycocotools does not check (it reads past
the end of a cut-off string and allocates by the size of the numbers) is checked here first.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_COORDINATE = 100_000
"""Largest absolute polygon coordinate in pixels; drawing costs memory in proportion to it."""


def encode(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """Bring a segmentation into the compressed run lengths that pycocotools computes with.

    Args:
        segmentation: Polygons [[x, y, x, y, ...], ...] in pixels, run lengths {"size", "counts": list}, or
            compressed run lengths {"size", "counts": str or bytes}.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        {"size": [height, width], "counts": bytes}.

    Raises:
        ValueError: The segmentation is malformed; the message is the second half of a sentence.
    """
    from pycocotools import mask as coco_mask  # 0.2 s that the tools without masks need not pay

    if isinstance(segmentation, dict):
        runs = _checked_runs(segmentation, height, width)
        encoded: dict[str, Any] = coco_mask.frPyObjects(runs, height, width)
        return encoded
    polygons = _checked_polygons(segmentation)
    if not polygons:
        return dict(coco_mask.encode(np.zeros((height, width), dtype=np.uint8, order="F")))
    # With four numbers in front pycocotools would take polygons for boxes: hence one by one, all of six or more.
    return dict(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def decode(rle: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Binary mask (H, W) of the compressed run lengths that `encode` returns."""
    from pycocotools import mask as coco_mask

    return coco_mask.decode(rle).astype(bool)


def _checked_polygons(segmentation: Any) -> list[list[float]]:
    """The polygons that enclose something: those of three points or more."""
    if not isinstance(segmentation, list) or not all(
        isinstance(polygon, list) for polygon in segmentation
    ):
        raise ValueError("must be a list of polygons [[x, y, x, y, ...], ...] or an RLE object")
    try:
        largest = max(map(abs, chain.from_iterable(segmentation)), default=0)
        finite = all(map(math.isfinite, chain.from_iterable(segmentation)))
    except (TypeError, OverflowError):
        raise ValueError("holds polygon coordinates that are not numbers") from None
    if not finite or largest > MAX_COORDINATE:
        raise ValueError(f"holds polygon coordinates beyond {MAX_COORDINATE} pixels")
    if any(len(polygon) % 2 for polygon in segmentation):
        raise ValueError("holds a polygon with an odd number of coordinates")
    return [polygon for polygon in segmentation if len(polygon) >= 6]


def _checked_runs(segmentation: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Uncompressed run lengths that fill the image exactly."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(
            f"is an RLE of size {size}, the image is [{height}, {width}] (height, width)"
        )
    if isinstance(counts, (str, bytes)):
        counts = _uncompress(
            counts.encode("ascii", "replace") if isinstance(counts, str) else counts
        )
    if not isinstance(counts, list) or not all(
        type(count) is int and count >= 0 for count in counts
    ):
        raise ValueError("is an RLE whose counts are neither a string nor a list of whole numbers")
    if sum(counts) != height * width:
        raise ValueError(
            f"is an RLE whose counts sum to {sum(counts)} instead of {height} x {width} pixels"
        )
    return {"size": size, "counts": counts}


def _uncompress(counts: bytes) -> list[int]:
    """COCO's string of run lengths: 5 bits a character, low bits first, from the fourth on a difference."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        digit = character - 48
        if not 0 <= digit < 64 or shift > 40:
            raise ValueError("is an RLE whose counts string is damaged")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("is an RLE whose counts string is cut off")
    return runs
