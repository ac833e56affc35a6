from __future__ import annotations

import sys

import numpy as np
import pytest

from no_time_to_train.errors import InputError
from no_time_to_train.exports.detections import to_detections
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
