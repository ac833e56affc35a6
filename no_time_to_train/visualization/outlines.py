"""Masks as paths of SVG, for pages whose reader shows and hides them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.8
"""Pixels that a path may leave the mask's border by."""


def svg_path(mask: NDArray[np.bool_], size: tuple[int, int]) -> str:
    """Outline a mask, holes included, for `fill-rule="evenodd"`.

    Args:
        mask: (H, W).
        size: (width, height) of the picture that it is drawn on, in pixels.

    Returns:
        Value of a path's attribute `d`; empty where nothing of the mask is left at that size.
    """
    full = mask.view(np.uint8) * 255
    scaled = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
    # Whatever is thinner than a pixel at that size is still to be seen.
    inside = (scaled >= 128 if (scaled >= 128).any() else scaled > 0).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return "".join(_closed(cv2.approxPolyDP(each, TOLERANCE, True)) for each in contours)


def _closed(contour: Any) -> str:
    """A ring (P, 1, 2) through pixel centres; what is too thin for one as a rectangle."""
    if len(contour) < 3:
        x, y, width, height = cv2.boundingRect(contour)
        return f"M{x} {y}h{width}v{height}h{-width}z"
    points = " ".join(f"{x + 0.5:g} {y + 0.5:g}" for x, y in contour[:, 0].tolist())
    return f"M{points}z"
