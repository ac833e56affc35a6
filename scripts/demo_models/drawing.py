"""Made-up scenes with a mask for every object: what the demo models are trained on and shown.

A scene holds objects of some kinds before a background. Objects of one kind share outline and
surface; each has its own place, size, direction and light. Images are RGB, masks pixel-exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scripts.demo_models import shapes, textures

Image = NDArray[np.float32]
"""(H, W, 3) in [0, 1], RGB, while it is being painted."""

SUBPIXEL_BITS = 4
MARGIN = 2
"""Pixels around an object that its patch of the canvas covers."""
MAX_IN_ROWS, GAPS = 30, 0.1
"""Most objects that stand in rows, and the share of their places that stay empty."""


@dataclass(frozen=True)
class Kind:
    """What objects of one class have in common."""

    outline: shapes.Outline
    surface: textures.Surface
    own_noise: bool
    """Whether each object has its own noise, as coins have motifs; else all share the kind's."""


@dataclass(frozen=True)
class Layout:
    """What a scene may look like."""

    side: int = 256
    """Height and width in pixels."""
    counts: tuple[int, int] = (1, 5)
    """Least and most objects."""
    radii: tuple[float, float] = (0.1, 0.25)
    """Least and greatest half extent of an object, as a share of the side."""
    overlap: float = 0.2
    """How far objects may reach into each other, 0 not at all, 1 up to the centres."""
    camera: float = 1.0
    """Strength of blur, noise and uneven light."""
    grey: float = 0.25
    """Share of pictures without colour."""
    rows: float = 0.0
    """Share of pictures in which objects of one kind stand in rows, close together."""
    alike: float = 0.15
    """Share of pictures whose background has the colours of an object."""


@dataclass(frozen=True)
class Scene:
    """A picture, and where which object is."""

    image: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    labels: NDArray[np.uint8]
    """(H, W): 0 for background, i + 1 for the visible part of object i."""
    kinds: tuple[int, ...]
    """Index of each object's kind."""
    visible: tuple[float, ...]
    """Share of each object that others leave visible."""


@dataclass(frozen=True)
class _Pose:
    """Where an object is: its own frame, [-1, 1] both ways, to pixels."""

    centre: NDArray[np.float64]
    frame: NDArray[np.float64]
    """(2, 2): columns are the object's axes in pixels."""
    radius: float


def draw_kind(
    rng: Generator,
    families: tuple[shapes.Family, ...] = shapes.TRAINED,
    patterns: tuple[textures.Pattern, ...] = textures.TRAINED,
) -> Kind:
    """Draw a kind of object from shape families and surface patterns."""
    return Kind(
        outline=families[rng.integers(len(families))](rng),
        surface=textures.draw_surface(rng, patterns),
        own_noise=bool(rng.random() < 0.3),
    )


def draw_scene(rng: Generator, kinds: Sequence[Kind], layout: Layout) -> Scene:
    """Draw a scene.

    Args:
        rng: Source of all randomness.
        kinds: What the objects are drawn from, each as likely as the next.
        layout: Size, number and overlap of objects; a count of 0 leaves the background alone.

    Returns:
        The scene. Where there is no place left, it has fewer objects than asked for.
    """
    model = kinds[rng.integers(len(kinds))] if rng.random() < layout.alike else None
    canvas = _background(rng, layout.side, model)
    labels = np.zeros((layout.side, layout.side), np.uint8)
    light = rng.uniform(-0.5, 0.5, 2)
    chosen, areas = [], []
    in_rows = layout.rows > 0 and rng.random() < layout.rows
    only = int(rng.integers(len(kinds))) if in_rows else None
    for pose in _row_poses(rng, layout) if in_rows else _scattered_poses(rng, layout):
        index = int(rng.integers(len(kinds))) if only is None else only
        chosen.append(index)
        areas.append(_paint_object(rng, canvas, labels, kinds[index], pose, light, len(chosen)))
    seen = np.bincount(labels.ravel(), minlength=len(chosen) + 1)[1:]
    visible = tuple(float(s / max(a, 1)) for s, a in zip(seen, areas, strict=True))
    return Scene(_photograph(rng, canvas, layout), labels, tuple(chosen), visible)


def _background(rng: Generator, side: int, model: Kind | None) -> Image:
    surface = textures.draw_surface(rng, textures.TRAINED)
    if model is not None:  # the colour of the object's pattern becomes the ground
        surface = replace(surface, colours=model.surface.colours[::-1])
    scale = 2 * rng.uniform(0.3, 2.5) / side
    ys, xs = np.mgrid[:side, :side].astype(np.float32) * scale
    angle = rng.uniform(0, np.pi)
    x, y = xs * np.cos(angle) - ys * np.sin(angle), xs * np.sin(angle) + ys * np.cos(angle)
    painted = surface.paint(x.astype(np.float32), y.astype(np.float32))
    calm = rng.uniform(0.1, 0.7)
    return (calm * painted + (1 - calm) * surface.colours[0]).astype(np.float32)


def _scattered_poses(rng: Generator, layout: Layout) -> list[_Pose]:
    """Places for objects, anywhere."""
    side, count = layout.side, int(rng.integers(layout.counts[0], layout.counts[1] + 1))
    axes = _stretch(rng)
    low, high = np.log(layout.radii)
    base = rng.uniform(low, high)
    spread = rng.uniform(0, 1) * (high - low)
    poses: list[_Pose] = []
    for _ in range(count):
        radius = side * np.exp(np.clip(base + rng.uniform(-spread, spread), low, high))
        for _ in range(12):
            centre = rng.uniform(0.7 * radius, side - 0.7 * radius, 2)
            if _fits(centre, radius, poses, axes, layout.overlap):
                frame = radius * axes[:, None] * _turn(rng.uniform(0, 2 * np.pi))
                poses.append(_Pose(centre, frame, radius))
                break
    return poses


def _row_poses(rng: Generator, layout: Layout) -> list[_Pose]:
    """Places in rows and columns, as of goods on a shelf."""
    side, axes = layout.side, _stretch(rng)
    low, high = np.log(layout.radii)
    usual = side * np.exp(rng.uniform(low, (low + high) / 2))
    pitch = 2 * usual * axes * np.exp(rng.uniform(0, 0.5, 2))  # across, down
    places = np.stack(np.meshgrid(*(np.arange(p / 2, side, p) for p in pitch)), -1).reshape(-1, 2)
    first = rng.integers(max(len(places) - MAX_IN_ROWS, 0) + 1)
    poses = []
    for place in places[first : first + MAX_IN_ROWS]:
        radius = usual * np.exp(rng.uniform(-0.3, 0.1))
        centre = place + rng.uniform(-0.15, 0.15, 2) * pitch
        frame = radius * axes[:, None] * _turn(rng.uniform(0, 2 * np.pi))
        if rng.random() >= GAPS:
            poses.append(_Pose(centre, frame, radius))
    return poses


def _stretch(rng: Generator) -> NDArray[np.float64]:
    """How the picture is squeezed, as by a square input; half of the time not at all."""
    stretch = np.exp(rng.uniform(-0.3, 0.3)) if rng.random() < 0.5 else 1.0
    return np.array([stretch, 1 / stretch])


def _fits(
    centre: NDArray[np.float64],
    radius: float,
    poses: Sequence[_Pose],
    axes: NDArray[np.float64],
    overlap: float,
) -> bool:
    return all(
        np.hypot(*((centre - other.centre) / axes)) > (1 - overlap) * (radius + other.radius)
        for other in poses
    )


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _paint_object(
    rng: Generator,
    canvas: Image,
    labels: NDArray[np.uint8],
    kind: Kind,
    pose: _Pose,
    light: NDArray[np.float64],
    label: int,
) -> int:
    """Paint an object over canvas and labels, in place; returns its area in pixels.

    Of an object in rows all may lie beyond the border; its area is 0.
    """
    side = len(canvas)
    corners = pose.centre + np.concatenate(kind.outline) @ pose.frame.T
    left, top = np.maximum(np.floor(corners.min(0)).astype(int) - MARGIN, 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + MARGIN + 1, side)
    if left >= right or top >= bottom:
        return 0
    origin = np.array([left, top])
    contours = [c @ pose.frame.T + (pose.centre - origin) for c in kind.outline]
    cover = _fill(contours, (bottom - top, right - left))  # (h, w) in [0, 1]
    if rng.random() < 0.3:
        _cast_shadow(rng, canvas[top:bottom, left:right], cover)
    ys, xs = np.mgrid[top:bottom, left:right]
    offsets = np.stack([xs, ys], axis=-1) - pose.centre  # (h, w, 2)
    own = (offsets @ np.linalg.inv(pose.frame).T).astype(np.float32)
    colour = _surface_of(rng, kind).paint(own[..., 0], own[..., 1])
    colour = colour * _shading(rng, own, offsets / pose.radius, light)
    patch = canvas[top:bottom, left:right]
    patch += cover[..., None] * (colour - patch)
    labels[top:bottom, left:right][cover > 0.5] = label
    return int((cover > 0.5).sum())


def _fill(contours: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.float32]:
    cover = np.zeros(size, np.uint8)
    fixed = [np.round(c * 2**SUBPIXEL_BITS).astype(np.int32) for c in contours]
    cv2.fillPoly(cover, fixed, 255, cv2.LINE_AA, SUBPIXEL_BITS)
    return cover.astype(np.float32) / 255


def _cast_shadow(rng: Generator, patch: Image, cover: NDArray[np.float32]) -> None:
    dx, dy = rng.uniform(-4, 4, 2)
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(cover, move, cover.shape[::-1]), (0, 0), 2)
    patch *= 1 - rng.uniform(0.2, 0.6) * shadow[..., None]


def _surface_of(rng: Generator, kind: Kind) -> textures.Surface:
    if not kind.own_noise:
        return kind.surface
    noise = rng.random(kind.surface.noise.shape, np.float32)
    return replace(kind.surface, noise=noise)


def _shading(
    rng: Generator,
    own: NDArray[np.float32],
    offsets: NDArray[np.float64],
    light: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Brightness of each point: light from one side, and a darker or brighter rim, (h, w, 1)."""
    rim = rng.uniform(-0.3, 0.1) * (own**2).sum(-1)
    shade = rng.uniform(0.85, 1.15) * (1 + offsets @ light + rim)
    return shade.clip(0.2, 1.8)[..., None].astype(np.float32)


def _photograph(rng: Generator, canvas: Image, layout: Layout) -> NDArray[np.uint8]:
    """Uneven light, grey, gamma, blur and grain."""
    side, strength = layout.side, layout.camera
    slope = rng.uniform(-0.35, 0.35, 2) * strength
    across = np.linspace(-1, 1, side, dtype=np.float32)
    canvas *= (1 + slope[0] * across[:, None] + slope[1] * across).clip(0.3)[..., None]
    if rng.random() < layout.grey:
        canvas[:] = canvas.mean(axis=2, keepdims=True)
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), 0.3 + rng.uniform(0, 0.9) * strength)
    canvas = canvas.clip(0, 1) ** np.exp(rng.uniform(-0.35, 0.35) * strength)
    grain = rng.uniform(0, 0.05) * strength * rng.standard_normal((side, side, 1), np.float32)
    return ((canvas + grain).clip(0, 1) * 255).round().astype(np.uint8)
