"""One colour per class, told apart on photographs and by colour-blind readers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
"""RGB, (P, 3)."""
Colour = tuple[int, int, int]
"""RGB."""

MAX_INSTANCE_COLOURS = 64
"""Beyond that many, further ones are hardly told apart."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

# Okabe and Ito's colour-blind-safe set; what stands out most from photographs comes first.
_FIRST = (
    (230, 159, 0),
    (86, 180, 233),
    (204, 121, 167),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)

# Linear RGB as people see it who lack one kind of cone (Machado, Oliveira and Fernandes, 2009).
_COLOUR_BLIND = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}

# For the colour-blind, whose colours differ in one way less, a difference counts double.
_READER_WEIGHTS = np.array([1, 2, 2])

# Oklab: a space where distance is difference to the eye (Ottosson, 2020).
_RGB_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_CONES_TO_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


@lru_cache(maxsize=8)
def class_colours(count: int) -> Colours:
    """Choose colours for classes 0 to count - 1.

    A class keeps its colour whatever the number of classes: each further colour is the one that is
    least like all before it, for readers with and without colour blindness.

    Returns:
        RGB per class, (K, 3), read-only; all different.

    Raises:
        ValueError: If there are not that many colours worth telling apart.
    """
    colours = np.concatenate([np.array(_FIRST, np.uint8), _candidates()])  # (P, 3)
    if not 0 <= count <= len(colours):
        raise ValueError(f"there are colours for 0 to {len(colours)} classes, not for {count}")
    looks = _looks(colours)  # (P, readers, 3)
    chosen = list(range(min(count, len(_FIRST))))
    distances = np.full(len(colours), np.inf)
    for number in range(count):
        if number == len(chosen):
            chosen.append(int(distances.argmax()))
        gaps = np.linalg.norm(looks - looks[chosen[number]], axis=2)  # (P, readers)
        distances = np.minimum(distances, (gaps * _READER_WEIGHTS).min(axis=1))
    picked = colours[chosen]
    picked.flags.writeable = False
    return picked


def instance_colours(count: int) -> Colours:
    """Choose colours for instances by their order; they start over after `MAX_INSTANCE_COLOURS`.

    Returns:
        RGB per instance, (M, 3).
    """
    return class_colours(MAX_INSTANCE_COLOURS)[np.arange(count) % MAX_INSTANCE_COLOURS]


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever stands out more by WCAG's contrast ratio."""
    luminance = float((_linear(np.array([background], np.uint8)) @ (0.2126, 0.7152, 0.0722))[0])
    black_contrast, white_contrast = (luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)
    return BLACK if black_contrast >= white_contrast else WHITE


def _candidates() -> Colours:
    """Colours that are neither near black, white nor grey, (P, 3)."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, a, b = _oklab(_linear(grid)).T
    vivid = (lightness > 0.5) & (lightness < 0.92) & (np.hypot(a, b) > 0.08)
    candidates: Colours = grid[vivid]
    return candidates


def _looks(colours: Colours) -> NDArray[np.float64]:
    """What readers with all cones and without one of them see, in Oklab, (P, readers, 3)."""
    light = _linear(colours)
    seen = [light, *(light @ np.transpose(matrix) for matrix in _COLOUR_BLIND.values())]
    return np.stack([_oklab(view) for view in seen], axis=1)


def _linear(colours: Colours) -> NDArray[np.float64]:
    """Undo the gamma of sRGB, (P, 3) in [0, 1]."""
    values = colours / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _oklab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lightness, green to red, blue to yellow, (P, 3)."""
    cones = np.cbrt(np.clip(linear, 0, 1) @ np.transpose(_RGB_TO_CONES))
    coordinates: NDArray[np.float64] = cones @ np.transpose(_CONES_TO_OKLAB)
    return coordinates
