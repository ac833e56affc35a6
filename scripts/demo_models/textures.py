"""Surfaces of made-up objects and backgrounds: two colours, and a pattern that mixes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""A value per pixel, (H, W)."""

TILE = 24
"""Side of the noise that a surface carries along, in cells."""


@dataclass(frozen=True)
class Surface:
    """How an object looks, the same for all objects of its kind."""

    pattern: Pattern
    colours: NDArray[np.float32]
    """Two colours, (2, 3) in [0, 1], RGB."""
    frequency: float
    """Repeats of the pattern per unit of length."""
    contrast: float
    """How far the pattern goes from the first colour to the second, in [0, 1]."""
    noise: Field
    """Random values in [0, 1], (TILE, TILE)."""

    def paint(self, x: Field, y: Field) -> NDArray[np.float32]:
        """Colour each point (x, y) of the surface, (H, W, 3) in [0, 1]."""
        mixed = self.pattern(self, x, y)[..., None] * self.contrast
        return self.colours[0] + mixed * (self.colours[1] - self.colours[0])

    def noise_at(self, x: Field, y: Field, frequency: float) -> Field:
        """Smooth noise in [0, 1] with so many cells per unit of length, (H, W)."""
        columns, rows = (x * frequency + TILE / 2), (y * frequency + TILE / 2)
        mode = {"interpolation": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REFLECT}
        return cv2.remap(self.noise, columns, rows, **mode).clip(0, 1)


Pattern = Callable[[Surface, Field, Field], Field]
"""From the points of a surface to the share of the second colour, in [0, 1]."""


def plain(surface: Surface, x: Field, y: Field) -> Field:
    """One colour."""
    return np.zeros_like(x)


def stripes(surface: Surface, x: Field, y: Field) -> Field:
    """Soft stripes."""
    return 0.5 + 0.5 * np.tanh(3 * np.sin(2 * np.pi * surface.frequency * x))


def checks(surface: Surface, x: Field, y: Field) -> Field:
    """A chessboard."""
    turns = np.pi * surface.frequency
    return (np.sin(turns * x) * np.sin(turns * y) > 0).astype(np.float32)


def clouds(surface: Surface, x: Field, y: Field) -> Field:
    """Smooth noise."""
    return surface.noise_at(x, y, 2 * surface.frequency)


def camouflage(surface: Surface, x: Field, y: Field) -> Field:
    """Patches with sharp borders."""
    return (surface.noise_at(x, y, 1.5 * surface.frequency) > 0.5).astype(np.float32)


def shaded(surface: Surface, x: Field, y: Field) -> Field:
    """From one colour in the middle to the other at the rim."""
    return np.minimum(x * x + y * y, 1)


def halves(surface: Surface, x: Field, y: Field) -> Field:
    """One half in each colour."""
    return (x > 0).astype(np.float32)


def relief(surface: Surface, x: Field, y: Field) -> Field:
    """Noise as a height, with light from one side."""
    height = surface.noise_at(x, y, 2.5 * surface.frequency)
    shifted = surface.noise_at(x + 0.08, y + 0.08, 2.5 * surface.frequency)
    return (0.5 + 2 * (height - shifted)).clip(0, 1)


def speckles(surface: Surface, x: Field, y: Field) -> Field:
    """Small bright spots where the noise is high."""
    return (surface.noise_at(x, y, 5 * surface.frequency) - 0.55).clip(0, 0.2) * 5


def dots(surface: Surface, x: Field, y: Field) -> Field:
    """Round spots in rows and columns."""
    turns = 2 * np.pi * surface.frequency
    return (np.cos(turns * x) + np.cos(turns * y) > 0.6).astype(np.float32)


def rings(surface: Surface, x: Field, y: Field) -> Field:
    """Concentric stripes."""
    radius = np.sqrt(x * x + y * y)
    return 0.5 + 0.5 * np.tanh(3 * np.sin(2 * np.pi * surface.frequency * radius))


def zigzags(surface: Surface, x: Field, y: Field) -> Field:
    """Stripes that turn this way and that."""
    bent = x + 0.5 * np.abs((surface.frequency * y) % 2 - 1) / surface.frequency
    return (np.sin(2 * np.pi * surface.frequency * bent) > 0).astype(np.float32)


def waves(surface: Surface, x: Field, y: Field) -> Field:
    """Stripes that swing."""
    turns = 2 * np.pi * surface.frequency
    return (np.sin(turns * x + 1.5 * np.sin(turns * y)) > 0).astype(np.float32)


def contours(surface: Surface, x: Field, y: Field) -> Field:
    """Lines of equal height, as on a map."""
    height = surface.noise_at(x, y, 1.2 * surface.frequency)
    return (np.sin(8 * np.pi * height) > 0).astype(np.float32)


def rays(surface: Surface, x: Field, y: Field) -> Field:
    """Wedges around the middle."""
    count = np.round(3 * surface.frequency)
    return (np.sin(count * np.arctan2(y, x)) > 0).astype(np.float32)


def lattice(surface: Surface, x: Field, y: Field) -> Field:
    """Thin lines both ways."""
    turns = np.pi * surface.frequency
    return (np.minimum(np.abs(np.sin(turns * x)), np.abs(np.sin(turns * y))) < 0.3).astype(
        np.float32
    )


def tiles(surface: Surface, x: Field, y: Field) -> Field:
    """Square tiles, each of its own shade."""
    rows, columns = (np.floor(2 * surface.frequency * way).astype(int) % TILE for way in (y, x))
    return surface.noise[rows, columns]


TRAINED: tuple[Pattern, ...] = (
    plain, stripes, checks, clouds, camouflage, shaded, halves, relief, speckles,
)  # fmt: skip
"""What the models are trained on."""

BOLDER: tuple[Pattern, ...] = (waves, contours, rays, lattice, tiles)
"""What the segmenter is trained on besides: borders inside objects that are not their outlines."""

HELD_OUT: tuple[Pattern, ...] = (dots, rings, zigzags)
"""What the demo data set shows, and training never does."""


def draw_surface(rng: Generator, patterns: tuple[Pattern, ...]) -> Surface:
    """Draw a surface with one of these patterns."""
    return Surface(
        pattern=patterns[rng.integers(len(patterns))],
        colours=draw_colours(rng),
        frequency=float(rng.uniform(0.8, 2.5)),
        contrast=float(rng.uniform(0.4, 1)),
        noise=rng.random((TILE, TILE), np.float32),
    )


def draw_colours(rng: Generator) -> NDArray[np.float32]:
    """Two colours (2, 3) in [0, 1], RGB: of any kind, or two greys, or two shades of one."""
    colours = rng.random((2, 3), np.float32)
    kind = rng.random()
    if kind < 0.25:
        colours = np.repeat(colours[:, :1], 3, axis=1)
    elif kind < 0.5:
        colours[1] = colours[0] * rng.uniform(0.3, 0.7)
    return colours
