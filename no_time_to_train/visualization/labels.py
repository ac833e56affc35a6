"""Text on filled chips, inside the image and out of each other's way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from no_time_to_train.visualization.palette import Colour, text_colour

MAX_SHARE = 0.15
"""Of the image, that labels may cover; beyond it their font shrinks."""
MIN_FONT_SIZE = 8
"""In pixels; below it text cannot be read."""


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
    labels = [replace(label, name=_drawable(label.name)[:most]) for label in labels]
    canvas = ImageDraw.Draw(image)
    font = _font(_uncrowded(font_size, labels, image.size))
    texts = [_fitting_text(label, font, image.width) for label in labels]
    chips = place_chips([_chip_size(text, font) for text in texts], labels, image.size)
    for label, text, chip in reversed(list(zip(labels, texts, chips, strict=True))):
        canvas.rectangle((chip.left, chip.top, chip.right - 1, chip.bottom - 1), label.colour)
        origin = (chip.left + _padding(font), chip.top + _padding(font) // 2)
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
    sizes = [_chip_size(label.name + label.suffix, _font(font_size)) for label in labels]
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


def _drawable(name: str) -> str:
    """The name on one line, without lone surrogates, which json may hold and no font can draw."""
    return " ".join(name.split()).encode("utf-8", "replace").decode("utf-8")


def _fitting_text(label: Label, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The label's text, its name shortened until it fits `width` pixels."""
    text = label.name + label.suffix
    if not label.name or _chip_size(text, font)[0] <= width:
        return text
    # Longer texts are wider: halve the range of lengths instead of trying one after another.
    lengths = range(len(label.name) - 1, -1, -1)
    first = bisect_left(lengths, True, key=lambda n: _chip_size(_cut(label, n), font)[0] <= width)
    return _cut(label, lengths[min(first, len(lengths) - 1)])


def _cut(label: Label, length: int) -> str:
    return f"{label.name[:length]}…{label.suffix}"


def _chip_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    ascent, descent = font.getmetrics()
    padding = _padding(font)
    return round(font.getlength(text)) + 2 * padding, ascent + descent + padding // 2 * 2


def _padding(font: ImageFont.FreeTypeFont) -> int:
    return max(2, round(font.size / 5))


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which knows most alphabets and travels with matplotlib."""
    from matplotlib import get_data_path  # a tenth of a second, and only who draws text needs it

    path = Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
