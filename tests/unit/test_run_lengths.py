"""Run lengths of masks, against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as rle_codec

from no_time_to_train.coco.run_lengths import Box, CompressedRle, Mask, decode, encode


def box_of(mask: Mask) -> Box:
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def encoded(mask: Mask, box: Box) -> CompressedRle:
    x1, y1, x2, y2 = box
    height, width = mask.shape
    return encode(mask[y1 : y2 + 1, x1 : x2 + 1], box, (height, width))


def by_pycocotools(mask: Mask) -> dict[str, object]:
    rle = rle_codec.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


MASKS = {
    "one pixel": [[0, 0, 0], [0, 1, 0]],
    "first pixel": [[1, 0, 0], [0, 0, 0]],
    "last pixel": [[0, 0, 0], [0, 0, 1]],
    "whole": [[1, 1, 1], [1, 1, 1]],
    "whole columns": [[0, 1, 1, 0], [0, 1, 1, 0]],
    "from a column's foot to the next head": [[0, 0, 1, 0], [0, 1, 1, 1], [0, 1, 0, 1]],
    "hole": [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
    "row": [[0, 1, 1]],
    "column": [[0], [1], [1]],
}


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS)
def test_encode__is_that_of_pycocotools(rows: list[list[int]]) -> None:
    mask = np.array(rows, bool)
    rle = encoded(mask, box_of(mask))
    assert rle == by_pycocotools(mask)
    assert np.array_equal(decode(rle, box_of(mask)), mask)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_encode__of_noise_is_that_of_pycocotools(share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        mask = np.zeros(rng.integers(1, 30, 2), bool)
        part = mask[rng.integers(len(mask)) :, rng.integers(mask.shape[1]) :]
        part[:] = rng.random(part.shape) < share
        if mask.any():
            height, width = mask.shape
            for box in (box_of(mask), (0, 0, width - 1, height - 1)):
                rle = encoded(mask, box)
                assert rle == by_pycocotools(mask)
                assert np.array_equal(decode(rle, box), mask)


def test_decode__gives_rows_one_after_the_other() -> None:
    mask = np.ones((3, 4), bool)
    again = decode(encode(mask, (0, 0, 3, 2), (3, 4)), (0, 0, 3, 2))
    assert again.dtype == np.bool_ and again.flags.c_contiguous
