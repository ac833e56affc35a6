"""The object that is being marked: clicks and a box on a picture, and the mask that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.dataset.images import read_image
from no_time_to_train.visualization.marks import (
    Point,
    draw_box,
    draw_clicks,
    draw_corner,
    draw_mask,
)
from no_time_to_train.visualization.predictions import RgbImage

MIN_SHOWN, MAX_SHOWN = 640, 1280
"""Longer side of a picture in the browser, in pixels; smaller ones are enlarged, to be clicked."""
THUMBNAIL = 240
"""Side of the picture of an example, in pixels."""
THUMBNAIL_MARGIN = 0.2
"""Seen around the object, as a share of its size."""


class Mode(Enum):
    """What a click means."""

    INSIDE = "on the object"
    OUTSIDE = "not on the object"
    BOX = "two corners of a box"


@dataclass(frozen=True)
class Marks:
    """Clicks and a box, in pixels of the picture that is shown."""

    points: Sequence[Point] = ()
    inside: Sequence[bool] = ()
    """Whether each point is on the object."""
    corner: Point | None = None
    """The first of a box whose second is to come."""
    box: tuple[float, float, float, float] | None = None
    """(x1, y1, x2, y2)."""

    @property
    def make_mask(self) -> bool:
        """Whether they say where the object is."""
        return self.box is not None or any(self.inside)

    def clicked(self, point: Point, mode: Mode) -> Marks:
        """These and one more click."""
        if mode is not Mode.BOX:
            inside = (*self.inside, mode is Mode.INSIDE)
            return replace(self, points=(*self.points, point), inside=inside)
        if self.corner is None:
            return replace(self, corner=point)
        (x1, x2), (y1, y2) = (sorted(pair) for pair in zip(self.corner, point, strict=True))
        if x1 == x2 or y1 == y2:
            return replace(self, corner=point)  # the same place again: a box begins there
        return replace(self, corner=None, box=(x1, y1, x2, y2))


@dataclass(frozen=True, eq=False)
class MarkedPicture:
    """A picture and what has been clicked in it."""

    path: Path
    size: tuple[int, int]
    """(height, width) of the file in pixels, as it is read."""
    shown: RgbImage
    """(H, W, 3), its longer side from MIN_SHOWN to MAX_SHOWN pixels."""
    history: Sequence[Marks] = (Marks(),)
    """What was marked after each click; the last is what is marked now."""

    @classmethod
    def open(cls, path: Path, as_stored: bool) -> MarkedPicture:
        """Read a file.

        Args:
            path: Of the picture.
            as_stored: Whether its EXIF orientation does not count.

        Raises:
            InputError: It is no picture, damaged, or too large.
        """
        picture = read_image(path, as_stored=as_stored)
        size = picture.height, picture.width
        return cls(path, size, fitted(picture, MIN_SHOWN, MAX_SHOWN))

    @property
    def marks(self) -> Marks:
        """What is marked now."""
        return self.history[-1]

    def in_file(self, point: Sequence[float]) -> Point:
        """From xy in pixels shown to xy in pixels of the file; both count from pixel centres."""
        shown = self.shown.shape[1], self.shown.shape[0]
        x, y = (
            max(0.0, (place + 0.5) * whole / small - 0.5)
            for place, whole, small in zip(point, self.size[::-1], shown, strict=True)
        )
        return x, y

    def clicked(self, point: Point, mode: Mode) -> MarkedPicture:
        """The picture after one more click at xy, in pixels shown."""
        return replace(self, history=(*self.history, self.marks.clicked(point, mode)))

    def undone(self) -> MarkedPicture:
        """The picture without the last click."""
        return replace(self, history=self.history[:-1] or (Marks(),))

    def unmarked(self) -> MarkedPicture:
        """The picture without clicks."""
        return replace(self, history=(Marks(),))

    def drawn(self, mask: NDArray[np.bool_] | None) -> RgbImage:
        """What the browser shows.

        Args:
            mask: (H, W) at the size of the file.
        """
        picture = self.shown
        if mask is not None:
            picture = draw_mask(picture, resampled(mask, (picture.shape[0], picture.shape[1])))
        if self.marks.box is not None:
            picture = draw_box(picture, self.marks.box)
        if self.marks.corner is not None:
            picture = draw_corner(picture, self.marks.corner)
        return draw_clicks(picture, self.marks.points, self.marks.inside)

    def thumbnail(self, mask: NDArray[np.bool_]) -> RgbImage:
        """The object with its mask and a little of what surrounds it.

        Args:
            mask: (H, W) at the size of the file, not empty.
        """
        small = resampled(mask, (self.shown.shape[0], self.shown.shape[1]))
        if not small.any():  # between the pixels that are shown
            return shrunk(Image.fromarray(self.shown), THUMBNAIL)
        drawn = draw_mask(self.shown, small)
        rows, columns = np.nonzero(small)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        margin = 1 + round(THUMBNAIL_MARGIN * max(bottom - top, right - left))
        crop = drawn[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
        return shrunk(Image.fromarray(crop), THUMBNAIL)


def fitted(picture: Image.Image, low: int, high: int) -> RgbImage:
    """The picture with its longer side shrunk to `high` pixels, or enlarged to at least `low`.

    Returns:
        RGB, (H, W, 3).
    """
    factor = -(-low // max(picture.size))
    if factor <= 1:
        return shrunk(picture, high)
    # By a whole number, so that each pixel stays a square of its own.
    size = picture.width * factor, picture.height * factor
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def shrunk(picture: Image.Image, side: int) -> RgbImage:
    """The picture with its longer side at most so many pixels long.

    Returns:
        RGB, (H, W, 3).
    """
    scale = min(1.0, side / max(picture.size))
    width, height = (max(1, round(length * scale)) for length in picture.size)
    if scale < 1:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(picture)


def resampled(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask at another size (height, width), by the pixel at the middle of each new one."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return np.ascontiguousarray(mask[rows[:, None], columns[None, :]])
