"""An object that somebody marks in a picture: its mask, and the clicks and box that made it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from no_time_to_train.visualization.predictions import RgbImage

MASK_COLOUR = (0, 114, 255)
INSIDE_COLOUR = (0, 158, 60)
OUTSIDE_COLOUR = (213, 40, 40)
WHITE = (255, 255, 255)
FILL = 0.45
"""Share of colour inside the mask."""

Point = tuple[float, float]


def draw_mask(picture: RgbImage, mask: NDArray[np.bool_]) -> RgbImage:
    """Tint and outline an object.

    Args:
        picture: RGB, (H, W, 3).
        mask: (H, W).

    Returns:
        A new picture.
    """
    drawn: RgbImage = picture.copy()
    drawn[mask] = np.rint((1 - FILL) * drawn[mask] + FILL * np.array(MASK_COLOUR))
    contours, _ = cv2.findContours(
        mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )  # each (P, 1, 2) xy pixels
    width = _unit(picture)
    cv2.drawContours(drawn, contours, -1, WHITE, 2 * width, cv2.LINE_AA)
    cv2.drawContours(drawn, contours, -1, MASK_COLOUR, width, cv2.LINE_AA)
    return drawn


def draw_clicks(picture: RgbImage, points: Sequence[Point], inside: Sequence[bool]) -> RgbImage:
    """Draw a disc for each click: green with a plus on the object, red with a minus elsewhere.

    Args:
        picture: RGB, (H, W, 3).
        points: xy in pixels.
        inside: Whether each is on the object.

    Returns:
        A new picture.
    """
    drawn: RgbImage = picture.copy()
    radius = 4 * _unit(picture)
    for (x, y), is_inside in zip(points, inside, strict=True):
        centre = round(x), round(y)
        colour = INSIDE_COLOUR if is_inside else OUTSIDE_COLOUR
        cv2.circle(drawn, centre, radius + _unit(picture), WHITE, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(drawn, centre, radius, colour, cv2.FILLED, cv2.LINE_AA)
        _draw_bar(drawn, centre, (radius // 2, 0))
        if is_inside:
            _draw_bar(drawn, centre, (0, radius // 2))
    return drawn


def draw_box(picture: RgbImage, box: tuple[float, float, float, float]) -> RgbImage:
    """Draw a box.

    Args:
        picture: RGB, (H, W, 3).
        box: (x1, y1, x2, y2) in pixels.

    Returns:
        A new picture.
    """
    drawn: RgbImage = picture.copy()
    first, second = (round(box[0]), round(box[1])), (round(box[2]), round(box[3]))
    for colour, width in ((WHITE, 3), (INSIDE_COLOUR, 1)):
        cv2.rectangle(drawn, first, second, colour, width * _unit(picture))
    return drawn


def draw_corner(picture: RgbImage, corner: Point) -> RgbImage:
    """Draw the first corner of a box as a cross.

    Args:
        picture: RGB, (H, W, 3).
        corner: xy in pixels.

    Returns:
        A new picture.
    """
    drawn: RgbImage = picture.copy()
    centre = round(corner[0]), round(corner[1])
    for colour, width in ((WHITE, 3), (INSIDE_COLOUR, 1)):
        cv2.drawMarker(
            drawn,
            centre,
            colour,
            cv2.MARKER_CROSS,
            10 * _unit(picture),
            width * _unit(picture),
        )
    return drawn


def _draw_bar(picture: RgbImage, centre: tuple[int, int], reach: tuple[int, int]) -> None:
    (x, y), (dx, dy) = centre, reach
    cv2.line(picture, (x - dx, y - dy), (x + dx, y + dy), WHITE, max(1, _unit(picture) // 2 + 1))


def _unit(picture: RgbImage) -> int:
    """Width of a thin line in pixels, which grows with the picture."""
    return max(1, round(float(np.sqrt(picture.shape[0] * picture.shape[1])) / 400))
