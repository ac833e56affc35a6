"""Masks as paths of SVG, for pages whose reader shows and hides them."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCES = (0.8, 2.0, 4.0)
"""Pixels that a path may leave the mask's border by; the next where it would be too long."""
MAX_LENGTH = 3000
"""Characters of a path; beyond, the smallest pieces are left out."""


def svg_path(mask: NDArray[np.bool_], size: tuple[int, int]) -> str:
    """Outline a mask, holes included, for `fill-rule="evenodd"`.

    Args:
        mask: (H, W).
        size: (width, height) of the picture that it is drawn on, in pixels.

    Returns:
        Value of a path's attribute `d`; empty where there is no mask.
    """
    full = mask.view(np.uint8) * 255
    scaled = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
    # Whatever is thinner than a pixel at that size is still to be seen.
    inside = (scaled >= 128 if (scaled >= 128).any() else scaled > 0).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    contours = sorted(contours, key=cv2.contourArea, reverse=True)[:MAX_LENGTH]
    for tolerance in TOLERANCES:
        rings = [_closed(cv2.approxPolyDP(each, tolerance, True)) for each in contours]
        if sum(map(len, rings)) <= MAX_LENGTH:
            break
    lengths = accumulate(map(len, rings))
    kept = [ring for ring, length in zip(rings, lengths, strict=True) if length <= MAX_LENGTH]
    return "".join(kept or rings[:1])


def _closed(contour: Any) -> str:
    """A ring (P, 1, 2) through pixel centres; what is too thin for one as a rectangle."""
    if len(contour) < 3:
        x, y, width, height = cv2.boundingRect(contour)
        return f"M{x} {y}h{width}v{height}h{-width}z"
    points = " ".join(f"{x + 0.5:g} {y + 0.5:g}" for x, y in contour[:, 0].tolist())
    return f"M{points}z"
