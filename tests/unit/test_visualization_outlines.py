"""Masks as paths of SVG: filled again, they are the masks."""

from __future__ import annotations

import re

import cv2
import numpy as np

from no_time_to_train.visualization.outlines import MAX_LENGTH, svg_path


def filled(path: str, size: tuple[int, int]) -> np.ndarray:
    """What a browser fills by the even-odd rule, pixel centres included, (H, W)."""
    rings = re.findall(r"M([^Mz]*)z", path)
    points = [np.array(ring.split(), dtype=float).reshape(-1, 2) - 0.5 for ring in rings]
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    cv2.fillPoly(mask, [ring.round().astype(np.int32) for ring in points], 1)
    return mask.astype(bool)


def test_svg_path__of_a_rectangle_runs_through_its_outermost_pixels() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[2:5, 3:9] = True
    assert svg_path(mask, (20, 10)) == "M3.5 2.5 3.5 4.5 8.5 4.5 8.5 2.5z"


def test_svg_path__keeps_holes_and_pieces() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[5:45, 5:45] = True
    mask[20:30, 20:30] = False
    mask[50:55, 50:58] = True
    path = svg_path(mask, (60, 60))
    assert path.count("M") == 3
    wrong = filled(path, (60, 60)) ^ mask
    hole_border = cv2.dilate((~mask).astype(np.uint8), np.ones((3, 3))).astype(bool) & mask
    assert not (wrong & ~hole_border).any()  # the ring of a hole runs through the mask's pixels


def test_svg_path__is_scaled_to_the_picture() -> None:
    mask = np.zeros((400, 800), dtype=bool)
    mask[:, :400] = True
    assert svg_path(mask, (80, 40)) == "M0.5 0.5 0.5 39.5 39.5 39.5 39.5 0.5z"


def test_svg_path__keeps_what_is_thinner_than_a_pixel() -> None:
    mask = np.zeros((4000, 4000), dtype=bool)
    mask[2000, 2000] = True
    assert svg_path(mask, (400, 400)) == "M200 200h1v1h-1z"
    assert svg_path(np.zeros((10, 10), dtype=bool), (5, 5)) == ""


def test_svg_path__of_a_speckled_mask_keeps_its_largest_piece_and_stays_short() -> None:
    mask = np.random.default_rng(0).random((400, 400)) < 0.3
    mask[:200, :200] = True
    path = svg_path(mask, (400, 400))
    assert 1000 < len(path) <= MAX_LENGTH
    assert filled(path.partition("z")[0] + "z", (400, 400))[20:180, 20:180].all()
