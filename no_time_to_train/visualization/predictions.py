"""Instances on their image: what is there on the left, what was found on the right."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.coco.annotations import image_path
from no_time_to_train.config import ColourBy
from no_time_to_train.files import atomic_write
from no_time_to_train.visualization.captions import add_title, write_note
from no_time_to_train.visualization.labels import Label, draw_labels
from no_time_to_train.visualization.palette import class_colours, instance_colours
from no_time_to_train.visualization.text import usual_font_size

logger = logging.getLogger(__name__)

RgbImage = NDArray[np.uint8]
"""RGB, (H, W, 3)."""

FILL = 0.3
"""Share of the class colour inside a mask."""
BOX = 0.6
"""Share of the class colour in a box's line: less than in the outline, which matters more."""
MARGIN = 10
"""White pixels between truth and predictions."""

MAX_SIDE = {
    "BMP": 2**31 - 1,
    "GIF": 65_535,
    "JPEG": 65_500,
    "JPEG2000": 2**31 - 1,
    "PNG": 2**31 - 1,
    "PPM": 2**31 - 1,
    "TIFF": 2**31 - 1,
    "WEBP": 16_383,
}
"""Formats that pictures are written in: those that images are read in, with their limits."""

_SUBPIXEL_BITS = 4
# Full colour resolution: halved, thin lines and small letters bleed.
_ENCODING = {"JPEG": {"quality": 92, "subsampling": 0}}


@dataclass(frozen=True, eq=False)
class Instance:
    """One object to draw."""

    mask: NDArray[np.bool_]
    """(H, W); may be empty."""
    box: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels: first and last column and row."""
    label: int
    """Class index."""
    score: float | None = None
    """In [0, 1]; None for ground truth."""


def draw_instances(
    image: RgbImage,
    instances: Sequence[Instance],
    class_names: Sequence[str],
    colour_by: ColourBy = "class",
    empty_note: str = "",
) -> RgbImage:
    """Draw outlines, boxes and `name score` over an image; it keeps its size.

    Lines and text grow with the image. Small instances lie on top of large ones.

    Args:
        image: RGB, (H, W, 3).
        instances: Those to draw; the first ones get the best places for their names.
        class_names: One per class index.
        colour_by: A colour per class, or one per instance, by which overlapping instances of one
            class are told apart.
        empty_note: Written into the corner where there is no instance; see `found_caption`.

    Returns:
        A new picture, (H, W, 3).
    """
    if not instances:
        return write_note(image, empty_note) if empty_note else image.copy()
    unit = float(np.sqrt(image.shape[0] * image.shape[1]))
    coloured = list(zip(instances, _colours(instances, class_names, colour_by), strict=True))
    picture = image.copy()
    by_size = sorted(coloured, key=lambda each: each[0].mask.sum(), reverse=True)
    for instance, colour in by_size:
        _tint(picture, instance.mask, colour, FILL)
    for instance, colour in by_size:
        _draw_box(picture, instance.box, colour, max(1, round(unit / 600)))
        _draw_outline(picture, instance.mask, colour, max(1, round(unit / 350)))
    labels = [_label(instance, class_names, colour) for instance, colour in coloured]
    return draw_labels(picture, labels, usual_font_size(*image.shape[:2]))


def _colours(
    instances: Sequence[Instance], class_names: Sequence[str], colour_by: ColourBy
) -> NDArray[np.uint8]:
    """Of each instance, (M, 3)."""
    if colour_by == "instance":
        return instance_colours(len(instances))
    return class_colours(len(class_names))[[instance.label for instance in instances]]


def titled(picture: RgbImage, title: str) -> RgbImage:
    """Write a title above a picture, in letters that grow with it.

    Returns:
        A white band with the title and the picture below it, (band + H, W or more, 3).
    """
    return add_title(picture, title, usual_font_size(*picture.shape[:2]))


def compare(truth: RgbImage, predictions: RgbImage) -> RgbImage:
    """Put two pictures of one image side by side, with a white margin between them.

    Returns:
        Truth left, predictions right, (H, W + 10 + W, 3).
    """
    margin = np.full((len(truth), MARGIN, 3), 255, dtype=np.uint8)
    return np.concatenate([truth, margin, predictions], axis=1)


def save_picture(path: Path, rgb: RgbImage, is_result: bool = True) -> Path:
    """Write a picture in the format of the file's suffix; folders are made as needed.

    The file appears whole or not at all.

    Args:
        path: With a suffix such as .jpg or .png.
        rgb: (H, W, 3).
        is_result: Whether it is in its final place; see `files.atomic_write`.

    Returns:
        Where it is; `.png` has been added to a name whose format cannot hold it.

    Raises:
        InputError: The file cannot be written.
    """
    image_format = picture_format(path.suffix, max(rgb.shape[:2]))
    if image_format is None:
        whole, image_format = path.with_name(f"{path.name}.png"), "PNG"
        logger.info("%s cannot hold %d x %d pixels; see %s", path, *rgb.shape[1::-1], whole)
        path = whole
    encoded = io.BytesIO()  # encoders that write to a file themselves do not say why they cannot
    Image.fromarray(rgb).save(encoded, image_format, **_ENCODING.get(image_format, {}))
    with atomic_write(path, "wb", is_result) as file:
        file.write(encoded.getbuffer())
    return path


def picture_format(suffix: str, side: int = 1) -> str | None:
    """PIL's name of the format with this suffix, if it holds RGB of this many pixels a side."""
    image_format = Image.registered_extensions().get(suffix.lower(), "")
    return image_format if side <= MAX_SIDE.get(image_format, 0) else None


def _tint(
    picture: RgbImage, mask: NDArray[np.bool_], colour: NDArray[np.uint8], share: float
) -> None:
    """Mix a share of colour into the masked pixels."""
    extent = _extent(mask)
    levels = np.arange(256)[:, None]  # mixed once, not pixel by pixel
    lookup = ((1 - share) * levels + share * colour).round().astype(np.uint8)  # (256, 3)
    mixed = cv2.LUT(picture[extent], lookup[None])
    cv2.copyTo(mixed, mask[extent].view(np.uint8), picture[extent])


def _draw_outline(
    picture: RgbImage, mask: NDArray[np.bool_], colour: NDArray[np.uint8], width: int
) -> None:
    """Follow the border of a mask, holes included, with a smooth line."""
    rows, columns = _extent(mask)
    contours, _ = cv2.findContours(
        mask[rows, columns].view(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_NONE,
        offset=(columns.start, rows.start),
    )  # each (P, 1, 2) xy pixels
    paths = [_smooth(contour[:, 0].astype(np.float64), 4 * width + 1) for contour in contours]
    fixed_point = [np.round(path * 2**_SUBPIXEL_BITS).astype(np.int32) for path in paths]
    cv2.polylines(
        picture, fixed_point, True, colour.tolist(), width, cv2.LINE_AA, shift=_SUBPIXEL_BITS
    )


def _extent(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that hold the mask; never none, since OpenCV refuses empty images."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(y, y + max(height, 1)), slice(x, x + max(width, 1))


def _smooth(path: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Average each point of a closed path (P, 2) with its neighbours; short paths stay."""
    if len(path) < 2 * window:
        return path
    around = np.pad(path, ((window // 2, window // 2), (0, 0)), mode="wrap")
    sums = np.cumsum(np.pad(around, ((1, 0), (0, 0))), axis=0)
    return (sums[window:] - sums[:-window]) / window


def _draw_box(
    picture: RgbImage,
    box: tuple[float, float, float, float],
    colour: NDArray[np.uint8],
    width: int,
) -> None:
    """Draw a light rectangle whose line runs along the first and last columns and rows."""
    x1, y1, x2, y2 = (round(side) for side in box)
    line = cv2.rectangle(np.zeros(picture.shape[:2], np.uint8), (x1, y1), (x2, y2), 1, width)
    _tint(picture, line.astype(bool), colour, BOX)


def _label(instance: Instance, class_names: Sequence[str], colour: NDArray[np.uint8]) -> Label:
    suffix = "" if instance.score is None else f" {instance.score:.2f}"
    red, green, blue = colour.tolist()
    return Label(class_names[instance.label], suffix, instance.box, (red, green, blue))


def picture_path(folder: str | Path, file_name: str) -> Path:
    """Where the picture of an image goes; `.png` is added to names that no picture's format has.

    One that is too large for its format goes to a name with `.png` added, too.

    Raises:
        InputError: The name leaves the folder.
    """
    path = image_path(folder, file_name)
    return path if picture_format(path.suffix) else path.with_name(f"{path.name}.png")
