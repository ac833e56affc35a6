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
