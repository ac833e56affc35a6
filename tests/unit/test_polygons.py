"""Masks to polygons and back, by three ways of drawing them."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as rle_codec

from no_time_to_train.coco.polygons import Polygon, one_polygon, piece_polygons
from tests.unit.found import drawn

Mask = NDArray[np.bool_]
RING = drawn(".......", ".#####.", ".#...#.", ".#.#.#.", ".#...#.", ".#####.", ".......")
PARTS = drawn("##....#", "##....#", ".......", "...####")
COMB = drawn("#.#.#.#", "#.#.#.#", "#######")


def by_pycocotools(polygons: list[Polygon], mask: Mask) -> Mask:
    rles = rle_codec.frPyObjects(polygons, *mask.shape)
    return np.asarray(rle_codec.decode(rle_codec.merge(rles))).astype(bool)


def by_opencv(polygons: list[Polygon], mask: Mask) -> Mask:
    """Rounded down first, as YOLO trainers do."""
    canvas = np.zeros(mask.shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [np.int32(polygon).reshape(-1, 2)], 1)
    return canvas.astype(bool)


def by_pil(polygons: list[Polygon], mask: Mask) -> Mask:
    """Outlines included, as Labelme does."""
    canvas = Image.new("1", mask.shape[::-1])
    for polygon in polygons:
        ImageDraw.Draw(canvas).polygon(polygon, outline=1, fill=1)
    return np.array(canvas)


def disc(side: int) -> Mask:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return x**2 + y**2 < (side / 2.5) ** 2


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_piece_polygons__of_one_pixel_run_inside_it() -> None:
    (polygon,) = piece_polygons(drawn("...", "..#"))
    assert sorted(zip(polygon[::2], polygon[1::2], strict=True)) == [
        *((2.25, 1.25), (2.25, 1.75)),
        *((2.75, 1.25), (2.75, 1.75)),
    ]


def test_piece_polygons__of_a_rectangle_have_its_corners() -> None:
    (polygon,) = piece_polygons(drawn("......", ".####.", ".####."))
    assert sorted(zip(polygon[::2], polygon[1::2], strict=True)) == [
        *((1.25, 1.25), (1.25, 2.75)),
        *((4.75, 1.25), (4.75, 2.75)),
    ]


def test_piece_polygons__count_pieces_and_cut_holes_in() -> None:
    assert len(piece_polygons(PARTS)) == 3
    assert len(piece_polygons(RING)) == 2  # the pixel in the hole is a piece of its own
    assert piece_polygons(np.zeros((3, 4), dtype=bool)) == []


def test_piece_polygons__give_back_every_mask_of_three_by_four_pixels() -> None:
    for pixels in product((False, True), repeat=12):
        mask = np.array(pixels).reshape(3, 4)
        if mask.any():
            polygons = piece_polygons(mask)
            for draw in (by_pycocotools, by_opencv, by_pil):
                assert np.array_equal(draw(polygons, mask), mask), (draw, mask)


@pytest.mark.parametrize("mask", [RING, PARTS, COMB, np.eye(9, dtype=bool), disc(60)])
@pytest.mark.parametrize("draw", [by_pycocotools, by_opencv, by_pil])
def test_piece_polygons__give_masks_back_pixel_for_pixel(mask: Mask, draw) -> None:
    assert np.array_equal(draw(piece_polygons(mask), mask), mask)


def test_piece_polygons__give_noise_back() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        mask = generator.random((15, 20)) < generator.random()
        mask[0, 0] = True
        polygons = piece_polygons(mask)
        assert np.array_equal(by_pycocotools(polygons, mask), mask)
        for draw in (by_opencv, by_pil):  # they draw the slits, where holes touch each other
            assert iou(draw(polygons, mask), mask) > 0.95


@pytest.mark.parametrize("side", [50, 200, 1000])
def test_piece_polygons__with_more_tolerance_have_far_fewer_points(side: int) -> None:
    mask = disc(side)
    exact, coarse = piece_polygons(mask), piece_polygons(mask, 0.75)
    assert len(coarse[0]) < len(exact[0]) / 3
    assert iou(by_pycocotools(coarse, mask), mask) > 0.98


def test_piece_polygons__with_much_tolerance_keep_pieces_of_one_pixel() -> None:
    mask = np.pad(disc(50), (0, 5))
    mask[53, 53] = True
    assert by_pycocotools(piece_polygons(mask, 2), mask)[53, 53]


def test_one_polygon__joins_pieces_and_encloses_the_same_pixels() -> None:
    for mask in (RING, PARTS, COMB):
        polygon = one_polygon(piece_polygons(mask))
        assert np.array_equal(by_pycocotools([polygon], mask), mask)
    joined = by_opencv([one_polygon(piece_polygons(PARTS))], PARTS)
    assert np.array_equal(joined & PARTS, PARTS)
    assert (joined & ~PARTS).sum() <= 8  # the slits, which OpenCV draws
