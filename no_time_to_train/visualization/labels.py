"""Text on filled chips, inside the image and out of each other's way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from no_time_to_train.visualization.palette import Colour, text_colour
from no_time_to_train.visualization.text import (
    MIN_FONT_SIZE,
    drawable,
    load_font,
    padding_of,
    shortened,
    text_size,
)

MAX_SHARE = 0.15
"""Of the image, that labels may cover; beyond it their font shrinks."""
MAX_WIDTH = 0.5
"""Of the image, that one label may take."""
ALLOWED_WIDTH = 160
"""In pixels: what a label may take whatever its share."""


@dataclass(frozen=True)
class Label:
    """What to write beside a box."""

    name: str
    """Shortened where the image is too narrow for it."""
    suffix: str
    """Follows the name, never shortened."""
    box: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels: what the label belongs to."""
    colour: Colour
    """Of the chip, RGB."""


class Chip(NamedTuple):
    """A rectangle in pixels: left and top inclusive, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def draw_labels(
    picture: NDArray[np.uint8], labels: Sequence[Label], font_size: int
) -> NDArray[np.uint8]:
    """Write labels, the first ones with the best places and on top of the others.

    A picture too small for a label goes without it.

    Args:
        picture: RGB, (H, W, 3).
        labels: The most important one first.
        font_size: In pixels.

    Returns:
        A copy of the picture with the labels.
    """
    image = Image.fromarray(picture)
    # No letter is narrower than two pixels; measuring thousands that cannot fit takes minutes.
    most = max(image.width // 2, 1)
    labels = [replace(label, name=drawable(label.name)[:most]) for label in labels]
    canvas = ImageDraw.Draw(image)
    font = load_font(_uncrowded(font_size, labels, image.size))
    width = min(max(round(MAX_WIDTH * image.width), ALLOWED_WIDTH), image.width)
    texts = [shortened(label.name, label.suffix, font, width) for label in labels]
    written = [
        (label, text)
        for label, text in zip(labels, texts, strict=True)
        if _fits(text_size(text, font), image.size)
    ]
    sizes = [text_size(text, font) for _, text in written]
    chips = place_chips(sizes, [label for label, _ in written], image.size)
    for (label, text), chip in reversed(list(zip(written, chips, strict=True))):
        canvas.rectangle((chip.left, chip.top, chip.right - 1, chip.bottom - 1), label.colour)
        origin = (chip.left + padding_of(font), chip.top + padding_of(font) // 2)
        canvas.text(origin, text, fill=text_colour(label.colour), font=font)
    return np.array(image)


def place_chips(
    sizes: Sequence[tuple[int, int]], labels: Sequence[Label], image_size: tuple[int, int]
) -> list[Chip]:
    """Find a place in the image for each chip, at a corner of its box.

    Args:
        sizes: (width, height) per chip, in pixels.
        labels: The label of each chip.
        image_size: (width, height) in pixels.

    Returns:
        Chips in the order of the labels: each takes the first place that is free, or else the one
        that covers least of the chips before it.
    """
    placed = np.zeros((len(labels), 4), np.int64)  # left, top, right, bottom
    chips = []
    for row, (size, label) in enumerate(zip(sizes, labels, strict=True)):
        places = [_inside(place, size, image_size) for place in _places(label.box, size)]
        chips.append(places[_covered(np.array(places), placed[:row]).argmin()])
        placed[row] = chips[-1]
    return chips


def _fits(size: tuple[int, int], image_size: tuple[int, int]) -> bool:
    return size[0] <= image_size[0] and size[1] <= image_size[1]


def _covered(places: NDArray[np.int64], placed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels of the placed chips (N, 4) that each place (P, 4) would cover, (P,)."""
    sides = np.split(places, 4, axis=1)  # each (P, 1)
    others = placed.T  # each (N,)
    widths = np.minimum(sides[2], others[2]) - np.maximum(sides[0], others[0])  # (P, N)
    heights = np.minimum(sides[3], others[3]) - np.maximum(sides[1], others[1])
    covered: NDArray[np.int64] = (np.maximum(widths, 0) * np.maximum(heights, 0)).sum(axis=1)
    return covered


def _uncrowded(font_size: int, labels: Sequence[Label], image_size: tuple[int, int]) -> int:
    """A font size with which the labels cover no more than their share of the image."""
    limit = MAX_SHARE * image_size[0] * image_size[1]
    sizes = [text_size(label.name + label.suffix, load_font(font_size)) for label in labels]
    covered = sum(min(width, image_size[0]) * height for width, height in sizes)
    if covered <= limit:
        return font_size
    return max(int(font_size * (limit / covered) ** 0.5), min(MIN_FONT_SIZE, font_size))


def _places(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> list[tuple[float, float]]:
    """Left top corners around a box, the most natural one first."""
    x1, y1, x2, y2 = box
    width, height = size
    middle = (y1 + y2 - height) / 2
    return [
        (x1, y1 - height),
        (x2 + 1 - width, y1 - height),
        (x1, y2 + 1),
        (x2 + 1 - width, y2 + 1),
        (x1, y1),
        (x2 + 1 - width, y1),
        (x1, y2 + 1 - height),
        (x2 + 1 - width, y2 + 1 - height),
        (x2 + 1, middle),
        (x1 - width, middle),
        ((x1 + x2 - width) / 2, middle),
    ]


def _inside(
    corner: tuple[float, float], size: tuple[int, int], image_size: tuple[int, int]
) -> Chip:
    """The chip at a corner, moved into the image."""
    left, top = (
        round(min(max(at, 0), max(end - side, 0)))
        for at, side, end in zip(corner, size, image_size, strict=True)
    )
    return Chip(left, top, min(left + size[0], image_size[0]), min(top + size[1], image_size[1]))
