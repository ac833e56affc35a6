"""Masks to COCO polygons."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.boxes import xywh_to_xyxy

Polygon = list[float]  # x, y, x, y, ... in pixels


def outer_polygons(mask: npt.NDArray[np.bool_]) -> list[Polygon]:
    """Trace the pieces of a mask along their outermost pixels; holes are filled.

    Args:
        mask: (H, W).

    Returns:
        One polygon per connected piece, through pixel indices. Pieces that give fewer than three
        points, such as lines one pixel wide, are left out.
    """
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    return [contour.ravel().astype(float).tolist() for contour in contours if len(contour) >= 3]


def box_polygon(x: float, y: float, width: float, height: float) -> Polygon:
    """The outline of a box."""
    left, top, right, bottom = xywh_to_xyxy((x, y, width, height))
    return [left, top, right, top, right, bottom, left, bottom]
