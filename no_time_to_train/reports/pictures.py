"""Pictures of a page: small JPEGs inside of it, and what was found as outlines upon them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.coco.segmentation import from_rle, to_rle
from no_time_to_train.errors import InputError
from no_time_to_train.reports.content import Outline, Picture
from no_time_to_train.visualization.outlines import svg_path
from no_time_to_train.visualization.palette import class_colours

MAX_SIDE = 640
"""Pixels of a picture's longer side."""
MAX_JPEG_BYTES = 90_000
"""Of one picture; its quality is lowered until it fits."""
QUALITIES = (82, 70, 55, 40, 25, 10)
MAX_INSTANCES = 30
"""Outlines per picture."""
MAX_COLOURS = 256
"""Classes beyond share the colours of the first."""


@dataclass(frozen=True)
class Shown:
    """An instance to be drawn."""

    category_id: int
    score: float | None
    """None for ground truth."""
    segmentation: Any
    """As in COCO json; None where there is a box alone."""
    bbox: Sequence[float]
    """(x, y, w, h) in pixels, w the last minus the first column; used where there is no mask."""


@dataclass(frozen=True)
class Classes:
    """Names and colours by category id."""

    names: dict[int, str]
    colours: dict[int, str]

    @classmethod
    def of(cls, names: dict[int, str]) -> Classes:
        """Give each class its colour, which is that of the overlays.

        Args:
            names: By category id, in the order of the classes.
        """
        palette = class_colours(min(len(names), MAX_COLOURS)).tolist()
        colours = {
            key: "#{:02x}{:02x}{:02x}".format(*palette[row % MAX_COLOURS])
            for row, key in enumerate(names)
        }
        return cls(names, colours)


def picture(
    read: Callable[[], Image.Image],
    file_name: str,
    size: tuple[int, int] | None,
    instances: Sequence[Shown],
    classes: Classes,
    caption: str,
) -> Picture:
    """Build a picture; one whose file cannot be read is shown as outlines alone.

    Args:
        read: Opens the file, as RGB.
        file_name: As the run names it.
        size: (height, width) in pixels, where the run says so.
        instances: Ground truth and what was found.
        classes: Of the instances.
        caption: What is said beneath.
    """
    try:
        pixels: Image.Image | None = read()
    except InputError as error:
        pixels, caption = None, f"{caption} The picture is not shown: {error}."
    height, width = (pixels.height, pixels.width) if pixels else size or (MAX_SIDE, MAX_SIDE)
    shown = _fitted(width, height)
    found = [each for each in instances if each.score is not None]
    found.sort(key=lambda each: -(each.score or 0))
    truths = [each for each in instances if each.score is None]

    def outlines(kept: Sequence[Shown]) -> list[Outline]:
        drawn = (_outline(each, (height, width), shown, classes) for each in kept)
        return [each for each in drawn if each is not None]

    return Picture(
        file_name,
        *shown,
        jpeg_uri(pixels.resize(shown, Image.Resampling.LANCZOS)) if pixels else None,
        caption,
        found=outlines(found[:MAX_INSTANCES]),
        truths=outlines(truths[:MAX_INSTANCES]),
        left_out=sum(max(len(each) - MAX_INSTANCES, 0) for each in (found, truths)),
    )


def _fitted(width: int, height: int) -> tuple[int, int]:
    """(width, height) as embedded."""
    scale = min(1.0, MAX_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _outline(
    instance: Shown, size: tuple[int, int], shown: tuple[int, int], classes: Classes
) -> Outline | None:
    """An instance on a picture of (height, width) that is embedded as (width, height)."""
    mask = _mask(instance, *size)
    if mask is None:
        return None
    path = svg_path(mask, shown)
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if not path or not len(rows):
        return None
    scale = shown[0] / size[1]
    return Outline(
        label=classes.names.get(instance.category_id, str(instance.category_id)),
        path=path,
        colour=classes.colours.get(instance.category_id, "#e69f00"),
        score=instance.score,
        centre=(
            round(float(columns[0] + columns[-1] + 1) * scale / 2, 1),
            round(float(rows[0] + rows[-1] + 1) * scale / 2, 1),
        ),
    )


def _mask(instance: Shown, height: int, width: int) -> NDArray[np.bool_] | None:
    """The mask, or the area of the box where there is none; None for one of another size."""
    if instance.segmentation is None:
        x, y, w, h = (max(0, round(each)) for each in instance.bbox)
        mask = np.zeros((height, width), dtype=bool)
        mask[y : y + h + 1, x : x + w + 1] = True
        return mask
    try:
        return from_rle(to_rle(instance.segmentation, height, width))
    except ValueError:
        return None


def jpeg_uri(pixels: Image.Image, max_bytes: int = MAX_JPEG_BYTES) -> str:
    """A picture as a data URI.

    Args:
        pixels: RGB.
        max_bytes: Beyond which a lower quality is tried.
    """
    for quality in QUALITIES:
        file = io.BytesIO()
        pixels.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= max_bytes:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
