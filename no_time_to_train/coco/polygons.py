"""Masks to COCO polygons."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.boxes import xywh_to_xyxy

Polygon = list[float]  # x, y, x, y, ... in pixels
Ring = npt.NDArray[np.float64]
"""Points of a closed line, (P, 2) x and y in pixels."""

EXACT_TOLERANCE = 0.3
"""In pixels: the largest with which polygons still give their masks back pixel for pixel."""


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


def piece_polygons(
    mask: npt.NDArray[np.bool_], tolerance: float = EXACT_TOLERANCE
) -> list[Polygon]:
    """Trace each connected piece of a mask; a hole is cut in through a slit without width.

    The outline runs a quarter of a pixel inside the border of the pixels, where a pixel's corners
    are whole numbers: so pycocotools draws the mask again pixel for pixel, OpenCV does after
    rounding down and PIL after its own rounding, slits aside, and even one pixel has an area.

    Args:
        mask: (H, W).
        tolerance: How far the outline may leave the exact one, in pixels, to do with fewer points.

    Returns:
        One polygon per piece; pixels that touch at a corner are connected.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return []
    doubled = mask[y : y + height, x : x + width].view(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings: dict[int, list[Ring]] = {}
    for number, contour in enumerate(contours):
        parent = int(hierarchy[0, number, 3])
        ring = (contour[:, 0] + 0.5) / 2 + (x, y)  # middles of quarter pixels
        rings.setdefault(number if parent < 0 else parent, []).append(_simplified(ring, tolerance))
    return [_flat(_joined(each)) for each in rings.values()]


def one_polygon(polygons: Sequence[Polygon]) -> Polygon:
    """Connect polygons into one by slits without width, for formats with one a mask."""
    return _flat(_joined([np.reshape(polygon, (-1, 2)) for polygon in polygons]))


def _simplified(ring: Ring, tolerance: float) -> Ring:
    """Leave out points of a closed line (P, 2), unless nothing is left that has an area."""
    simple = cv2.approxPolyDP(ring[:, None].astype(np.float32), tolerance, True)[:, 0]
    return simple.astype(np.float64) if len(simple) >= 3 else ring


def _joined(rings: Sequence[Ring]) -> Ring:
    """Go along all rings, from each one's leftmost point to the nearest point so far and back.

    In the order of these points: what is nearest lies to the left, and an outline before its holes.
    """
    joined, *others = sorted(rings, key=lambda ring: float(ring[:, 0].min()))
    for ring in others:
        start = int(ring[:, 0].argmin())
        near = int(((joined - ring[start]) ** 2).sum(axis=1).argmin())
        around = np.roll(ring, -start, axis=0)
        joined = np.concatenate([joined[: near + 1], around, around[:1], joined[near:]])
    return joined


def _flat(ring: Ring) -> Polygon:
    points: Polygon = ring.ravel().tolist()
    return points


def box_polygon(x: float, y: float, width: float, height: float) -> Polygon:
    """The outline of a box."""
    left, top, right, bottom = xywh_to_xyxy((x, y, width, height))
    return [left, top, right, top, right, bottom, left, bottom]
