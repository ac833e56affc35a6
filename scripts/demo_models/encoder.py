"""Train the demo's DINOv2 from nothing, on made-up scenes, to tell kinds of objects apart.

    python -m scripts.demo_models.encoder --seed 0 --out dinov2_demo.pth

Each step draws kinds of objects, a reference of each kind as the method cuts references, and scenes
with several kinds. Features are pooled as the method pools them. Each mask and each patch of a
scene is classified as one of the references or none: a softmax over cosines with one scale
and one offset for all, because the method ranks the cosines of all images in one list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from dinov2 import build_dinov2
from dinov2.vision_transformer import VisionTransformer
from no_time_to_train.dataset.crop_boxes import crop_box
from no_time_to_train.dataset.crops import crop_and_resize
from no_time_to_train.models.matching import linear_upsampling
from no_time_to_train.preprocessing import imagenet_normalise
from scripts.demo_models.drawing import Kind, Layout, Scene, draw_kind, draw_scene
from scripts.demo_models.encoder_init import init_colour_histogram
from scripts.demo_models.optimisers import adamw
from scripts.demo_models.textures import draw_colours
from scripts.demo_models.training import Training, half_precision, lr_factor, read_command_line

NAME = "dinov2_demo"
PATCH, CELL = 14, 4
"""Sides in pixels of a patch, and of a cell of the mask grid."""
CONTEXT = 0.2
"""How much wider than its object a reference is."""
OTHER, MIXED = -1, -2
"""In place of a kind: none of them; more than one, to be left out."""
RADII = (12, 50)
"""Least and greatest half extent of an object in a scene, in pixels."""
GREY_STEPS, GREY_SCENES = 0.15, 0.1
"""Share of steps without colour, and in the others of scenes without."""
REGIONS = 8
"""Random regions tried per scene as masks of no object."""
MIN_VISIBLE, MIN_CELLS = 0.4, 12
"""Objects hidden more than this, or smaller, get no mask."""
PATCH_SHARE = 0.1
"""Weight of the patches beside the masks."""
RATE = 7e-4


@dataclass(frozen=True)
class Phase:
    """A stretch of training on pictures of one size."""

    side: int
    """Of pictures, in pixels."""
    kinds: int
    scenes: int
    steps: int

    @property
    def cost(self) -> int:
        """Pixels of all its pictures; the learning rate falls by them."""
        return self.steps * (self.kinds + self.scenes) * self.side**2


PHASES = (
    Phase(side=84, kinds=16, scenes=16, steps=1500),
    Phase(side=126, kinds=16, scenes=16, steps=2800),
    Phase(side=252, kinds=12, scenes=8, steps=350),
)
"""Small pictures first: objects of a scene keep their size in patches, references grow."""


@dataclass(frozen=True)
class View:
    """A picture with M masks, the reference of a kind or a scene."""

    image: Tensor
    """(3, S, S), ImageNet-normalised."""
    weights: Tensor
    """What each patch adds to the mean under each mask, (M, N)."""
    kinds: Tensor
    """Kind of each mask, or OTHER, (M,)."""
    patches: Tensor
    """Kind of each patch, OTHER or MIXED, (N,)."""


class CosineLogits(nn.Module):
    """From a cosine to the log-odds of being the same kind."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.offset = nn.Parameter(torch.tensor(0.5))

    def forward(self, cosines: Tensor) -> Tensor:
        """Any shape."""
        return self.log_scale.exp() * (cosines - self.offset)


def draw_kinds(rng: Generator, count: int) -> list[Kind]:
    """Kinds of objects, half of which differ from another in one respect only."""
    kinds = [draw_kind(rng) for _ in range(count - count // 2)]
    for kind in kinds[: count // 2]:
        other = draw_kind(rng)
        recoloured = replace(kind.surface, colours=draw_colours(rng))
        twins = (
            replace(kind, outline=other.outline),
            replace(kind, surface=recoloured),
            replace(kind, surface=replace(other.surface, colours=kind.surface.colours)),
        )
        kinds.append(twins[rng.integers(len(twins))])
    return kinds


def draw_reference(rng: Generator, kind: Kind, index: int, side: int, grey: float) -> View:
    """A picture cut around one object, as references are."""
    layout = Layout(
        side=int(rng.integers(80, 200)), counts=(1, 2), radii=(0.2, 0.42), overlap=0, grey=grey
    )
    scene = draw_scene(rng, [kind], layout)
    mask = torch.from_numpy(scene.labels == 1)
    box = crop_box(cv2.boundingRect(mask.numpy().astype(np.uint8)), CONTEXT, *mask.shape)
    image, mask = crop_and_resize(_to_tensor(scene), mask, box, side)
    grid = side // PATCH
    weights = F.interpolate(mask[None, None], (grid, grid), mode="nearest").flatten(1)  # (1, N)
    patches = torch.where(weights[0] > 0.5, index, OTHER)
    return View(
        imagenet_normalise(image[None])[0], weights / weights.sum(), torch.tensor([index]), patches
    )


def draw_target(rng: Generator, kinds: list[Kind], side: int, grey: float) -> View:
    """A scene with some of the kinds."""
    chosen = rng.choice(len(kinds), int(rng.integers(1, 6)), replace=False)
    layout = Layout(
        side=side,
        counts=(1, 4 + side // 40),
        radii=(RADII[0] / side, min(RADII[1] / side, 0.4)),
        overlap=0.1,
        grey=grey,
    )
    scene = draw_scene(rng, [kinds[i] for i in chosen], layout)
    objects = np.array([chosen[k] for k in scene.kinds], np.int64)
    cells = cv2.resize(scene.labels, (side // CELL,) * 2, interpolation=cv2.INTER_NEAREST)
    masks, found = _masks(rng, scene, cells, objects)
    image = _to_tensor(scene)
    rows = linear_upsampling(side // PATCH, side // CELL, like=image)  # (h, grid)
    weights = (rows.T @ (masks.float() @ rows)).flatten(1)  # (M, N)
    weights = weights / masks.flatten(1).sum(dim=1, keepdim=True)
    patches = _patch_kinds(scene.labels, objects)
    return View(imagenet_normalise(image[None])[0], weights, found, patches)


def _to_tensor(scene: Scene) -> Tensor:
    return torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255


def _masks(
    rng: Generator, scene: Scene, cells: NDArray[np.uint8], objects: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Masks (M, h, w) of objects and of other regions, and their kinds (M,)."""
    masks, kinds = [], []
    for label, (kind, visible) in enumerate(zip(objects, scene.visible, strict=True), start=1):
        mask = cells == label
        if visible >= MIN_VISIBLE and mask.sum() >= MIN_CELLS:
            masks.append(mask)
            kinds.append(kind)
    for _ in range(REGIONS):
        region = _draw_region(rng, len(cells))
        shares = np.bincount(cells[region], minlength=len(objects) + 1)[1:] / region.sum()
        if shares.max(initial=0) < 0.5:
            masks.append(region)
            kinds.append(OTHER)
    stacked = np.array(masks, bool).reshape(-1, *cells.shape)
    return torch.from_numpy(stacked), torch.tensor(kinds, dtype=torch.long)


def _draw_region(rng: Generator, side: int) -> NDArray[np.bool_]:
    region = np.zeros((side, side), np.uint8)
    centre = rng.integers(2, side - 2, 2)
    axes = np.exp(rng.uniform(np.log(2.5), np.log(13), 2))
    cv2.ellipse(region, (centre.tolist(), (2 * axes).tolist(), rng.uniform(0, 180)), 1, -1)
    return region > 0


def _patch_kinds(labels: NDArray[np.uint8], objects: NDArray[np.int64]) -> Tensor:
    """Kind of each patch that lies almost wholly in one object or in none, (N,)."""
    grid = len(labels) // PATCH
    tiles = labels.reshape(grid, PATCH, grid, PATCH).swapaxes(1, 2).reshape(grid * grid, -1)
    middle = tiles[:, PATCH * PATCH // 2 + PATCH // 2]
    pure = (tiles == middle[:, None]).mean(axis=1) > 0.85
    kinds = np.concatenate([[OTHER], objects])[middle]
    return torch.from_numpy(np.where(pure, kinds, MIXED))


def loss_of(
    model: nn.Module, cosine_logits: CosineLogits, references: list[View], scenes: list[View]
) -> Tensor:
    """How badly masks and patches of the scenes are told apart by the references."""
    views = references + scenes
    features = model(images_of(views))  # (B, N, C)
    pooled = [view.weights @ maps for view, maps in zip(views, features, strict=True)]
    prototypes = F.normalize(torch.cat(pooled[: len(references)]), dim=1)  # (K, C)
    masks = F.normalize(torch.cat(pooled[len(references) :]), dim=1)  # (M, C)
    wanted = torch.cat([view.kinds for view in scenes])  # (M,)
    patches = F.normalize(features.flatten(0, 1), dim=1)  # (B * N, C)
    patch_kinds = torch.cat([view.patches for view in views])
    by_mask = kind_loss(cosine_logits, masks @ prototypes.T, wanted)
    by_patch = kind_loss(cosine_logits, patches @ prototypes.T, patch_kinds)
    return by_mask + PATCH_SHARE * by_patch


def kind_loss(cosine_logits: CosineLogits, cosines: Tensor, kinds: Tensor) -> Tensor:
    """Cross-entropy of "which kind, or none"; as much weight for objects as for the rest.

    Args:
        cosine_logits: Turns cosines into log-odds against "none".
        cosines: (M, K).
        kinds: Index of a kind, OTHER or MIXED, (M,).
    """
    odds = F.pad(cosine_logits(cosines), (0, 1))  # (M, K + 1), none of them last
    wanted = kinds.where(kinds >= 0, cosines.shape[1])
    losses = F.cross_entropy(odds, wanted, reduction="none")
    return losses[kinds >= 0].mean() + losses[kinds == OTHER].mean()


def draw_batch(rng: Generator, phase: Phase) -> tuple[list[View], list[View]]:
    """Draw kinds, a reference of each, and scenes with some of them."""
    kinds = draw_kinds(rng, phase.kinds)
    grey = (1.0, 1.0) if rng.random() < GREY_STEPS else (0.0, GREY_SCENES)
    references = [draw_reference(rng, kind, i, phase.side, grey[0]) for i, kind in enumerate(kinds)]
    scenes = [draw_target(rng, kinds, phase.side, grey[1]) for _ in range(phase.scenes)]
    return references, scenes


def images_of(views: list[View]) -> Tensor:
    """The pictures of views, (B, 3, S, S)."""
    return torch.stack([view.image for view in views])


def plan() -> list[tuple[Phase, float]]:
    """Of every step its phase and its learning rate: a warm-up in each phase, one fall over all."""
    steps: list[tuple[Phase, float]] = []
    total, done = sum(phase.cost for phase in PHASES), 0
    for phase in PHASES:
        shares = [(done + phase.cost * i / phase.steps) / total for i in range(phase.steps)]
        steps += [(phase, RATE * lr_factor(i, share)) for i, share in enumerate(shares)]
        done += phase.cost
    return steps


def train(seed: int, out: Path) -> VisionTransformer:
    """Train through all phases, or through what is left of them."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model, cosine_logits = build_dinov2(NAME).train().requires_grad_(True), CosineLogits()
    references, scenes = draw_batch(rng, PHASES[0])
    init_colour_histogram(model, images_of(references + scenes))
    module = nn.ModuleList([model, cosine_logits])
    optimisers = [adamw(module.parameters())]
    training = Training(module, optimisers, rng, seed, out, ("scale", "offset"))
    for phase, rate in training.remaining(plan()):
        loss = loss_of(model, cosine_logits, *draw_batch(rng, phase))
        training.step(rate, loss, cosine_logits.log_scale.exp(), cosine_logits.offset)
    return model


def main() -> None:
    arguments = read_command_line(__doc__)
    torch.save(half_precision(train(arguments.seed, arguments.out)), arguments.out)


if __name__ == "__main__":
    main()
