"""Made-up results of pictures, with masks that are drawn as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_codec

from no_time_to_train.coco.results import CompressedRle
from no_time_to_train.exports.picture_results import FoundInstance, PictureResult

CLASSES = ("cell", "nucleus")


def drawn(*rows: str) -> NDArray[np.bool_]:
    """A mask from lines of text, one character a pixel, # inside."""
    return np.array([[character == "#" for character in row] for row in rows])


def found(mask: NDArray[np.bool_], label: int = 0, score: float = 0.5) -> FoundInstance:
    """An instance with this mask."""
    rle = rle_codec.encode(np.asfortranarray(mask, dtype=np.uint8))
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return FoundInstance(
        label,
        score,
        (x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1),
        int(mask.sum()),
        CompressedRle(size=list(mask.shape), counts=rle["counts"].decode()),
    )


def result(
    instances: Sequence[FoundInstance],
    file_name: str = "a/b.png",
    image_id: int = 1,
    size: tuple[int, int] = (4, 6),
) -> PictureResult:
    """A picture with these instances."""
    best = max((each.score for each in instances), default=None)
    return PictureResult(image_id, file_name, *size, instances, len(instances), best)


SQUARE = drawn("......", ".##...", ".##...", "......")
BAR = drawn("......", "......", "..####", "......")
CORNER = drawn("......", "......", "......", ".....#")


def two_pictures() -> list[PictureResult]:
    """Three instances in the first, two of which overlap, none in the second."""
    first = [found(SQUARE, 0, 0.9375), found(BAR, 1, 0.5), found(CORNER, 0, 0.25)]
    return [result(first), result([], "ä ö.jpg", 2, (5, 3))]


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """A round mask: (height, width) of the picture, (x, y) and radius in pixels."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Shared pixels by those of either mask."""
    return float((one & other).sum() / (one | other).sum())


PICTURE_SIZE = (80, 120)
RING = disc(PICTURE_SIZE, (40, 40), 30) & ~disc(PICTURE_SIZE, (40, 40), 12)
TWO_DISCS = disc(PICTURE_SIZE, (95, 20), 12) | disc(PICTURE_SIZE, (105, 60), 14)
AT_THE_BORDER = disc(PICTURE_SIZE, (118, 78), 20)
SHAPES = (RING, TWO_DISCS, AT_THE_BORDER)


def picture_of_shapes(file_name: str = "a.png", image_id: int = 1) -> PictureResult:
    """A hole, two pieces, and one cut off by the border."""
    instances = [found(RING, 0, 0.9375), found(TWO_DISCS, 1, 0.75), found(AT_THE_BORDER, 0, 0.5)]
    return result(instances, file_name, image_id, PICTURE_SIZE)
