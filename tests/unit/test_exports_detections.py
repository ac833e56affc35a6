from __future__ import annotations

import sys
from typing import get_args

import numpy as np
import pytest

from no_time_to_train.config import ColourBy
from no_time_to_train.errors import InputError
from no_time_to_train.exports.detections import to_detections
from no_time_to_train.exports.overlays import overlay
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.visualization.captions import write_note
from tests.unit.found import BAR, CLASSES, CORNER, SQUARE, result, two_pictures


def test_to_detections__gives_what_supervision_filters_and_counts() -> None:
    detections = to_detections(two_pictures()[0], CLASSES)
    assert np.array_equal(detections.mask, [SQUARE, BAR, CORNER])
    assert detections.xyxy.tolist() == [[1, 1, 3, 3], [2, 2, 6, 3], [5, 3, 6, 4]]
    assert detections.confidence.tolist() == [0.9375, 0.5, 0.25]
    assert detections["class_name"].tolist() == ["cell", "nucleus", "cell"]
    sure = detections[detections.confidence > 0.4]
    assert (len(sure), sure.class_id.tolist(), sure.area.tolist()) == (2, [0, 1], [4, 4])


def test_to_detections__of_nothing_has_no_row() -> None:
    detections = to_detections(result([]), CLASSES)
    assert len(detections) == 0
    assert (detections.xyxy.shape, detections.mask.shape) == ((0, 4), (0, 4, 6))


def test_to_detections__without_supervision_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match="`pip install supervision`"):
        to_detections(result([]), CLASSES)


def test_overlay__draws_on_a_copy() -> None:
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    picture = overlay(two_pictures()[0], image, CLASSES, 0.5)
    assert picture.shape == image.shape and picture.any() and not image.any()


def test_overlay__says_how_close_the_best_one_is_where_none_counts() -> None:
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    none = PictureResult(1, "a.png", 100, 300, [], candidates=15, best_score=0.48)
    expected = write_note(image, "0 of 15 above 0.85, best 0.48")
    assert np.array_equal(overlay(none, image, CLASSES, 0.85), expected)


def test_overlay__colours_each_instance_for_itself_where_that_is_wanted() -> None:
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    found = two_pictures()[0]
    by_class, by_instance = (overlay(found, image, ["x"] * 9, 0.5, by) for by in get_args(ColourBy))
    assert not np.array_equal(by_class, by_instance)
