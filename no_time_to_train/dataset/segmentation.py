"""From the three spellings of a COCO segmentation to run lengths and to a binary mask.

Polygons are drawn by pycocotools, as in every published COCO number. What it does not check (it
reads past the end of a cut-off string, allocates by the size of the numbers) is checked here first.
"""

from __future__ import annotations

import math
from itertools import chain
from reprlib import repr as brief
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_COORDINATE = 100_000
"""Largest polygon coordinate in pixels; drawing costs memory in proportion to it."""


def encode(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """Bring a segmentation into the compressed run lengths that pycocotools computes with.

    Args:
        segmentation: Polygons [[x, y, x, y, ...], ...] in pixels, run lengths {"size", "counts"}
            with counts a list, or compressed run lengths with counts a string or bytes.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        {"size": [height, width], "counts": bytes}.

    Raises:
        ValueError: The segmentation is malformed; the message is the second half of a sentence.
    """
    from pycocotools import mask as coco_mask  # 0.2 s that tools without masks need not pay

    if isinstance(segmentation, dict):
        runs = _checked_runs(segmentation, height, width)
        return dict(coco_mask.frPyObjects(runs, height, width))
    polygons = _checked_polygons(segmentation)
    if not polygons:
        return dict(coco_mask.encode(np.zeros((height, width), dtype=np.uint8, order="F")))
    return dict(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def decode(rle: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Binary mask (H, W) of the compressed run lengths that `encode` returns."""
    from pycocotools import mask as coco_mask

    mask: npt.NDArray[np.uint8] = coco_mask.decode(rle)
    return mask.astype(bool)


def _checked_polygons(segmentation: Any) -> list[list[float]]:
    """The polygons that enclose something: those of three points or more."""
    if not isinstance(segmentation, list) or any(type(part) is not list for part in segmentation):
        raise ValueError("must be a list of polygons [[x, y, x, y, ...], ...] or an RLE object")
    for value in chain.from_iterable(segmentation):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(
                f"holds a polygon coordinate that is not a finite number: {brief(value)}"
            )
        if abs(value) > MAX_COORDINATE:
            raise ValueError(f"holds the polygon coordinate {value}, beyond {MAX_COORDINATE} px")
    if any(len(polygon) % 2 for polygon in segmentation):
        raise ValueError("holds a polygon with an odd number of coordinates")
    # Fewer than six numbers are no polygon, and pycocotools would take four of them for a box.
    return [polygon for polygon in segmentation if len(polygon) >= 6]


def _checked_runs(segmentation: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Uncompressed run lengths that fill the image exactly."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"has the RLE size {size}, the image has [{height}, {width}]")
    if isinstance(counts, str):
        counts = counts.encode("ascii", "replace")
    if isinstance(counts, bytes):
        counts = _uncompress(counts)
    if not isinstance(counts, list) or any(type(run) is not int or run < 0 for run in counts):
        raise ValueError("has RLE counts that are neither a string nor a list of whole numbers")
    if sum(counts) != height * width:
        raise ValueError(f"has RLE counts for {sum(counts)} pixels, the image {height * width}")
    return {"size": size, "counts": counts}


def _uncompress(counts: bytes) -> list[int]:
    """Decode a counts string: 5 bits a character, low ones first; deltas from the fourth on."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        digit = character - 48
        if not 0 <= digit < 64 or shift > 40:
            raise ValueError("has a damaged RLE counts string")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("has an RLE counts string that is cut off")
    return runs
