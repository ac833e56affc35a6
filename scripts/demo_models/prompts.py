"""Prompts for the segmenter in a scene, and the masks it should answer with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from no_time_to_train.preprocessing import imagenet_normalise
from sam2.image_model import MASK_STRIDE
from scripts.demo_models.drawing import Scene

CLICKS, BOXES, BACKGROUND_CLICKS = 12, 3, 2
"""Prompts per scene: clicks on objects, boxes around objects, clicks on the background."""
MIN_VISIBLE, MIN_CELLS = 0.3, 8
"""Objects hidden more than this, or with fewer cells of the mask grid, get no prompt."""
BOX_ERROR = 0.05
"""How far sides of a box may be off, as a share of its longer side."""


@dataclass(frozen=True)
class Prompts:
    """A scene and its prompts, S the side of the scene."""

    image: Tensor
    """(3, S, S), ImageNet-normalised."""
    clicks: Tensor
    """Points inside objects, (CLICKS, 2) xy in pixels."""
    boxes: Tensor
    """(BOXES, 4) xyxy in pixels."""
    background: Tensor
    """Points on the background, (BACKGROUND_CLICKS, 2) xy in pixels."""
    truth: Tensor
    """Share of each cell that the object covers, (CLICKS + BOXES, S/4, S/4)."""


def normalise(image: NDArray[np.uint8]) -> Tensor:
    """An RGB image (H, W, 3) as the networks take it, (3, H, W)."""
    return imagenet_normalise(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0]


def draw_prompts(rng: Generator, scene: Scene) -> Prompts | None:
    """Draw prompts for a scene, each object as often as the next.

    Args:
        rng: Source of all randomness.
        scene: The scene.

    Returns:
        The prompts; None where no object is visible enough, or where there is no background.
    """
    if not scene.kinds:
        return None
    covers = _covers(scene)  # (objects, h, w)
    clear = (torch.tensor(scene.visible) >= MIN_VISIBLE) & (covers.sum((1, 2)) >= MIN_CELLS)
    objects = rng.permutation(clear.nonzero()[:, 0].numpy())
    empty = np.argwhere(scene.labels == 0)
    if not len(objects) or not len(empty):
        return None
    chosen = [int(objects[i % len(objects)]) for i in range(CLICKS + BOXES)]
    pixels = {i: np.argwhere(scene.labels == i + 1) for i in set(chosen)}  # (n, 2) yx each
    return Prompts(
        image=normalise(scene.image),
        clicks=_as_tensor([_pick(rng, pixels[i]) for i in chosen[:CLICKS]]),
        boxes=_as_tensor([_box(rng, pixels[i], len(scene.labels)) for i in chosen[CLICKS:]]),
        background=_as_tensor([_pick(rng, empty) for _ in range(BACKGROUND_CLICKS)]),
        truth=covers[chosen],
    )


def _covers(scene: Scene) -> Tensor:
    labels = torch.from_numpy(scene.labels).long()
    masks = F.one_hot(labels, len(scene.kinds) + 1)[..., 1:].permute(2, 0, 1)  # (objects, S, S)
    return F.avg_pool2d(masks.float(), MASK_STRIDE)


def _pick(rng: Generator, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """One of the pixels (n, 2) yx, as xy."""
    return pixels[rng.integers(len(pixels))][::-1]


def _box(rng: Generator, pixels: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Roughly the box xyxy around pixels (n, 2) yx."""
    top_left, bottom_right = pixels.min(0)[::-1], pixels.max(0)[::-1]
    error = BOX_ERROR * (bottom_right - top_left).max() * rng.uniform(-1, 1, 4)
    return (np.concatenate([top_left, bottom_right]) + error).clip(0, side - 1)


def _as_tensor(rows: list[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.array(rows, np.float32))
