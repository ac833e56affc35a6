"""How people mark an instance: a mask in any form, a polygon, or a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from no_time_to_train.api.arguments import shown
from no_time_to_train.api.prompts import numbers
from no_time_to_train.coco.segmentation import from_rle, to_rle
from no_time_to_train.dataset.instance_masks import to_mask
from no_time_to_train.errors import InputError

Mark = npt.ArrayLike | str | Path | Image.Image | Mapping[str, Any]
"""A mask: an array (H, W), a PIL image, or the path of one, non-zero on the instance, or COCO run
lengths; or a polygon [[x, y], ...] or [x, y, x, y, ...], or a list of them; or a box of four
numbers (x1, y1, x2, y2)."""
Mask = npt.NDArray[np.bool_]  # (H, W)
DrawBox = Callable[[Any], Mask]


def marked(mark: Any, what: str, size: tuple[int, int], as_stored: bool, draw_box: DrawBox) -> Mask:
    """The pixels that are marked.

    Pictures, paths, and arrays and nested lists of the image's size are masks; four numbers are a
    box, other numbers and pairs of numbers polygons.

    Args:
        mark: In one of the forms of `Mark`.
        what: Which instance it is of, for messages.
        size: (height, width) of the image in pixels.
        as_stored: Whether the EXIF orientation of a mask does not count.
        draw_box: Draws what is in a box (x1, y1, x2, y2).

    Raises:
        InputError: It is of another kind, or of another size than the image.
    """
    if isinstance(mark, Mapping):
        return _drawn({**mark}, what, size)
    if isinstance(mark, list | tuple | np.ndarray | Tensor) and not _has_size(mark, size):
        values = numbers(mark)
        if values is not None and values.shape == (4,):
            return draw_box(mark)
        if isinstance(mark, list | tuple) or (values is not None and values.ndim == 1):
            return polygon_mask(mark, what, size)
    return _of_size(to_mask(mark, what, as_stored), what, size)


def polygon_mask(polygon: Any, what: str, size: tuple[int, int]) -> Mask:
    """What is in a polygon [[x, y], ...] or [x, y, x, y, ...], or in several.

    Args:
        polygon: In pixels.
        what: Which instance it is of, for messages.
        size: (height, width) of the image in pixels.

    Raises:
        InputError: It is none.
    """
    flat = _flat(polygon)
    several = flat is None and isinstance(polygon, list | tuple)
    parts = [_flat(part) for part in polygon] if several else [flat]
    if not parts or None in parts:
        raise InputError(
            f"{what} is {shown(polygon)}; give a mask, a box (x1, y1, x2, y2), or a polygon of "
            "three points at least, [[x, y], ...] in pixels, or a list of polygons"
        )
    if all(0 <= value <= 1 for part in parts for value in part or ()):
        raise InputError(
            f"{what} is a polygon whose coordinates all lie between 0 and 1; give pixels, or a "
            "mask of the size of the image"
        )
    return _drawn(parts, what, size)


def _flat(polygon: Any) -> list[float] | None:
    """The coordinates x, y, x, y, ... of one polygon; None where it is none."""
    values = numbers(polygon)
    pairs = values is not None and values.ndim == 2 and values.shape[1] == 2
    if values is None or not (pairs or values.ndim == 1) or values.size < 6 or values.size % 2:
        return None
    return [float(value) for value in values.ravel()]


def _drawn(segmentation: Any, what: str, size: tuple[int, int]) -> Mask:
    try:
        return from_rle(to_rle(segmentation, *size))
    except ValueError as error:
        raise InputError(f"{what} {error}; correct it, or give another mask") from None


def _has_size(mark: Any, size: tuple[int, int]) -> bool:
    """Whether it is a mask: numbers in rows and columns, as many as the image has pixels."""
    try:
        return tuple(np.shape(mark)) == size
    except ValueError:  # ragged
        return False


def _of_size(mask: Mask, what: str, size: tuple[int, int]) -> Mask:
    if mask.shape == size:
        return mask
    polygon = "; a polygon goes by the name of polygon=" if mask.shape[1] == 2 else ""
    raise InputError(
        f"{what} is {mask.shape}, but its image is {size} (height, width); give both the same size"
        f"{polygon}"
    )
