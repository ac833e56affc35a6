"""The shapes of Labelme: polygons, rectangles, circles and masks, and groups of them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from no_time_to_train.coco import segmentation as coco_segmentation
from no_time_to_train.coco.entries import Box
from no_time_to_train.coco.run_lengths import encode
from no_time_to_train.dataset.images import MAX_PIXELS
from no_time_to_train.dataset.instance_masks import Mask, to_mask
from no_time_to_train.dataset.reference_layouts.found import Labelled, Size, with_box, with_mask
from no_time_to_train.errors import InputError

CIRCLE_SIDES = 128
"""Of the polygon that stands for a circle, whose area it has within 0.04 %."""
POLYGONS = ("polygon", "oriented_rectangle", "rotation")

Point = tuple[float, float]  # x, y in pixels


@dataclass(frozen=True)
class Shape:
    """One shape."""

    label: str
    group: Any
    """What joins shapes of one label into one instance; None where it stands alone."""
    kind: str
    """As Labelme names it."""
    polygon: list[float] | None
    """x, y, x, y, ... in pixels; None for a mask, and for what encloses nothing."""
    mask: Mask | None = None
    """(H, W) of the picture."""

    @property
    def encloses(self) -> bool:
        """Whether it marks an area."""
        return self.polygon is not None or self.mask is not None

    @property
    def corners(self) -> Box:
        """Left, top, right and bottom of its polygon."""
        assert self.polygon is not None
        xs, ys = self.polygon[::2], self.polygon[1::2]
        return min(xs), min(ys), max(xs), max(ys)


def parse_shape(entry: Any, size: Size) -> Shape:
    """Read one entry of "shapes".

    Args:
        entry: Of the json.
        size: (height, width) of the picture in pixels.

    Raises:
        InputError: It has no label, or its points or its mask cannot be; the message is the second
            half of a sentence.
    """
    if not isinstance(entry, dict):
        raise InputError(f"it must be an object, got {brief(entry)}")
    label, group = entry.get("label"), entry.get("group_id")
    if not isinstance(label, str) or not label.strip():
        raise InputError(f'its "label" must be the name of a class, got {brief(label)}')
    if group is not None and type(group) not in (int, str):
        raise InputError(f'its "group_id" must be a number or null, got {brief(group)}')
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise InputError(f'its "shape_type" must be text, got {brief(kind)}')
    if kind == "mask":
        return Shape(label.strip(), group, kind, None, _mask(entry, size))
    outline = _outline(kind, _points(entry)) if kind in OUTLINED else None
    return Shape(label.strip(), group, kind, outline)


def instance(picture: str, size: Size, shapes: Sequence[Shape]) -> Labelled:
    """One instance of one shape, or of a group; rectangles alone are a box without a mask.

    Args:
        picture: Its name.
        size: (height, width) of the picture in pixels.
        shapes: One or more, all of which enclose something.

    Raises:
        InputError: It has no pixel in the picture.
    """
    label, what = shapes[0].label, f"the {shapes[0].kind} {shapes[0].label!r}"
    if all(shape.kind == "rectangle" for shape in shapes):
        edges = list(zip(*(shape.corners for shape in shapes), strict=True))
        corners = (min(edges[0]), min(edges[1]), max(edges[2]), max(edges[3]))
        return with_box(picture, size, label, corners, what)
    polygons = [shape.polygon for shape in shapes if shape.polygon is not None]
    masks = [shape.mask for shape in shapes if shape.mask is not None]
    if not masks:
        return with_mask(picture, size, label, polygons, what)
    if polygons:
        masks.append(_drawn(polygons, size, what))
    whole = (0, 0, size[1] - 1, size[0] - 1)
    union = encode(np.logical_or.reduce(masks), whole, size)
    return with_mask(picture, size, label, dict(union), what)


def _drawn(polygons: list[list[float]], size: Size, what: str) -> Mask:
    try:
        return coco_segmentation.from_rle(coco_segmentation.to_rle(polygons, *size))
    except ValueError as error:
        raise InputError(f"{what}: its segmentation {error}; repair or remove it") from None


def _points(entry: dict[str, Any]) -> list[Point]:
    points = entry.get("points")
    if not isinstance(points, list) or not all(map(_is_point, points)):
        raise InputError(f'its "points" must be a list of [x, y] in pixels, got {brief(points)}')
    return [(float(x), float(y)) for x, y in points]


def _is_point(point: Any) -> bool:
    limit = coco_segmentation.MAX_COORDINATE
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(type(value) in (int, float) and abs(value) <= limit for value in point)
    )


def _outline(kind: str, points: Sequence[Point]) -> list[float]:
    """The polygon around a shape: x, y, x, y, ..."""
    smallest, largest = OUTLINED[kind]
    if not smallest <= len(points) <= largest:
        raise InputError(f"a {kind} of {len(points)} points encloses nothing; repair or remove it")
    if kind == "circle":
        points = _circle(*points)
    elif kind == "rectangle":
        (left, right), (top, bottom) = (
            (min(each), max(each)) for each in zip(*points, strict=True)
        )
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [value for point in points for value in point]


OUTLINED = {
    **dict.fromkeys(POLYGONS, (3, 1_000_000)),
    "rectangle": (2, 4),
    "circle": (2, 2),
}
"""Kinds that enclose something, and the fewest and most points that they have."""


def _circle(center: Point, edge: Point) -> list[Point]:
    radius = math.dist(center, edge)
    angles = [2 * math.pi * step / CIRCLE_SIDES for step in range(CIRCLE_SIDES)]
    return [
        (center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle))
        for angle in angles
    ]


def _mask(entry: dict[str, Any], size: Size) -> Mask:
    """A mask of the picture's size, from a PNG of the instance's box."""
    points, text = _points(entry), entry.get("mask")
    if len(points) != 2 or not isinstance(text, str):
        raise InputError('a mask has two corners as its "points" and a PNG as its "mask"')
    part = _png(text)  # (h, w)
    left, top = math.floor(points[0][0]), math.floor(points[0][1])
    bottom, right = top + part.shape[0], left + part.shape[1]
    if min(left, top) < 0 or bottom > size[0] or right > size[1]:
        raise InputError(
            f"its mask of {part.shape[0]} x {part.shape[1]} at ({left}, {top}) does not lie in the "
            f"picture of {size[0]} x {size[1]} (height x width); draw it again"
        )
    mask: npt.NDArray[np.bool_] = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = part
    return mask


def _png(text: str) -> Mask:
    try:
        data = base64.b64decode(text)
        picture = Image.open(io.BytesIO(data), formats=("PNG",))
        if picture.width * picture.height > MAX_PIXELS:
            raise InputError(f"its mask has more than {MAX_PIXELS} pixels; draw it again")
        picture.load()
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever the step that fails happens to raise
        reason = " ".join(str(error).split())
        raise InputError(f"its mask is no PNG in base64 ({reason}); draw it again") from None
    return to_mask(picture, "its mask", as_stored=True)
