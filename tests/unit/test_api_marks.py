"""Masks, polygons and boxes that mark an example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle_codec

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.api.examples import ExampleReader, Marks
from no_time_to_train.api.marks import marked
from no_time_to_train.errors import InputError
from tests.unit.test_api_prompts import COIN, COINS, segmenter  # noqa: F401
from tests.unit.test_api_state import SIDE, make, picture  # noqa: F401

SIZE = (6, 8)
SQUARE = np.zeros(SIZE, bool)
SQUARE[1:4, 2:6] = True  # rows 1 to 3, columns 2 to 5
CORNERS = [[2, 1], [6, 1], [6, 4], [2, 4]]
FLAT = [2, 1, 6, 1, 6, 4, 2, 4]
FAR = [[0, 5], [1, 5], [1, 6], [0, 6]]  # one pixel: row 5, column 0


def inside(mark: Any) -> Any:
    def draw_box(box: Any) -> Any:
        drawn = np.zeros(SIZE, bool)
        x1, y1, x2, y2 = np.asarray(box).tolist()
        drawn[y1:y2, x1:x2] = True
        return drawn

    return marked(mark, "the mask of this coin", SIZE, False, draw_box)


@pytest.mark.parametrize(
    "mark",
    [
        SQUARE,
        SQUARE.tolist(),
        torch.from_numpy(SQUARE),
        Image.fromarray(SQUARE),
        (2, 1, 6, 4),
        [2, 1, 6, 4],
        np.array([2, 1, 6, 4]),
        torch.tensor([2, 1, 6, 4]),
        CORNERS,
        tuple(map(tuple, CORNERS)),
        [np.array(corner) for corner in CORNERS],
        FLAT,
        np.array(FLAT, float),
        [FLAT],
        [CORNERS],
        [[2, 1, 4, 1, 4, 4, 2, 4], [[4, 1], [6, 1], [6, 4], [4, 4]]],
        {"size": list(SIZE), "counts": [13, 3, 3, 3, 3, 3, 3, 3, 14]},
        {**rle_codec.encode(np.asfortranarray(SQUARE.astype(np.uint8)))},
    ],
)
def test_marked__takes_each_form(mark: Any) -> None:
    assert inside(mark).tolist() == SQUARE.tolist()


def test_marked__several_polygons_are_one_instance() -> None:
    expected = SQUARE.copy()
    expected[5, 0] = True
    assert inside([CORNERS, FAR]).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (np.ones((3, 3)), r"is \(3, 3\), but its image is \(6, 8\) .*give both the same size$"),
        (np.array(CORNERS), r"is \(4, 2\), .*a polygon goes by the name of polygon=$"),
        ([], r"is \[\]; give a mask, a box .* or a polygon"),
        ([1, 2, 3], r"is \[1, 2, 3\]; give"),
        ([[1, 2], [3, 4]], "of three points at least"),
        ([CORNERS, [[1, 2]]], "give a mask"),
        (["a", "b"], "give a mask"),
        ([[2, 1], [6, None], [6, 4]], "give a mask"),
        ([[2, 1], [6, float("nan")], [6, 4]], "give a mask"),
        ([0.1, 0.1, 0.5, 0.1, 0.5, 0.5], "between 0 and 1; give pixels"),
        (np.eye(6, dtype=int).tolist(), "between 0 and 1; give pixels, or a mask"),
        ([1, 1, 1e9, 1, 5, 5], "beyond 100000 px; correct it"),
        ({"size": [3, 3], "counts": [9]}, r"has the RLE size \[3, 3\], the image has \[6, 8\]"),
        ({"counts": [48]}, "has the RLE size None"),
        (3, r"has the shape \(\)"),
        ("nowhere.png", "nowhere.png does not exist"),
    ],
)
def test_marked__of_another_kind_is_a_sentence(mark: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"^the mask of this coin.*{words}") as caught:
        inside(mark)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({}, "neither mask, nor polygon, nor box"),
        ({"mask": np.ones((SIDE, SIDE)), "box": (1, 1, 5, 5)}, "mask and box; give one"),
        ({"polygon": CORNERS, "box": (1, 1, 5, 5)}, "polygon and box; give one"),
        ({"polygon": np.ones((SIDE, SIDE))}, "is an array|is array"),
        ({"polygon": [20, 20, 30, 20, 30, 30]}, "has no pixel; mark the instance"),
        ({"box": (1, 1, 5)}, r"^box is \(1, 1, 5\); give four numbers"),
        ({"mask": (5, 1, 1, 5)}, r"^box is \(5, 1, 1, 5\), which holds nothing"),
    ],
)
def test_remember__what_marks_nothing_is_a_sentence(make: Any, marks: Any, words: str) -> None:  # noqa: F811
    colours: FewShotSegmenter = make()
    with pytest.raises(InputError, match=words):
        colours.remember(picture("red"), name="coin", **marks)
    assert colours.class_names == []


def test_remember__takes_a_polygon_by_its_name(make: Any) -> None:  # noqa: F811
    colours: FewShotSegmenter = make()
    colours.remember(picture("red"), np.ones((SIDE, SIDE)), "arrow")
    colours.remember(picture("red"), name="arrow", polygon=np.array(CORNERS))
    assert colours.classes[0].references == 2


def test_remember__a_box_is_what_draw_mask_draws_in_it(segmenter: FewShotSegmenter) -> None:  # noqa: F811
    mask = segmenter.draw_mask(COINS, box=COIN)
    reader: ExampleReader = segmenter._examples
    expected = reader.read(COINS, Marks(mask, None, None), "the mask")
    for marks in (Marks(COIN, None, None), Marks(None, None, COIN)):
        for tensor, other in zip(reader.read(COINS, marks, "the mask"), expected, strict=True):
            assert torch.equal(tensor, other)
