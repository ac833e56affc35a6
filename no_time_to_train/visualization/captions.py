"""What is written of a picture as a whole: its title above it, or a note in its corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from no_time_to_train.visualization.palette import BLACK, WHITE
from no_time_to_train.visualization.text import (
    MIN_FONT_SIZE,
    drawable,
    load_font,
    padding_of,
    shortened,
    text_size,
    usual_font_size,
)

MAX_DIGITS = 6
"""Of a score, where fewer would round it to the threshold that it is below."""


def found_caption(shown: int, candidates: int, best_score: float | None, threshold: float) -> str:
    """How much of what was found is shown, and where that is nothing, how close the best one is.

    Args:
        shown: How many are drawn.
        candidates: How many were found, whatever their score.
        best_score: Of all candidates; None where there is none.
        threshold: Lowest score that is drawn.

    Returns:
        Such as `3 of 15 above 0.85` or `0 of 15 above 0.85, best 0.48`.
    """
    if best_score is None:
        return "nothing found"
    text = f"{shown} of {candidates} above {threshold:g}"
    return text if shown else f"{text}, best {_below(best_score, threshold)}"


def _below(score: float, threshold: float) -> str:
    """The score in two digits, or as many as show that it is below the threshold, if it is."""
    texts = [f"{score:.{digits}f}" for digits in range(2, MAX_DIGITS + 1)]
    if score >= threshold:
        return texts[0]
    return next((text for text in texts if float(text) < threshold), texts[-1])


def add_title(picture: NDArray[np.uint8], title: str, font_size: int) -> NDArray[np.uint8]:
    """Write a line above a picture, which becomes wider where the line is.

    Args:
        picture: RGB, (H, W, 3).
        title: Black on white.
        font_size: In pixels.

    Returns:
        A white band, and the picture below it at the left, (band + H, W or more, 3).
    """
    font, title = load_font(font_size), drawable(title)
    width, band = text_size(title, font)
    height = len(picture)
    canvas = Image.new("RGB", (max(width, picture.shape[1]), band + height), WHITE)
    origin = (padding_of(font), padding_of(font) // 2)
    ImageDraw.Draw(canvas).text(origin, title, fill=BLACK, font=font)
    titled: NDArray[np.uint8] = np.array(canvas)
    titled[band:, : picture.shape[1]] = picture
    return titled


def add_fitting_title(
    picture: NDArray[np.uint8], name: str, suffix: str, font_size: int
) -> NDArray[np.uint8]:
    """Write a line above a picture, its name cut to the picture's width.

    Args:
        picture: RGB, (H, W, 3).
        name: Shortened where the picture is too narrow for it.
        suffix: Follows the name, never shortened.
        font_size: In pixels.

    Returns:
        As `add_title` does.
    """
    text = shortened(drawable(name), suffix, load_font(font_size), picture.shape[1])
    return add_title(picture, text, font_size)


def write_note(picture: NDArray[np.uint8], note: str) -> NDArray[np.uint8]:
    """Write a line into the left top corner of a picture, white on black.

    The font shrinks to the picture's width; a picture too small for any letters stays as it is.

    Args:
        picture: RGB, (H, W, 3).
        note: One line.

    Returns:
        A copy of the picture, of its size.
    """
    height, width = picture.shape[:2]
    for size in range(usual_font_size(height, width), MIN_FONT_SIZE - 1, -1):
        font = load_font(size)
        right, bottom = text_size(note, font)
        if right <= width and bottom <= height:
            break
    else:
        return np.copy(picture)
    image = Image.fromarray(picture)
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 0, right - 1, bottom - 1), BLACK)
    canvas.text((padding_of(font), padding_of(font) // 2), note, fill=WHITE, font=font)
    noted: NDArray[np.uint8] = np.array(image)
    return noted
