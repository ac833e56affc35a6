"""Text in pictures: its font, its size, and names that are too long for their place."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from math import sqrt
from pathlib import Path

from PIL import ImageFont

MIN_FONT_SIZE = 8
"""In pixels; below it text cannot be read."""


def usual_font_size(height: int, width: int) -> int:
    """In pixels, for a picture of that size."""
    return max(10, round(sqrt(height * width) / 38))


def drawable(name: str) -> str:
    """The name on one line, without lone surrogates, which json may hold and no font can draw."""
    return " ".join(name.split()).encode("utf-8", "replace").decode("utf-8")


def shortened(name: str, suffix: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Name and suffix, the name cut until both fit `width` pixels."""
    text = name + suffix
    if not name or text_size(text, font)[0] <= width:
        return text

    def cut(length: int) -> str:
        return f"{name[:length]}…{suffix}"

    # Longer texts are wider: halve the range of lengths instead of trying one after another.
    lengths = range(len(name) - 1, -1, -1)
    first = bisect_left(lengths, True, key=lambda n: text_size(cut(n), font)[0] <= width)
    return cut(lengths[min(first, len(lengths) - 1)])


def text_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """(width, height) in pixels of a line of text with its padding."""
    ascent, descent = font.getmetrics()
    padding = padding_of(font)
    return round(font.getlength(text)) + 2 * padding, ascent + descent + padding // 2 * 2


def padding_of(font: ImageFont.FreeTypeFont) -> int:
    """Pixels left and right of a line; half as many above and below."""
    return max(2, round(font.size / 5))


@lru_cache(maxsize=16)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which knows most alphabets and travels with matplotlib."""
    from matplotlib import get_data_path  # a tenth of a second, and only who draws text needs it

    path = Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
