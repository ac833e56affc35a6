"""Boxes as COCO writes them, [x, y, width, height] in pixels, and their corners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", int, float, npt.NDArray[np.float32])


def xywh_to_xyxy(box: Iterable[Number]) -> tuple[Number, Number, Number, Number]:
    """Left, top, right and bottom of a box, or of columns of boxes."""
    x, y, width, height = box
    return x, y, x + width, y + height


def xyxy_to_xywh(box: Iterable[Number]) -> list[Number]:
    """The inverse; of first and last pixels, a width that is the difference of their indices."""
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def pixel_corners(box: Iterable[float]) -> tuple[float, float, float, float]:
    """First and last column and row of the pixels that an annotation's box covers."""
    left, top, right, bottom = xywh_to_xyxy(box)
    return left, top, right - 1, bottom - 1
