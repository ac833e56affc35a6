"""One object that the Python API has found."""

from __future__ import annotations

from dataclasses import dataclass

from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.exports.picture_results import FoundInstance


@dataclass(frozen=True)
class ImageInstance(FoundInstance):
    """One object found in an image."""

    name: str
    """Of its class."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) in pixels: first and last column and row of the mask."""
        left, top, right, bottom = xywh_to_xyxy(self.bbox)
        return left, top, right - 1, bottom - 1
