"""Boxes and their corners, on numbers to check by hand."""

from __future__ import annotations

import numpy as np

from no_time_to_train.coco.boxes import pixel_corners, xywh_to_xyxy, xyxy_to_xywh


def test_xywh_to_xyxy__of_one_box_and_of_columns_of_boxes() -> None:
    assert xywh_to_xyxy([2, 3, 10, 20]) == (2, 3, 12, 23)
    boxes = np.array([[2, 3, 10, 20], [0.5, 0, 1, 4]], np.float32)
    corners = np.stack(xywh_to_xyxy(boxes.T), axis=1)
    assert corners.dtype == np.float32
    assert corners.tolist() == [[2, 3, 12, 23], [0.5, 0, 1.5, 4]]


def test_xyxy_to_xywh__is_the_inverse() -> None:
    assert xyxy_to_xywh([2, 3, 12, 23]) == [2, 3, 10, 20]


def test_pixel_corners__are_the_first_and_last_pixels() -> None:
    assert pixel_corners([2, 3, 1, 4]) == (2, 3, 2, 6)
