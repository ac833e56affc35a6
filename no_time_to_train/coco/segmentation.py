"""From the three spellings of a COCO segmentation to run lengths and to a binary mask.

Polygons are drawn by pycocotools, as in every published COCO number. What it does not check (it
reads past the end of a cut-off string, allocates by the size of the numbers) is checked here first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from reprlib import repr as brief
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_COORDINATE = 100_000
"""Largest polygon coordinate in pixels."""
MAX_OUTLINE = 2_000_000
"""Longest outline of an instance's polygons in pixels: drawing it takes 0.2 s and 100 MB."""
MAX_MASK_PIXELS = 80_000_000
"""Largest mask, that of the largest image that is read; decoded, a pixel is a byte."""


def to_rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:
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

    if height * width > MAX_MASK_PIXELS:
        raise ValueError(f"is that of {height} x {width} pixels, the limit is {MAX_MASK_PIXELS}")
    if isinstance(segmentation, dict):
        runs = _checked_runs(segmentation, [height, width])
        return dict(coco_mask.frPyObjects(runs, height, width))
    polygons = _checked_polygons(segmentation)
    if not polygons:
        empty = {"size": [height, width], "counts": [height * width]}
        return dict(coco_mask.frPyObjects(empty, height, width))
    return dict(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def check(segmentation: Any, height: int | None, width: int | None) -> None:
    """Find what `to_rle` would refuse, without drawing: COCO val2017 takes half a second.

    Args:
        segmentation: As for `to_rle`.
        height: Of the image in pixels, where it is known.
        width: Of the image in pixels, where it is known.

    Raises:
        ValueError: The segmentation is malformed; the message is the second half of a sentence.
    """
    if not isinstance(segmentation, dict):
        _checked_polygons(segmentation)
        return
    size: Any = [height, width] if height and width else segmentation.get("size")
    if not _is_size(size):
        raise ValueError(f"has the RLE size {brief(size)}, not [height, width] of an image")
    _checked_runs(segmentation, size)


def area(rle: dict[str, Any]) -> int:
    """Pixels in the compressed run lengths that `to_rle` returns."""
    from pycocotools import mask as coco_mask

    return int(coco_mask.area(rle))


def bounding_box(rle: dict[str, Any]) -> tuple[float, float, float, float]:
    """[x, y, w, h] of the pixels in the compressed run lengths that `to_rle` returns."""
    from pycocotools import mask as coco_mask

    x, y, width, height = map(float, coco_mask.toBbox(rle))
    return x, y, width, height


def from_rle(rle: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Binary mask (H, W) of the compressed run lengths that `to_rle` returns."""
    from pycocotools import mask as coco_mask

    mask: npt.NDArray[np.uint8] = coco_mask.decode(rle)
    return mask.astype(bool)


def _checked_polygons(segmentation: Any) -> list[list[float]]:
    """The polygons that enclose something: those of three points or more."""
    if not isinstance(segmentation, list) or any(type(part) is not list for part in segmentation):
        raise ValueError("must be a list of polygons [[x, y, x, y, ...], ...] or an RLE object")
    if not all(map(_is_sound, segmentation)):
        _refuse_coordinate(chain.from_iterable(segmentation))
    if any(len(polygon) % 2 for polygon in segmentation):
        raise ValueError("holds a polygon with an odd number of coordinates")
    # Fewer than six numbers are no polygon, and pycocotools would take four of them for a box.
    polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
    # No side is longer than this; measured only where that is not enough to tell.
    longest = sum(len(polygon) * (max(polygon) - min(polygon)) / 2 for polygon in polygons)
    if longest > MAX_OUTLINE and (length := sum(map(_outline, polygons))) > MAX_OUTLINE:
        raise ValueError(f"has an outline of {length:.0f} px, beyond {MAX_OUTLINE} px")
    return polygons


def _is_sound(polygon: list[Any]) -> bool:
    """Whether all coordinates are numbers within the limit; a NaN shows in their sum."""
    return not polygon or (
        set(map(type, polygon)) <= {int, float}
        and -MAX_COORDINATE <= min(polygon)
        and max(polygon) <= MAX_COORDINATE
        and math.isfinite(sum(polygon))
    )


def _refuse_coordinate(values: Iterable[Any]) -> None:
    for value in values:
        if type(value) not in (int, float) or not -math.inf < value < math.inf:
            raise ValueError(
                f"holds a polygon coordinate that is not a finite number: {brief(value)}"
            )
        if abs(value) > MAX_COORDINATE:
            shown = brief(value)
            raise ValueError(f"holds the polygon coordinate {shown}, beyond {MAX_COORDINATE} px")


def _outline(polygon: list[float]) -> float:
    """Length of the closed outline as pycocotools draws it: a side's longer extent, in pixels."""
    points = np.array(polygon, dtype=float).reshape(-1, 2)  # (P, 2)
    sides = np.abs(points - np.roll(points, 1, axis=0))  # (P, 2)
    return float(sides.max(axis=1).sum())


def _is_size(size: Any) -> bool:
    if not isinstance(size, list) or [type(side) for side in size] != [int, int]:
        return False
    return bool(min(size) > 0 and size[0] * size[1] <= MAX_MASK_PIXELS)


def _checked_runs(segmentation: dict[str, Any], wanted: list[int]) -> dict[str, Any]:
    """Uncompressed run lengths that fill an image of the wanted size exactly."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != wanted:
        raise ValueError(f"has the RLE size {brief(size)}, the image has {wanted}")
    if isinstance(counts, str):
        counts = counts.encode("ascii", "replace")
    if isinstance(counts, bytes):
        counts = _uncompress(counts)
    if not isinstance(counts, list) or any(type(run) is not int or run < 0 for run in counts):
        raise ValueError("has RLE counts that are neither a string nor a list of whole numbers")
    pixels = wanted[0] * wanted[1]
    if sum(counts) != pixels:
        raise ValueError(f"has RLE counts for {brief(sum(counts))} pixels, the image {pixels}")
    return {"size": wanted, "counts": counts}


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
