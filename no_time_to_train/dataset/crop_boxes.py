"""Where a reference is cut out of its image: a square around the instance with some context.

The rounding is that of the published numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.errors import InputError

PixelBox = tuple[int, int, int, int]


def crop_box(bbox: Sequence[float], context_ratio: float, height: int, width: int) -> PixelBox:
    """The square around an instance, clipped to the image.

    Args:
        bbox: [x, y, w, h] of the instance in pixels.
        context_ratio: How much larger than the instance's longer side the square is.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.

    Raises:
        InputError: The box has no pixel in the image.
    """
    x1, y1, x2, y2 = map(int, xywh_to_xyxy(bbox))
    half = max(x2 - x1, y2 - y1) * (1 + context_ratio) / 2
    center_x, center_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(int(center_x - half), 0), max(int(center_y - half), 0)
    right, bottom = min(int(center_x + half), width), min(int(center_y + half), height)
    if left >= right or top >= bottom:
        raise InputError(
            f"the box {list(bbox)} (x, y, w, h) has no pixel in the image of {width} x {height}"
        )
    return left, top, right, bottom
