"""Outlines of made-up objects: families of shapes, each with endless members.

An outline is a tuple of closed contours, each (N, 2) xy in [-1, 1], y down. What lies inside an odd
number of them is inside the object, so that a second contour may cut a hole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Contour = NDArray[np.float32]
Outline = tuple[Contour, ...]

POINTS = 72
"""Points of a smooth contour."""


def _angles(count: int = POINTS) -> NDArray[np.float64]:
    return np.linspace(0, 2 * np.pi, count, endpoint=False)


def _polar(angles: NDArray[np.float64], radii: NDArray[np.float64] | float) -> Contour:
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.reshape(radii, (-1, 1))
    return points.astype(np.float32)


def _contour(*points: tuple[float, float]) -> Contour:
    return np.array(points, np.float32)


def ellipse(rng: Generator) -> Outline:
    """A disc, often stretched."""
    return (_polar(_angles(), 1.0) * (1, rng.uniform(0.45, 1)),)


def disc(rng: Generator) -> Outline:
    """A disc, hardly stretched."""
    return (_polar(_angles(), 1.0) * (1, rng.uniform(0.9, 1)),)


def box(rng: Generator) -> Outline:
    """A superellipse: a box with more or less rounded corners."""
    power = rng.uniform(3, 12)
    x, y = np.abs(np.cos(_angles())), np.abs(np.sin(_angles()))
    radii = (x**power + y**power) ** (-1 / power)
    return (_polar(_angles(), radii) * (1, rng.uniform(0.4, 1)),)


def polygon(rng: Generator) -> Outline:
    """A convex polygon of three to seven corners, not quite regular."""
    corners = int(rng.integers(3, 8))
    angles = _angles(corners) + rng.uniform(-0.6, 0.6, corners) / corners
    return (_polar(angles, rng.uniform(0.8, 1, corners)) * (1, rng.uniform(0.6, 1)),)


def blob(rng: Generator) -> Outline:
    """A smooth closed curve of a few random waves."""
    radii = np.ones(POINTS)
    for wave in range(2, 6):
        radii += rng.uniform(0, 0.5) / wave * np.cos(wave * _angles() + rng.uniform(0, 2 * np.pi))
    return (_polar(_angles(), radii),)


def cross(rng: Generator) -> Outline:
    """A plus sign with arms of some width."""
    a = rng.uniform(0.3, 0.55)
    corner = [(a, -1), (a, -a), (1, -a)]
    quarters = [_contour(*corner)]
    for _ in range(3):
        quarters.append(quarters[-1] @ np.array([[0, 1], [-1, 0]], np.float32))
    return (np.concatenate(quarters),)


def bracket(rng: Generator) -> Outline:
    """An L with legs of some width."""
    a, b = rng.uniform(-0.3, 0.3, 2)
    return (_contour((-1, -1), (a, -1), (a, b), (1, b), (1, 1), (-1, 1)),)


def ring(rng: Generator) -> Outline:
    """A disc with a hole."""
    return _polar(_angles(), 1.0), _polar(_angles(), rng.uniform(0.3, 0.6))


def trapezium(rng: Generator) -> Outline:
    """Two parallel sides of different length."""
    top, height = rng.uniform(0.2, 0.7), rng.uniform(0.5, 0.9)
    return (_contour((-top, -height), (top, -height), (1, height), (-1, height)),)


def star(rng: Generator) -> Outline:
    """Four to seven pointed rays."""
    rays = int(rng.integers(4, 8))
    radii = np.tile([1.0, rng.uniform(0.45, 0.65)], rays)
    return (_polar(_angles(2 * rays), radii),)


def heart(rng: Generator) -> Outline:
    """A heart."""
    t = _angles()
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    points = np.stack([x / 17, -(y + 2.5) / 17 * rng.uniform(0.85, 1.1)], axis=1)
    return (points.astype(np.float32),)


def gear(rng: Generator) -> Outline:
    """A wheel with teeth."""
    teeth = int(rng.integers(7, 11))
    radii = np.tile(np.repeat([1.0, rng.uniform(0.72, 0.84)], 2), teeth)
    return (_polar(_angles(4 * teeth), radii),)


def crescent(rng: Generator) -> Outline:
    """A moon: a disc that another has bitten."""
    half = _angles()[: POINTS // 2] + np.pi / 2
    depth = rng.uniform(-0.1, 0.25)
    outer = _polar(half, 1.0)
    inner = _polar(half, 1.0)[::-1] * (depth, 1)
    moon = np.concatenate([outer, inner]).astype(np.float32)
    return (np.add(moon, (0.4, 0)),)


def arrow(rng: Generator) -> Outline:
    """A thick arrow."""
    shaft, neck = rng.uniform(0.25, 0.45), rng.uniform(-0.2, 0.2)
    upper = [(-1, -shaft), (neck, -shaft), (neck, -0.9), (1, 0)]
    lower = [(x, -y) for x, y in reversed(upper[:-1])]
    return (_contour(*upper, *lower),)


def splinter(rng: Generator) -> Outline:
    """A shard: corners at any distance, some of them far out."""
    corners = int(rng.integers(6, 12))
    angles = _angles(corners) + rng.uniform(-1, 1, corners) / corners
    return (_polar(angles, rng.uniform(0.4, 1, corners)),)


def flower(rng: Generator) -> Outline:
    """Three to eight round petals."""
    petals, depth = int(rng.integers(3, 9)), rng.uniform(0.1, 0.3)
    return (_polar(_angles(), 1 - depth + depth * np.cos(petals * _angles())),)


def sector(rng: Generator) -> Outline:
    """A piece of a cake, or a cake without a piece."""
    half = rng.uniform(0.3, 2.8)
    arc = _polar(np.linspace(-half, half, POINTS), 1.0)
    return (np.concatenate([arc, _contour((0, 0))]) - (max(np.cos(half), 0) / 2, 0),)


def chevron(rng: Generator) -> Outline:
    """A thick V."""
    width, depth = rng.uniform(0.5, 0.9), rng.uniform(0.4, 1)
    return (
        _contour(
            (-1, -1), (-1 + width, -1), (depth, 0), (-1 + width, 1), (-1, 1), (depth - width, 0)
        ),
    )


Family = Callable[[Generator], Outline]

TRAINED: tuple[Family, ...] = (
    ellipse, disc, box, polygon, blob, cross, bracket, ring, trapezium,
)  # fmt: skip
"""What the models are trained on."""

ROUGHER: tuple[Family, ...] = (splinter, flower, sector, chevron)
"""What the segmenter is trained on besides, so that corners and notches are nothing new to it."""

HELD_OUT: tuple[Family, ...] = (star, heart, gear, crescent, arrow)
"""What the demo data set shows, and training never does."""
